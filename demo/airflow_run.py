"""One run of the nightly DAG in a running Airflow, followed task by task."""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from demo.airflow_home import AirflowHome
from demo.nightly import Nightly
from schemas.errors import BadData, Misconfigured, ShopLensError, TryAgain

DAG_ID = "catalog_nightly"
POLL_S = 1.0
SAID_MAX_CHARS = 500
OF_ANOTHER_RUN = {"max_deleted_share": 1.0}
"""Who runs the demo again has often mended the mapping in between, and with it every product's id."""
FINAL = {"(bad data: not tried again)": BadData, "(configuration: not tried again)": Misconfigured}
"""What dags/spark_job.py says of a failure that would come again."""
ADVICE = {
    " (or allow them with --max-bad-share)": "; mend the catalog, its links or its mapping, then `make demo` again",
    "run again with --max-deleted-share 1 if it is right": "run `make demo` again if it is right, which takes it then",
    "give its folder with --catalog": "give its folder with CATALOG",
    "mend --catalog": "mend CATALOG",
    "give each its own --catalog": "put each in a CATALOG of its own",
}
"""What a job says to those who call it, and what it comes to for who called `make demo`, which takes no such options."""
ROOT = Path(__file__).resolve().parent.parent


def deployment_variable(nightly: Nightly) -> str:
    """The Airflow Variable `shoplens` (dags/deployment.py) that gives the jobs this run's folders."""
    fetch = ["--allow-private", *nightly.extra.get("fetch_images", ())]
    for root in nightly.allowed_roots:
        fetch += ["--allowed-root", str(root)]
    return json.dumps(
        {
            "lake": str(nightly.lake),
            "store": str(nightly.store),
            "catalog": nightly.catalog,
            "mapping": str(nightly.mapping),
            "model": nightly.model,
            "submit": "local",
            "python": sys.executable,
            "project": str(ROOT),
            "arguments": {"fetch_images": fetch},
            "environment": {"OMP_NUM_THREADS": "2"},
        }
    )


class NightlyRun:
    """Starts the DAG for the newest complete interval, or by hand where that one has run, and waits for its end."""

    def __init__(self, airflow: AirflowHome, console: Console) -> None:
        self._airflow, self._console = airflow, console

    def run(self) -> None:
        """Raises BadData, Misconfigured or TryAgain, as the job that failed calls it, with its last line."""
        before = {run["dag_run_id"] for run in self._airflow.runs(DAG_ID)}
        self._airflow.unpause(DAG_ID)
        if before:
            self._airflow.call("POST", f"dags/{DAG_ID}/dagRuns", {"logical_date": None, "conf": OF_ANOTHER_RUN})
        self._airflow.wait_until(lambda: bool(self._new_run(before)), "the nightly run to begin", 120)
        run = self._new_run(before)
        assert run is not None
        self._follow(run["dag_run_id"])

    def _new_run(self, before: set[str]) -> dict[str, Any] | None:
        return next((run for run in self._airflow.runs(DAG_ID) if run["dag_run_id"] not in before), None)

    def _follow(self, run_id: str) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, disable=not self._console.is_terminal) as progress:
            names: list[str] = []
            bar = progress.add_task(DAG_ID, total=None)
            seen: dict[str, str] = {}
            while True:
                tasks = self._airflow.tasks(DAG_ID, run_id)
                names = names or [task["task_id"] for task in tasks]
                for task in tasks:
                    self._tell(seen, task)
                done = sum(task["state"] in ("success", "skipped") for task in tasks)
                running = next((task["task_id"] for task in tasks if task["state"] == "running"), DAG_ID)
                progress.update(bar, total=len(names) or None, completed=done, description=running)
                if tasks and done == len(tasks):
                    return
                if failed := next((task for task in tasks if task["state"] == "failed"), None):
                    raise self._failure(run_id, failed)
                time.sleep(POLL_S)

    def _tell(self, seen: dict[str, str], task: dict[str, Any]) -> None:
        """A line for each task that has ended, or is to be tried again."""
        name, state = task["task_id"], task["state"]
        if state != seen.get(name) and state in ("success", "skipped", "up_for_retry", "failed"):
            seconds = f": {task['duration']:.1f} s" if task.get("duration") else ""
            self._console.print(f"  {DAG_ID} {name} {state}{seconds}", highlight=False)
        seen[name] = state

    def _failure(self, run_id: str, task: dict[str, Any]) -> ShopLensError:
        """It names the log and not the page, which ends with the demo."""
        tried = (DAG_ID, run_id, task["task_id"], task["try_number"])
        said = said_last(self._airflow.task_log(*tried))
        kind = next((kind for note, kind in FINAL.items() if said.endswith(note)), TryAgain)
        for advice, instead in ADVICE.items():
            said = said.replace(advice, instead)
        return kind(
            f"task {task['task_id']} failed: {said[:SAID_MAX_CHARS]}; its log is {self._airflow.task_log_path(*tried)}"
        )


def said_last(log: str) -> str:
    """What a task's log ends in: the text of its last error, where it has one."""
    lines = log.splitlines() or ["no log"]
    last = next((line for line in reversed(lines) if '"error"' in line or "ERROR" in line), lines[-1])
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        last = str(json.loads(last)["error_detail"][0]["exc_value"])
    return last
