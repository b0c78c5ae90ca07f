from pathlib import Path

import pytest

from retrieval.diagnosis.findings import State, exit_code_of
from retrieval.diagnosis.published import check_published
from retrieval.folders.evaluations import write_evaluation
from retrieval.store.objects import FolderStore
from schemas.bundle import IMAGE_TOWER_FILE, model_key
from schemas.delta import DeltaEvaluation, delta_evaluation_key, delta_key
from schemas.manifest import build_key
from schemas.pointer import POINTER_KEY, Hold, Served
from tests.retrieval.diagnosis.shops import END, publish, publish_whole, put_build, put_delta


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = FolderStore(tmp_path / "store")
    publish_whole(made)
    return made


def found(store: FolderStore) -> dict[str, tuple[State, str]]:
    return {finding.check: (finding.state, finding.says) for finding in check_published(store)}


def test_what_is_whole_is_ok(store: FolderStore) -> None:
    assert {check: state for check, (state, _) in found(store).items()} == dict.fromkeys(
        ("CURRENT", "live build", "live delta", "live model"), State.OK
    )


def test_nothing_published_is_no_fault(tmp_path: Path) -> None:
    findings = check_published(FolderStore(tmp_path))
    assert [(finding.check, finding.state) for finding in findings] == [("CURRENT", State.WARNING)]
    assert exit_code_of(findings) == 0


def test_a_hold_is_shown(store: FolderStore) -> None:
    publish(store, hold=Hold("odd results", "ann"))
    state, says = found(store)["CURRENT"]
    assert state is State.WARNING
    assert "on hold: odd results (by ann)" in says


@pytest.mark.parametrize(
    ("key", "check", "words"),
    [
        (POINTER_KEY, "CURRENT", "CURRENT is damaged"),
        (build_key("live", "index.faiss"), "live build", "expected 1000 bytes, found 1 bytes"),
        (delta_key("delta"), "live delta", "deltas/delta/manifest.json is damaged"),
        (model_key("m", IMAGE_TOWER_FILE), "live model", "expected 10 bytes, found 1 bytes"),
    ],
)
def test_damage_is_wrong_and_named(store: FolderStore, key: str, check: str, words: str) -> None:
    store.put(key, b"{")
    state, says = found(store)[check]
    assert (state, words in says) == (State.WRONG, True), says
    assert exit_code_of(check_published(store)) == 78


@pytest.mark.parametrize(
    ("key", "check"),
    [(build_key("live"), "live build"), (delta_key("delta"), "live delta"), (model_key("m"), "live model")],
)
def test_what_is_missing_is_wrong(store: FolderStore, key: str, check: str) -> None:
    store.delete(key)
    assert found(store)[check][0] is State.WRONG


def test_a_delta_of_another_base_or_of_older_tables_is_wrong(store: FolderStore) -> None:
    put_delta(store, "delta", "another")
    assert found(store)["live delta"] == (State.WRONG, "delta is of build another, not of live")
    put_delta(store, "delta", "live", {"products": 6})
    assert found(store)["live delta"] == (State.WRONG, "delta lacks changes that CURRENT covers: products")


def test_a_delta_that_was_found_again_later_is_judged_by_the_gates_last_word(store: FolderStore) -> None:
    put_delta(store, "delta", "live", {"products": 6})
    write_evaluation(store, DeltaEvaluation("delta", "live", True, {"products": 7}, END))
    assert found(store)["live delta"][0] is State.OK
    store.put(delta_evaluation_key("delta"), b"{")
    assert found(store)["live delta"][0] is State.WRONG


def test_a_damaged_pointer_says_what_to_do(store: FolderStore) -> None:
    store.put(POINTER_KEY, b"{")
    (finding,) = check_published(store)
    assert "put its last good version back" in finding.says


def test_a_delta_that_has_grown_large_asks_for_a_new_base(store: FolderStore) -> None:
    put_delta(store, "delta", "live", rows=4)
    assert found(store)["live delta"][0] is State.WARNING


def test_a_model_that_did_not_make_the_vectors_is_wrong(store: FolderStore) -> None:
    put_build(store, "live", fingerprint="of another")
    assert found(store)["live model"] == (State.WRONG, "m is not the model that made the vectors of live")


def test_a_damaged_way_back_is_a_warning(store: FolderStore) -> None:
    publish(store, previous=Served("gone", "m"))
    assert found(store)["previous build"][0] is State.WARNING
    (finding,) = (one for one in check_published(store) if one.check == "previous build")
    assert finding.remedy == "a rollback to it would fail: name another with --to"
    assert exit_code_of(check_published(store)) == 0
