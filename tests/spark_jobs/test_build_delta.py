"""A base that is kept for a rollback must not keep the hours from going live; the deltas are stand-ins here."""

from pathlib import Path

import pytest

from retrieval.store.objects import FolderStore
from schemas.errors import EXIT_BAD_DATA, BadData
from schemas.pointer import POINTER_KEY, Pointer, Served
from schemas.receipts import Receipt, receipt_key
from spark_jobs import build_delta, evaluate_delta
from spark_jobs.index_build.gate import Findings
from spark_jobs.index_delta.make import DeltaMaker

LIVE, PREVIOUS = Served("live", "m", "of-live"), Served("previous", "m", "of-previous")
END = "20260131T030000Z"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = FolderStore(tmp_path / "store")
    made.put(POINTER_KEY, Pointer(1, END, {"products": 1}, LIVE, previous=PREVIOUS).to_json())
    for job in ("ingest_catalog", "fetch_images", "embed_images"):
        facts = {"model_id": "m", "fingerprint": "f"}
        receipt = Receipt("manual", job, "", END, table_versions={"products": 2}, facts=facts)
        made.put(receipt_key("manual", END, job), receipt.to_json())
    return made


def arguments(store: FolderStore) -> list[str]:
    return [
        "--lake", "/no/lake", "--store", str(store.root),
        "--interval-start", "2026-01-31T02:00:00+00:00", "--interval-end", "2026-01-31T03:00:00+00:00",
    ]  # fmt: skip


def receipt_of(store: FolderStore, job: str) -> Receipt:
    found = store.get(receipt_key("manual", END, job))
    assert found is not None
    return Receipt.from_json(found.data)


def missing(monkeypatch: pytest.MonkeyPatch, build_id: str) -> None:
    """One base is not in the store; of the others a new delta is made."""

    def make(maker: DeltaMaker, served: Served, pointer: Pointer) -> str:
        if served.build_id == build_id:
            raise BadData(f"there is no build {build_id}")
        maker.deltas.ids[served.build_id] = "new"
        return "new"

    monkeypatch.setattr(DeltaMaker, "make", make)
    monkeypatch.setattr(build_delta, "_wants_rebuild", lambda *_: False)


def test_where_the_way_back_is_gone_the_live_base_gets_its_delta(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing(monkeypatch, "previous")
    assert build_delta.main(arguments(store)) == 0
    built = receipt_of(store, "build_delta")
    assert (built.facts["deltas"], built.facts["kept"]) == ({"live": "new", "previous": "of-previous"}, ["previous"])

    asked: list[str] = []

    def judge(_: DeltaMaker, build_id: str, *__: object, **___: object) -> Findings:
        asked.append(build_id)
        return Findings()

    monkeypatch.setattr(evaluate_delta, "evaluate_delta", judge)
    changed = {**built.facts, "unchanged": False}
    receipt = Receipt("manual", "build_delta", "", END, table_versions={"products": 2}, facts=changed)
    store.put(receipt_key("manual", END, "build_delta"), receipt.to_json())
    assert evaluate_delta.main(arguments(store)) == 0
    assert asked == ["live"]


def test_where_the_live_base_is_gone_the_hour_ends(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing(monkeypatch, "live")
    assert build_delta.main(arguments(store)) == EXIT_BAD_DATA
    assert "build_delta: there is no build live" in capsys.readouterr().err
