"""How the demo asks for a nightly run, and what it says of one that failed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo.airflow_run import ADVICE, ROOT, NightlyRun, said_last
from schemas.errors import BadData, Misconfigured, ShopLensError, TooManyBadRows, TooManyDeletions, TryAgain


class FakeAirflow:
    """One DAG: unpaused, it begins the newest run by itself; a POST begins another. Every run has one task, done."""

    url = "http://airflow.example"

    def __init__(self, *earlier: str) -> None:
        self.names = list(earlier)
        self.asked: list[Any] = []

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        return [{"dag_run_id": name} for name in self.names]

    def unpause(self, dag_id: str) -> None:
        if not self.names:
            self.names.append("scheduled")

    def call(self, method: str, path: str, body: Any) -> None:
        self.asked.append(body)
        self.names.append("manual")

    def wait_until(self, is_so: Callable[[], bool], what: str, timeout_s: float) -> None:
        assert is_so(), what

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return [{"task_id": "ingest", "state": "success", "duration": 1.0}]


@pytest.mark.parametrize(("earlier", "asked"), [((), []), (("scheduled",), [1.0])])
def test_a_run_after_another_may_delete_what_a_mended_mapping_no_longer_names(
    earlier: tuple[str, ...], asked: list[float]
) -> None:
    airflow = FakeAirflow(*earlier)
    NightlyRun(airflow, Console(quiet=True)).run()  # type: ignore[arg-type]
    assert [body["conf"]["max_deleted_share"] for body in airflow.asked] == asked


class FailingAirflow(FakeAirflow):
    """Its one task fails, and says why."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.said = said

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return [{"task_id": "ingest", "state": "failed", "duration": 1.0, "try_number": 2}]

    def task_log(self, *tried: Any) -> str:
        return json.dumps({"level": "error", "error_detail": [{"exc_value": self.said}]})

    def task_log_path(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> Path:
        return Path("logs") / f"{task_id}-{try_number}.log"


@pytest.mark.parametrize(
    ("said", "kind", "exit_code"),
    [
        ("ingest_catalog: 30 of 30 rows are bad (bad data: not tried again)", BadData, 65),
        ("ingest_catalog: no mapping file (configuration: not tried again)", Misconfigured, 78),
        ("ingest_catalog ended with 75: the store did not answer", TryAgain, 75),
    ],
)
def test_a_failed_run_ends_as_its_job_did_and_names_a_log_that_stays(
    said: str, kind: type[ShopLensError], exit_code: int
) -> None:
    with pytest.raises(kind) as raised:
        NightlyRun(FailingAirflow(said), Console(quiet=True)).run()  # type: ignore[arg-type]
    assert raised.value.exit_code == exit_code
    assert str(raised.value) == f"task ingest failed: {said}; its log is {Path('logs/ingest-2.log')}"


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (
            str(TooManyBadRows(3, 9, 0.1, "/lake/catalog_quarantine (or allow them with --max-bad-share)")),
            "its mapping, then",
        ),
        (str(TooManyDeletions(3, 9, 0.2)), "then run `make demo` again if it is right"),
        ("no catalog at /shop: give its folder with --catalog", "give its folder with CATALOG"),
    ],
)
def test_who_called_make_demo_is_not_told_of_options_that_it_does_not_take(said: str, instead: str) -> None:
    with pytest.raises(BadData) as raised:
        NightlyRun(FailingAirflow(f"{said} (bad data: not tried again)"), Console(quiet=True)).run()  # type: ignore[arg-type]
    assert instead in str(raised.value)
    assert " --" not in str(raised.value)


def test_what_is_said_otherwise_is_still_what_jobs_say() -> None:
    jobs = "".join(file.read_text() for folder in ("spark_jobs", "schemas") for file in (ROOT / folder).rglob("*.py"))
    assert [advice for advice in ADVICE if advice not in jobs] == []


def test_of_a_failed_task_its_error_is_said_and_not_the_log_around_it() -> None:
    error = {
        "level": "error",
        "error_detail": [{"exc_type": "AirflowFailException", "exc_value": "ingest_catalog: no id"}],
    }
    assert said_last(f'{{"level": "info"}}\n{json.dumps(error)}\n{{"level": "info"}}') == "ingest_catalog: no id"
    assert said_last('begun\nERROR no room\n{"level": "info"}') == "ERROR no room"
    assert said_last('{"level": "error", "event": "gone"}') == '{"level": "error", "event": "gone"}'
    assert said_last("") == "no log"
