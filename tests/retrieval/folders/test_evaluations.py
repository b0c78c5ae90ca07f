from dataclasses import replace
from pathlib import Path

from retrieval.folders.evaluations import read_evaluation, write_evaluation
from retrieval.store.objects import FolderStore
from schemas.delta import DeltaEvaluation


def test_what_passed_the_gate_once_stays_passed_and_covers_the_newest_hour(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert read_evaluation(store, "d") is None
    passed = DeltaEvaluation("d", "b", True, {"products": 1}, "20260131T020000Z")
    later = replace(passed, source_versions={"products": 2}, interval_end="20260131T030000Z")
    for evaluation in (replace(passed, passed=False, failures=("rows",)), passed, later):
        write_evaluation(store, evaluation)
        assert read_evaluation(store, "d") == evaluation
    write_evaluation(store, replace(later, passed=False, source_versions={"products": 3}))
    assert read_evaluation(store, "d") == later
