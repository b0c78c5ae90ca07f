"""From rows to a finished build folder. `assemble_build` does it in memory; `build_index` does the same through Spark."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrieval.arrays import Float32
from retrieval.folders.files import describe_file
from retrieval.items.table import conform_items, map_items
from retrieval.search.segments import Segment, open_segment
from schemas.errors import BadData
from schemas.manifest import (
    ESTIMATES_FILE,
    GOLDEN_FILE,
    INDEX_FILE,
    ITEMS_FILE,
    MANIFEST_FILE,
    VECTORS_FILE,
    Manifest,
    SearchParameters,
)
from spark_jobs.index_build.calibration import calibrate
from spark_jobs.index_build.coarse import assign_lists, train_centroids
from spark_jobs.index_build.golden import write_golden
from spark_jobs.index_build.merge import merge_shards
from spark_jobs.index_build.parameters import BuildParameters, choose_kind, choose_nlist
from spark_jobs.index_build.queries import photo_slices, text_slice, words_to_ask
from spark_jobs.index_build.rows import as_stored, content_digest, in_sample, row_digests
from spark_jobs.index_build.shards import ShardRows, write_shard
from spark_jobs.index_build.tuning import Question, recall, tune, tuning_goal, with_truth

EncodeTexts = Callable[[Sequence[str]], Float32]
"""Words to unit vectors (n, dimension) float32, by the text tower of the model that made the rows."""


@dataclass(frozen=True)
class Lineage:
    """Where a build's rows come from; in the manifest, not in the id."""

    source_versions: dict[str, int] = field(default_factory=dict)
    interval_end: str = ""
    runtimes: tuple[str, ...] = ()


def assemble_build(
    vectors: NDArray[np.floating[Any]],
    items: pa.Table,
    *,
    model_id: str,
    fingerprint: str,
    out_folder: Path,
    source_versions: dict[str, int] | None = None,
    interval_end: str = "",
    runtimes: Sequence[str] = (),
    kind: str = "auto",
    recall_goal: float = 0.99,
    seed: int = 1,
    nlist: int | None = None,
    encode_texts: EncodeTexts | None = None,
) -> Manifest:
    """Write a build of unit rows (n, d) and their items (the columns of `schemas.items`, absent ones null).

    The folder is `out_folder`/<build id>. The order of the rows given does not matter; the same rows give the same
    bytes. Raises BadData where there are no rows, ValueError where rows are not of unit length.
    """
    rows = ShardRows(conform_items(items), as_stored(vectors), None)
    digests = row_digests(rows.items, rows.vectors)
    parameters = make_parameters(
        len(rows.vectors), rows.vectors.shape[1], kind=kind, nlist=nlist, model_id=model_id, fingerprint=fingerprint,
        recall_goal=recall_goal, seed=seed, has_text=encode_texts is not None,
    )  # fmt: skip
    folder = Path(out_folder) / parameters.build_id(content_digest(digests))
    centroids = None
    if parameters.nlist:
        chosen = in_sample(digests, parameters.sample_rows, len(digests))
        sample = in_digest_order(np.array(digests)[chosen].tolist(), rows.vectors[chosen])
        centroids = train_centroids(sample, parameters)
        rows = replace(rows, lists=assign_lists(rows.vectors, centroids))
    fill_folder(rows, folder, parameters, centroids)
    lineage = Lineage(source_versions or {}, interval_end, tuple(sorted(runtimes)))
    return finish_build(folder, parameters, lineage, encode_texts)


def make_parameters(
    rows: int, dimension: int, *, kind: str, nlist: int | None, model_id: str, fingerprint: str,
    recall_goal: float, seed: int, has_text: bool,
) -> BuildParameters:  # fmt: skip
    """The parameters for that many rows. Raises BadData where there are none, Misconfigured for an unknown kind."""
    if not rows:
        raise BadData("there is nothing to index: no live product has a usable photo (see image_fetches and images)")
    kind = choose_kind(kind, rows)
    lists = min(nlist, rows) if nlist and kind != "exact" else choose_nlist(kind, rows)
    return BuildParameters(
        kind=kind, nlist=lists, dimension=dimension, model_id=model_id, model_fingerprint=fingerprint,
        recall_goal=recall_goal, seed=seed, has_text=has_text, has_estimates=kind == "ivf_fp16",
    )  # fmt: skip


def fill_folder(
    rows: ShardRows, folder: Path, parameters: BuildParameters, centroids: NDArray[np.float32] | None = None
) -> None:
    """Write vectors, items, index and estimates of rows that fit in memory."""
    with tempfile.TemporaryDirectory(prefix="shoplens-shard-") as scratch:
        write_shard(rows, Path(scratch), parameters, centroids)
        merge_shards([Path(scratch)], folder, parameters, centroids)


def in_digest_order(digests: Sequence[str], vectors: NDArray[np.float16]) -> NDArray[np.float16]:
    """The training sample in the order of its digests, so that the order in which rows came does not show."""
    return vectors[np.argsort(np.array(digests), kind="stable")]


def finish_build(
    folder: Path, parameters: BuildParameters, lineage: Lineage, encode_texts: EncodeTexts | None = None
) -> Manifest:
    """Tune a folder that has vectors, items and index; add golden queries, calibration and, last, the manifest."""
    segment = open_segment(folder, _draft_manifest(folder, parameters, lineage))
    goal = tuning_goal(parameters.recall_goal)
    photo = [with_truth(segment, queries) for queries in photo_slices(segment, parameters.seed)]
    words = words_to_ask(segment.items) if encode_texts else []
    text_vectors = encode_texts(words) if encode_texts and words else np.empty((0, parameters.dimension), np.float32)
    text = [with_truth(segment, text_slice(text_vectors))] if words else []
    photo_search = tune(segment, photo, goal)
    text_search = tune(segment, text, goal) if text else photo_search
    manifest = replace(
        segment.manifest,
        photo_search=photo_search,
        text_search=text_search,
        recall=_measured(segment, photo, photo_search) | _measured(segment, text, text_search),
        calibration=calibrate(segment, parameters.seed, text_vectors).to_json(),
    )
    tuned = replace(segment, manifest=manifest)
    write_golden(tuned, folder / GOLDEN_FILE, words, text_vectors, parameters.seed)
    manifest = replace(manifest, files=manifest.files | {GOLDEN_FILE: describe_file(folder / GOLDEN_FILE)})
    (folder / MANIFEST_FILE).write_bytes(manifest.to_json())
    return manifest


def _measured(segment: Segment, questions: Sequence[Question], parameters: SearchParameters) -> dict[str, float]:
    return {question.slice.name: round(recall(segment, question, parameters), 4) for question in questions}


def _draft_manifest(folder: Path, parameters: BuildParameters, lineage: Lineage) -> Manifest:
    """All that is known before tuning."""
    items = map_items(folder / ITEMS_FILE)
    names = [INDEX_FILE, VECTORS_FILE, ITEMS_FILE, *([ESTIMATES_FILE] if parameters.has_estimates else [])]
    return Manifest(
        build_id=folder.name, model_id=parameters.model_id, model_fingerprint=parameters.model_fingerprint,
        dimension=parameters.dimension, rows=items.num_rows,
        products=len(items.column("product_id").unique()),
        index_kind=parameters.kind, factory=parameters.factory,
        photo_search=SearchParameters(), text_search=SearchParameters(),
        source_versions=lineage.source_versions, interval_end=lineage.interval_end,
        files={name: describe_file(folder / name) for name in names},
        runtimes=lineage.runtimes, parameters=parameters.in_manifest,
    )  # fmt: skip
