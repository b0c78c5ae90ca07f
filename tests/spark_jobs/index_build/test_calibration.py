from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from retrieval.search.segments import Segment, open_build
from schemas.calibration import NO_CURRENCY, Calibration
from schemas.errors import Corrupt
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.index_build.calibration import calibrate
from tests.spark_jobs.index_build.small_rows import encode_words, small_rows, unit


def build(folder: Path, vectors: np.ndarray, items: pa.Table) -> Segment:
    manifest = assemble_build(vectors, items, model_id="m", fingerprint="f", out_folder=folder)
    return open_build(folder / manifest.build_id)


def replaced(items: pa.Table, name: str, values: list[object]) -> pa.Table:
    place = items.schema.get_field_index(name)
    return (
        items.set_column(place, name, pa.array(values)) if place >= 0 else items.append_column(name, pa.array(values))
    )


def test_a_manifest_keeps_what_was_measured(tmp_path: Path) -> None:
    vectors, items = small_rows(600)
    manifest = assemble_build(
        vectors, items, model_id="m", fingerprint="f", out_folder=tmp_path, encode_texts=encode_words
    )
    read = Calibration.from_json(manifest.calibration)
    assert set(read.visual_scale) == {"photo", "text"}
    photo, text = read.visual_scale["photo"], read.visual_scale["text"]
    assert photo.unrelated == read.percentiles["random_pair"]["p50"]
    assert photo.unrelated < photo.far < photo.best == 1.0
    assert text.unrelated < text.far < read.text_match < text.best
    assert Calibration.from_json(read.to_json()) == read


def test_a_photo_counts_from_the_tenth_part_of_a_small_catalog_on(tmp_path: Path) -> None:
    """Ten directions, ten photos of each: the tenth nearest photo is the last that shows the same."""
    rng = np.random.default_rng(2)
    vectors = unit(np.repeat(np.eye(10, 32), 10, axis=0) + 0.02 * rng.standard_normal((100, 32)))
    scale = calibrate(build(tmp_path, vectors, small_rows(100)[1]), 1).visual_scale["photo"]
    assert scale.unrelated < 0.1 < 0.9 < scale.far < 1.0


def test_prices_are_parted_by_currency_and_category_and_each_product_counts_once(tmp_path: Path) -> None:
    vectors, items = small_rows(400)
    prices: list[float | None] = [float(product) for product in range(200) for _ in range(2)]
    prices[0] = prices[1] = None
    items = replaced(items, "price", prices)  # type: ignore[arg-type]
    items = replaced(
        items, "category", [("dress" if product < 190 else "bag") for product in range(200) for _ in range(2)]
    )
    items = replaced(
        items, "currency", [("EUR" if product < 150 else None) for product in range(200) for _ in range(2)]
    )
    prices_of = calibrate(build(tmp_path, vectors, items), 1).prices
    assert set(prices_of) == {"EUR", NO_CURRENCY}
    assert prices_of["EUR"].overall == pytest.approx(np.quantile(np.arange(1, 150), np.linspace(0, 1, 11)), abs=1e-3)
    assert set(prices_of["EUR"].by_category) == {"dress"}
    assert set(prices_of[NO_CURRENCY].by_category) == {"dress"}
    assert (prices_of[NO_CURRENCY].overall[0], prices_of[NO_CURRENCY].overall[-1]) == (150, 199)


def test_a_catalog_of_one_photo_measures_nothing(tmp_path: Path) -> None:
    vectors, items = small_rows(1)
    found = calibrate(build(tmp_path, vectors, items), 1)
    assert (found.visual_scale, found.photo_match.overall, found.text_match) == ({}, None, None)


def test_a_manifest_from_before_calibration_reads_as_not_measured() -> None:
    old = {"same_product": {"p05": 0.7}, "random_pair": {"p50": 0.2}}
    read = Calibration.from_json(old)
    assert read.percentiles == old
    assert (read.visual_scale, read.text_match, read.prices, read.photo_match.by_category) == ({}, None, {}, {})
    assert read.photo_match_false_rejects.overall is None
    assert Calibration.from_json({}) == Calibration()


@pytest.mark.parametrize("wrong", [{"visual_scale": {"photo": [0, 1]}}, {"prices": 3}, {"photo_match": {"other": 1}}])
def test_constants_that_are_written_wrong_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Corrupt, match=r"manifest\.json"):
        Calibration.from_json(wrong)
