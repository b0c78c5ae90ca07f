"""Deltas travel as builds do (tests/retrieval/folders/test_builds.py): what is particular to them."""

from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.folders.deltas import (
    fetch_delta,
    find_delta,
    list_deltas,
    read_evaluation,
    upload_delta,
    verify_delta,
    write_evaluation,
)
from retrieval.search.deltas import open_delta
from retrieval.search.segments import Segment, open_build
from retrieval.store.objects import FolderStore
from schemas.delta import TOMBSTONES_FILE, DeltaEvaluation, DeltaManifest, delta_key
from schemas.errors import BadData, Corrupt
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
    assert upload_delta(store, tmp_path / made.delta_id) == made
    delta = open_delta(fetch_delta(store, made.delta_id, tmp_path / "cache"), base.manifest)
    assert (len(delta.tombstones), delta.manifest.rows) == (4, 4)
    assert [name for name, _ in verify_delta(store, made.delta_id)] == sorted(made.files)
    assert [found.manifest for found in list_deltas(store)] == [made]


def test_the_same_difference_in_a_later_hour_is_the_delta_that_stands(
    base: Segment, store: FolderStore, tmp_path: Path
) -> None:
    first = upload_delta(store, tmp_path / make(base, tmp_path).delta_id)
    later = make(base, tmp_path / "later", "20260131T030000Z")
    assert upload_delta(store, tmp_path / "later" / later.delta_id) == first


def test_what_passed_the_gate_once_stays_passed_and_covers_the_newest_hour(store: FolderStore) -> None:
    assert read_evaluation(store, "d") is None
    passed = DeltaEvaluation("d", "b", True, {"products": 1}, "20260131T020000Z")
    later = replace(passed, source_versions={"products": 2}, interval_end="20260131T030000Z")
    for evaluation in (replace(passed, passed=False, failures=("rows",)), passed, later):
        write_evaluation(store, evaluation)
        assert read_evaluation(store, "d") == evaluation
    write_evaluation(store, replace(later, passed=False, source_versions={"products": 3}))
    assert read_evaluation(store, "d") == later


def test_a_file_that_went_missing_is_noticed_and_sent_again(base: Segment, store: FolderStore, tmp_path: Path) -> None:
    made = make(base, tmp_path)
    upload_delta(store, tmp_path / made.delta_id)
    store.delete(delta_key(made.delta_id, TOMBSTONES_FILE))
    with pytest.raises(Corrupt, match=TOMBSTONES_FILE):
        find_delta(store, made.delta_id)
    assert "is damaged" in str(list_deltas(store)[0].problem)
    upload_delta(store, tmp_path / made.delta_id)
    assert find_delta(store, made.delta_id) == made


def test_an_unfinished_upload_is_no_delta_and_says_so(base: Segment, store: FolderStore, tmp_path: Path) -> None:
    made = make(base, tmp_path)
    upload_delta(store, tmp_path / made.delta_id)
    store.delete(delta_key(made.delta_id))
    assert find_delta(store, made.delta_id) is None
    assert list_deltas(store)[0].problem == "no manifest: its upload did not finish"
    with pytest.raises(BadData, match="there is no delta"):
        fetch_delta(store, made.delta_id, tmp_path / "cache")
