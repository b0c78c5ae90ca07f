"""Deltas on disk: what changed since a base build, verified and opened.

    delta = open_delta(folder, base.manifest)     # verified: Corrupt before FAISS reads a byte
    delta.tombstones                              # (n,) int64 base rows that are gone, sorted
    delta.changed_rows, delta.changes             # (m,) int64 base rows, and their items as they are now
    delta.segment                                 # new rows, numbered from 0 here; None where there are none

`retrieval.search.view` lays a delta over its base.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from retrieval.arrays import Int64
from retrieval.folders.kinds import DELTA_FOLDERS
from retrieval.items.table import ITEMS_SCHEMA
from retrieval.search.segments import Segment, open_segment
from schemas.delta import CHANGES_FILE, ROW_COLUMN, TOMBSTONES_FILE, DeltaManifest
from schemas.errors import Corrupt
from schemas.manifest import Manifest, SearchParameters

CHANGES_SCHEMA = pa.schema([pa.field(ROW_COLUMN, pa.uint32()), *ITEMS_SCHEMA])


@dataclass(frozen=True)
class Delta:
    """One open delta: `changes` is a pyarrow Table of the item columns, one row for each of `changed_rows`."""

    manifest: DeltaManifest
    tombstones: Int64
    changed_rows: Int64
    changes: Any
    segment: Segment | None


def open_delta(folder: Path, base: Manifest, *, verify: bool = True) -> Delta:
    """Open a delta of `base`. `verify=False` skips the checksums, not the sizes, for a folder verified before.

    Raises Corrupt where a file is damaged or the delta belongs to another base, SchemaTooNew.
    """
    folder = Path(folder)
    manifest = DELTA_FOLDERS.read_verified(folder, checksums=verify)
    of_base = (base.build_id, base.model_fingerprint, base.dimension, base.rows)
    found = (manifest.base_build_id, manifest.model_fingerprint, manifest.dimension, manifest.base_rows)
    if found != of_base:
        raise Corrupt(str(folder), f"a delta of build {of_base}", f"one of {found}")
    tombstones = np.fromfile(folder / TOMBSTONES_FILE, "<u4").astype(np.int64)
    _check_rows(TOMBSTONES_FILE, tombstones, manifest.tombstones, base.rows)
    table = _read_changes(folder / CHANGES_FILE)
    changed_rows = table.column(ROW_COLUMN).to_numpy().astype(np.int64)
    _check_rows(CHANGES_FILE, changed_rows, manifest.changed, base.rows)
    segment = open_segment(folder, segment_manifest(manifest, base)) if manifest.rows else None
    return Delta(manifest, tombstones, changed_rows, table.drop_columns([ROW_COLUMN]), segment)


def segment_manifest(manifest: DeltaManifest, base: Manifest) -> Manifest:
    """The new rows described as a build of their own, searched with the parameters of the base."""
    is_exact = manifest.index_kind == "exact"
    return Manifest(
        build_id=manifest.delta_id, model_id=manifest.model_id, model_fingerprint=manifest.model_fingerprint,
        dimension=manifest.dimension, rows=manifest.rows, products=0, index_kind=manifest.index_kind, factory="",
        photo_search=SearchParameters() if is_exact else SearchParameters(nprobe=base.photo_search.nprobe),
        text_search=SearchParameters() if is_exact else SearchParameters(nprobe=base.text_search.nprobe),
        source_versions=manifest.source_versions, interval_end=manifest.interval_end, files=manifest.files,
        runtimes=manifest.runtimes,
    )  # fmt: skip


def _read_changes(path: Path) -> Any:
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise Corrupt(path.name, "an Arrow file", str(error)) from error
    if not table.schema.equals(CHANGES_SCHEMA):
        raise Corrupt(path.name, f"the columns {CHANGES_SCHEMA.names}", f"{table.schema.names}")
    return table


def _check_rows(name: str, rows: Int64, expected: int, base_rows: int) -> None:
    is_sorted = bool(np.all(np.diff(rows) > 0))
    if len(rows) != expected or not is_sorted or (len(rows) and int(rows[-1]) >= base_rows):
        raise Corrupt(name, f"{expected} sorted rows below {base_rows}", f"{len(rows)}")
