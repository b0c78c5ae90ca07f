"""Deltas travel as builds do (test_stored.py): what their kind adds."""

from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.folders.kinds import DELTA_FOLDERS
from retrieval.search.deltas import open_delta
from retrieval.search.segments import Segment, open_build
from retrieval.store.objects import FolderStore
from schemas.delta import TOMBSTONES_FILE, DeltaManifest
from schemas.errors import BadData, Corrupt
from schemas.manifest import MANIFEST_FILE
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.index_delta.assemble import assemble_delta
from tests.spark_jobs.index_build.small_rows import small_rows

VECTORS, ITEMS = small_rows(24)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def base(tmp_path: Path) -> Segment:
    made = assemble_build(VECTORS[:20], ITEMS.slice(0, 20), model_id="m", fingerprint="f", out_folder=tmp_path / "made")
    return open_build(tmp_path / "made" / made.build_id)


def make(base: Segment, folder: Path, interval_end: str = "20260131T020000Z") -> DeltaManifest:
    """Without the base's first four rows, with four others."""
    return assemble_delta(base, VECTORS[4:], ITEMS.slice(4), out_folder=folder, interval_end=interval_end)


def test_what_is_sent_is_fetched_whole(base: Segment, store: FolderStore, tmp_path: Path) -> None:
    made = make(base, tmp_path)
    assert DELTA_FOLDERS.upload(store, tmp_path / made.delta_id) == made
    delta = open_delta(DELTA_FOLDERS.fetch(store, made.delta_id, tmp_path / "cache"), base.manifest)
    assert (len(delta.tombstones), delta.manifest.rows) == (4, 4)
    assert [name for name, _ in DELTA_FOLDERS.verify(store, made.delta_id)] == sorted(made.files)
    assert [found.manifest for found in DELTA_FOLDERS.list_all(store)] == [made]


def test_the_same_difference_in_a_later_hour_is_the_delta_that_stands(
    base: Segment, store: FolderStore, tmp_path: Path
) -> None:
    first = DELTA_FOLDERS.upload(store, tmp_path / make(base, tmp_path).delta_id)
    later = make(base, tmp_path / "later", "20260131T030000Z")
    assert DELTA_FOLDERS.upload(store, tmp_path / "later" / later.delta_id) == first


def test_a_delta_without_its_tombstones_is_none(base: Segment, store: FolderStore, tmp_path: Path) -> None:
    made = make(base, tmp_path)
    files = {name: entry for name, entry in made.files.items() if name != TOMBSTONES_FILE}
    (tmp_path / made.delta_id / MANIFEST_FILE).write_bytes(replace(made, files=files).to_json())
    with pytest.raises(Corrupt, match=f"an entry for {TOMBSTONES_FILE}"):
        DELTA_FOLDERS.upload(store, tmp_path / made.delta_id)
    with pytest.raises(BadData, match=f"there is no delta {made.delta_id}.*run build_delta again"):
        DELTA_FOLDERS.fetch(store, made.delta_id, tmp_path / "cache")
