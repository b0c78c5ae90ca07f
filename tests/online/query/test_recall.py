"""Every kind of question against brute force, on an index of a hundred thousand photos: with no filters, with random
filters, and with filters opposed to the question."""

import io
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image

from online.api.parsing import Question
from online.query.composition import Query, compose_query
from online.query.filtering import rows_that_pass
from online.query.search import nearest_rows
from online.snapshots.golden import GoldenQueries
from online.snapshots.snapshot import Base, Snapshot
from online.telemetry.stopwatch import Stopwatch
from retrieval.arrays import Mask
from retrieval.encoders.contract import Pixels, Vectors, unit_rows
from retrieval.search.segments import open_build
from schemas.api.filters import Filters
from schemas.api.requests import SearchRequest
from schemas.bundle import Preprocessing
from schemas.pointer import Pointer, Served
from spark_jobs.index_build.assemble import assemble_build

pytestmark = pytest.mark.full

PRODUCTS, DIMENSION, CATEGORIES, STYLES = 50_000, 64, 20, 2_000
QUESTIONS, K = 30, 10
RECALL_MIN = 0.99


class Catalogue:
    """Two photos of each product; products of a style are alike, and styles of a category a little."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.centres = rng.standard_normal((CATEGORIES, DIMENSION))
        category_of_style = rng.integers(0, CATEGORIES, STYLES)
        styles = self.centres[category_of_style] + 0.8 * rng.standard_normal((STYLES, DIMENSION))
        style = rng.integers(0, STYLES, PRODUCTS)
        products = styles[style] + 0.7 * rng.standard_normal((PRODUCTS, DIMENSION))
        photos = np.repeat(products, 2, axis=0)
        self.vectors = unit_rows(photos + 0.35 * rng.standard_normal(photos.shape))
        self.categories = category_of_style[style]
        self.prices = rng.uniform(5, 200, PRODUCTS).round(2)

    def items(self) -> Any:
        twice = np.repeat(np.arange(PRODUCTS), 2)
        product_ids = [f"p{product}" for product in twice]
        sizes = [[("size", "SML"[product % 3])] for product in twice]
        columns = {
            "product_id": product_ids,
            "group_id": product_ids,
            "image_id": [f"{row:064x}" for row in range(2 * PRODUCTS)],
            "title": [f"product {product}" for product in twice],
            "category": [f"category {self.categories[product]}" for product in twice],
            "price": self.prices[twice],
            "in_stock": twice % 4 != 0,
            "attributes": pa.array(sizes, pa.map_(pa.string(), pa.string())),
        }
        return pa.table(columns)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Words lie off the photos that they name, as those of a text tower do: \"category 3\" or \"product 17\"."""
        named = [text.split() for text in texts]
        meant = [
            self.vectors[2 * int(number)] * np.sqrt(DIMENSION) if what == "product" else self.centres[int(number)]
            for what, number in named
        ]
        seeds = [int(number) * 2 + (what == "product") for what, number in named]
        off = [np.random.default_rng(seed).standard_normal(DIMENSION) for seed in seeds]
        return unit_rows(np.array(meant) + 0.6 * np.array(off))


class NamingEncoder:
    """A photo of one colour shows the row that its 24 bits number, from another side."""

    model_id, fingerprint, dimension, runtime, batch_photos = "m", "f", DIMENSION, "tiny", 8

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        levels = np.rint(pixels[:, :, 4, 4] * 255).astype(np.int64)
        rows = levels @ np.array([1 << 16, 1 << 8, 1])
        off = np.array([np.random.default_rng(row).standard_normal(DIMENSION) for row in rows])
        return unit_rows(0.9 * self.catalogue.vectors[rows] + 0.44 * unit_rows(off))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        return self.catalogue.encode_texts(texts)


@pytest.fixture(scope="module", params=["ivf_fp16", "ivf_rabitq"])
def snapshot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    catalogue, folder = Catalogue(), tmp_path_factory.mktemp(request.param)
    manifest = assemble_build(
        catalogue.vectors, catalogue.items(), model_id="m", fingerprint="f", out_folder=folder, kind=request.param,
        encode_texts=catalogue.encode_texts,
    )  # fmt: skip
    pointer = Pointer(
        generation=1, interval_end=manifest.interval_end, source_versions={}, live=Served(manifest.build_id, "m")
    )
    preprocessing = Preprocessing(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    base = Base.of(open_build(folder / manifest.build_id), GoldenQueries())
    return Snapshot.of(pointer, NamingEncoder(catalogue), preprocessing, base, None)


@pytest.fixture(scope="module")
def vectors(snapshot: Snapshot) -> NDArray[np.float32]:
    return np.asarray(snapshot.base.segment.vectors, np.float32)


def photo_of_row(row: int) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (8, 8), (row >> 16, row >> 8 & 255, row & 255)).save(sink, "PNG")
    return sink.getvalue()


def ask(rng: np.random.Generator) -> dict[str, Question]:
    """One question of each kind, about anything."""
    photos = [photo_of_row(int(row)) for row in rng.integers(0, 2 * PRODUCTS, 3)]
    ids = [f"p{product}" for product in rng.integers(0, PRODUCTS, 6)]
    words = [f"category {number}" for number in rng.integers(0, CATEGORIES, 2)]

    def question(*images: bytes, negative: tuple[bytes, ...] = (), **fields: Any) -> Question:
        places = ("image",) * len(images) + ("negative_image",) * len(negative)
        return Question(SearchRequest(**fields), images, negative, places)

    return {
        "photo": question(photos[0]),
        "more like": question(product_id=ids[0]),
        "two photos": question(photos[0], photos[1]),
        "photo and words": question(photos[0], text=words[0]),
        "negative photo": question(photos[0], negative=(photos[1],)),
        "negative words": question(photos[0], negative_text=words[0]),
        "words without words": question(text=words[0], negative_text=words[1]),
        "photo and liked": question(photos[0], liked=ids[:3]),
        "liked": question(liked=ids[:3]),
        "disliked": question(photos[0], disliked=ids[:3]),
        "everything": question(
            photos[0], negative=(photos[1],), text=words[0], negative_text=words[1], liked=ids[:2], disliked=ids[3:5]
        ),
    }


def any_filters(rng: np.random.Generator) -> Filters:
    """One to three conditions, each of which from a hundredth to most of the rows pass."""
    low = float(rng.uniform(0, 190))
    names = [f"category {number}" for number in rng.integers(0, CATEGORIES, int(rng.integers(1, 12)))]
    conditions = {
        "category": {"in": names} if rng.random() < 0.5 else {"not": {"in": names}},
        "price": {"min": low, "max": low + float(rng.uniform(2, 200))},
        "in_stock": bool(rng.random() < 0.8),
        "attributes": {"size": {"equals": "SML"[int(rng.integers(3))]}},
    }
    kept = rng.choice(list(conditions), int(rng.integers(1, 4)), replace=False)
    return Filters.model_validate({name: conditions[name] for name in kept})


def opposed(scores: NDArray[np.float32], share: float) -> Mask:
    """The rows least like the question."""
    return np.asarray(scores <= np.quantile(scores, share))


def recall(snapshot: Snapshot, query: Query, scores: NDArray[np.float32], mask: Mask | None) -> tuple[str, float]:
    """The planner's path, and the share of the ten best rows that came, where rows of the same score are as good."""
    found = nearest_rows(snapshot, query, K, mask)
    groups = snapshot.catalog.columns.groups
    allowed = ~np.isin(groups, query.hidden_groups) if mask is None else mask & ~np.isin(groups, query.hidden_groups)
    assert allowed[found.rows].all()
    assert len(np.unique(groups[found.rows])) >= min(K, len(np.unique(groups[allowed])))
    best = np.sort(scores[allowed])[::-1][:K]
    return found.plan.path, 1.0 if not len(best) else float(np.mean(found.scores[: len(best)] >= best[-1] - 1e-4))


def test_every_question_finds_what_brute_force_finds_under_any_filters(
    snapshot: Snapshot, vectors: NDArray[np.float32]
) -> None:
    rng, recalls = np.random.default_rng(3), defaultdict[str, list[float]](list)
    for _ in range(QUESTIONS):
        for kind, question in ask(rng).items():
            query = compose_query(snapshot, question, Stopwatch())
            scores = vectors @ query.unit_vector
            masks = {
                "no filters": None,
                "random filters": rows_that_pass(snapshot.catalog.columns, any_filters(rng)),
                "opposed filters": opposed(scores, float(rng.choice([0.02, 0.1, 0.3, 0.6]))),
            }
            for filters, mask in masks.items():
                path, share = recall(snapshot, query, scores, mask)
                for name in (f"{kind}, {filters}", path, filters):
                    recalls[name].append(share)
    assert {"probe", "probe_more", "scan_few", "scan_all"} <= set(recalls)
    assert {
        name: round(float(np.mean(found)), 4) for name, found in recalls.items() if np.mean(found) < RECALL_MIN
    } == {}


def test_a_question_near_one_photo_probes_as_tuned_and_a_mixed_one_farther(snapshot: Snapshot) -> None:
    tuned = snapshot.view.manifest.photo_search.nprobe
    questions = ask(np.random.default_rng(4))
    plans = {
        kind: nearest_rows(snapshot, compose_query(snapshot, question, Stopwatch()), K).plan
        for kind, question in questions.items()
    }
    assert plans["photo"].nprobe == plans["more like"].nprobe == tuned
    assert all(plans[kind].nprobe >= 4 * tuned for kind in ("two photos", "liked", "everything"))
