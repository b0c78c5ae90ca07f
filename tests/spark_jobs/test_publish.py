from pathlib import Path
from typing import Any

import pytest

from retrieval.publishing.pointer import read_pointer
from retrieval.publishing.rollback import rollback
from retrieval.store.objects import FolderStore
from schemas.errors import EXIT_BAD_DATA, EXIT_MISCONFIGURED
from schemas.manifest import Manifest, SearchParameters, build_key
from schemas.pointer import Pointer
from schemas.receipts import Receipt, receipt_key
from spark_jobs import build_index, publish

FIRST, SECOND = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def leave(store: FolderStore, job: str, day: str = FIRST, **facts: Any) -> None:
    receipt = Receipt("manual", job, "", key_of(day), table_versions={"products": 1}, facts=facts)
    store.put(receipt_key("manual", key_of(day), job), receipt.to_json())


def leave_evaluated(store: FolderStore, build_id: str, day: str = FIRST) -> None:
    manifest = Manifest(
        build_id=build_id, model_id="m", model_fingerprint="f", dimension=2, rows=0, products=0, index_kind="exact",
        factory="SQfp16", photo_search=SearchParameters(), text_search=SearchParameters(), source_versions={},
        interval_end=key_of(day), files={},
    )  # fmt: skip
    store.put(build_key(build_id), manifest.to_json())
    leave(store, "build_index", day, build_id=build_id, model_id="m")
    leave(store, "evaluate_index", day, build_id=build_id, passed=True)


def key_of(day: str) -> str:
    return day[:10].replace("-", "") + "T000000Z"


def arguments(store: FolderStore, day: str = FIRST) -> list[str]:
    return [
        "--lake", str(store.root.parent / "lake"), "--store", str(store.root),
        "--interval-start", "2025-12-31T00:00:00+00:00", "--interval-end", day,
    ]  # fmt: skip


def facts(store: FolderStore, day: str = FIRST) -> dict[str, Any]:
    found = store.get(receipt_key("manual", key_of(day), "publish"))
    assert found is not None
    return Receipt.from_json(found.data).facts


def current(store: FolderStore) -> Pointer:
    found = read_pointer(store)
    assert found is not None
    return found[0]


def test_an_evaluated_build_goes_live_once_however_often_the_job_runs(store: FolderStore) -> None:
    leave_evaluated(store, "a")
    assert publish.main(arguments(store)) == 0
    assert facts(store) == {"build_id": "a", "generation": 1, "moved": True, "live": "a"}
    assert publish.main(arguments(store)) == 0
    assert facts(store)["moved"] is False
    assert current(store).generation == 1


def test_a_build_that_was_not_evaluated_is_refused(store: FolderStore, capsys: pytest.CaptureFixture[str]) -> None:
    leave_evaluated(store, "a")
    leave(store, "build_index", build_id="b", model_id="m")
    assert publish.main(arguments(store)) == EXIT_BAD_DATA
    assert "evaluate_index did not pass it" in capsys.readouterr().err
    assert read_pointer(store) is None


def test_without_the_receipts_before_it_the_job_names_what_to_run(
    store: FolderStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish.main(arguments(store)) == EXIT_MISCONFIGURED
    assert "run build_index for this interval first" in capsys.readouterr().err


def test_a_skipped_interval_is_skipped(store: FolderStore) -> None:
    leave(store, "build_index", skipped="an older interval")
    assert publish.main(arguments(store)) == 0
    assert facts(store) == {"skipped": "an older interval"}


def test_on_hold_the_job_ends_well_and_says_so(store: FolderStore) -> None:
    for day, build_id in ((FIRST, "a"), (SECOND, "b")):
        leave_evaluated(store, build_id, day)
        publish.main(arguments(store, day))
    rollback(store, by="ann", reason="odd results")
    third = "2026-01-03T00:00:00+00:00"
    leave_evaluated(store, "c", third)
    assert publish.main(arguments(store, third)) == 0
    assert facts(store, third) == {"build_id": "c", "moved": False, "held": "odd results"}
    assert current(store).live.build_id == "a"


def test_a_store_that_cannot_be_written_is_one_line_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for job in (publish, build_index):
        assert job.main(arguments(FolderStore(tmp_path / "file" / "store"))) == EXIT_MISCONFIGURED
        assert capsys.readouterr().err.count("cannot write to the object store") == 1


def test_a_model_that_is_not_in_the_store_stops_the_build_before_spark(
    store: FolderStore, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build_index, "open_session", lambda *_, **__: pytest.fail("Spark was started"))
    leave(store, "ingest_catalog", newest=True)
    leave(store, "fetch_images")
    leave(store, "embed_images", model_id="ghost", fingerprint="f")
    assert build_index.main(arguments(store)) == EXIT_MISCONFIGURED
    assert "has no model ghost: upload it with" in capsys.readouterr().err
    assert list(store.keys("builds/")) == []
