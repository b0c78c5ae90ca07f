"""A delta folder from a comparison with its base: tombstones, changed attributes, and one segment of new rows."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrieval.folders.files import describe_file
from retrieval.items.table import conform_items
from retrieval.search.deltas import CHANGES_SCHEMA
from retrieval.search.segments import Segment
from schemas.delta import CHANGES_FILE, EXACT_ROWS, ROW_COLUMN, SEGMENT_FILES, TOMBSTONES_FILE, DeltaManifest
from schemas.manifest import MANIFEST_FILE
from spark_jobs.index_build.assemble import fill_folder
from spark_jobs.index_build.coarse import assign_lists
from spark_jobs.index_build.parameters import BuildParameters
from spark_jobs.index_build.rows import as_stored, content_digest, row_digests
from spark_jobs.index_build.shards import ShardRows
from spark_jobs.index_delta.comparison import KEY, Comparison, compare_items

DELTA_BUILDER_VERSION = 1
"""Raised when the same rows would give other bytes."""


def assemble_delta(
    base: Segment,
    vectors: NDArray[np.floating[Any]],
    items: pa.Table,
    *,
    out_folder: Path,
    source_versions: dict[str, int] | None = None,
    interval_end: str = "",
    runtimes: Sequence[str] = (),
    exact_rows: int = EXACT_ROWS,
) -> DeltaManifest:
    """The delta that turns `base` into the rows given: unit vectors (n, d) and their items (absent columns null)."""
    now = conform_items(items)
    comparison = compare_items(base.items, now)
    places = _places(now, comparison.new)
    return write_delta(
        base, comparison, as_stored(vectors)[places], out_folder=out_folder, source_versions=source_versions or {},
        interval_end=interval_end, runtimes=runtimes, exact_rows=exact_rows,
    )  # fmt: skip


def write_delta(
    base: Segment,
    comparison: Comparison,
    new_vectors: NDArray[np.float16],
    *,
    out_folder: Path,
    source_versions: dict[str, int],
    interval_end: str,
    runtimes: Sequence[str] = (),
    exact_rows: int = EXACT_ROWS,
) -> DeltaManifest:
    """Write `out_folder`/<delta id>. `new_vectors` (m, d) float16 are those of `comparison.new`, row by row.

    The same difference to the same base gives the same id and bytes. A delta may be empty: it then says that the base
    covers later versions.
    """
    digests = row_digests(comparison.new, new_vectors)
    delta_id = _delta_id(base, comparison, digests, exact_rows)
    folder = Path(out_folder) / delta_id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    comparison.dead.astype("<u4").tofile(folder / TOMBSTONES_FILE)
    _write_changes(comparison, folder / CHANGES_FILE)
    names = [TOMBSTONES_FILE, CHANGES_FILE]
    kind = "exact" if len(new_vectors) <= exact_rows or base.list_starts is None else "ivf_fp16"
    if len(new_vectors):
        _write_segment(base, comparison.new, new_vectors, kind, folder)
        names += SEGMENT_FILES
    manifest = DeltaManifest(
        delta_id=delta_id, base_build_id=base.manifest.build_id, model_id=base.manifest.model_id,
        model_fingerprint=base.manifest.model_fingerprint, dimension=base.manifest.dimension,
        base_rows=base.manifest.rows, rows=len(new_vectors), tombstones=len(comparison.dead),
        changed=len(comparison.changed), index_kind=kind, source_versions=source_versions, interval_end=interval_end,
        files={name: describe_file(folder / name) for name in names}, runtimes=tuple(sorted(set(runtimes))),
        parameters={"builder": DELTA_BUILDER_VERSION},
    )  # fmt: skip
    (folder / MANIFEST_FILE).write_bytes(manifest.to_json())
    return manifest


def _write_segment(base: Segment, items: pa.Table, vectors: NDArray[np.float16], kind: str, folder: Path) -> None:
    centroids = lists = None
    if kind != "exact":
        quantizer = base.index.quantizer
        centroids = np.asarray(quantizer.reconstruct_n(0, quantizer.ntotal), dtype=np.float32)
        lists = assign_lists(vectors, centroids)
    parameters = BuildParameters(
        kind=kind, nlist=0 if centroids is None else len(centroids), dimension=base.manifest.dimension,
        model_id=base.manifest.model_id, model_fingerprint=base.manifest.model_fingerprint,
    )  # fmt: skip
    fill_folder(ShardRows(items, vectors, lists), folder, parameters, centroids)


def _write_changes(comparison: Comparison, path: Path) -> None:
    rows = pa.array(comparison.changed, pa.uint32())
    table = comparison.changes.add_column(0, CHANGES_SCHEMA.field(ROW_COLUMN), rows).cast(CHANGES_SCHEMA)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, CHANGES_SCHEMA) as writer:
        writer.write_table(table.combine_chunks())


def _delta_id(base: Segment, comparison: Comparison, new_digests: Sequence[str], exact_rows: int) -> str:
    """Twenty hexadecimal digits that name this difference to this base."""
    no_vectors = np.empty((comparison.changes.num_rows, 0), np.float16)
    content = {
        "base": base.manifest.build_id,
        "dead": hashlib.sha256(comparison.dead.astype("<u4").tobytes()).hexdigest(),
        "changed": hashlib.sha256(comparison.changed.astype("<u4").tobytes()).hexdigest(),
        "changes": content_digest(row_digests(comparison.changes, no_vectors)),
        "new": content_digest(new_digests),
        "exact_rows": exact_rows,
        "builder": DELTA_BUILDER_VERSION,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def _places(now: pa.Table, new: pa.Table) -> NDArray[np.int64]:
    """The place of each new row among the rows given."""
    place_of = {key: place for place, key in enumerate(_keys(now))}
    return np.array([place_of[key] for key in _keys(new)], dtype=np.int64)


def _keys(items: pa.Table) -> list[tuple[str, ...]]:
    return list(zip(*(items.column(name).to_pylist() for name in KEY), strict=True))
