"""Three nights on a real scheduler with the real jobs, backfilled twice.

The jobs share one warm Spark (warm_jobs.py): 22 start-ups would be most of the test. `make demo` starts each by itself.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.airflow_home import LOCKED_TRIES, AirflowFailed, AirflowHome, start_airflow

pytestmark = [pytest.mark.full, pytest.mark.timeout(3000)]

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = ROOT / ".venv/pipeline/bin"
DAG = "catalog_nightly"
TASKS = ["build", "embed", "evaluate", "fetch", "ingest", "publish"]
NIGHTS = 3
PRODUCTS = 24


@dataclass(frozen=True)
class Shop:
    """A small shop with an export for each night. `nights` are the ends of intervals, oldest first."""

    folder: Path
    nights: list[datetime]

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    def table_versions(self) -> dict[str, int]:
        """The newest Delta version of each table, by its path."""
        logs = [path for path in self.lake.rglob("_delta_log") if path.is_dir()]
        return {
            log.parent.relative_to(self.lake).as_posix(): max(int(entry.stem) for entry in log.glob("*[0-9].json"))
            for log in logs
        }

    def pointer(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "store/CURRENT").read_text(encoding="utf-8")))

    def receipt(self, night: datetime, job: str) -> dict[str, Any]:
        path = self.folder / f"store/runs/{DAG}/{night:%Y%m%dT%H%M%SZ}/{job}.json"
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def settings(self) -> str:
        """The Airflow Variable of this shop's deployment."""
        return json.dumps({
            "lake": str(self.lake), "store": str(self.folder / "store"), "model": str(self.folder / "model"),
            "catalog": str(self.folder / "exports/{end:%Y-%m-%d}"), "mapping": str(self.folder / "mapping.toml"),
            "python": str(self.folder / "python"), "project": str(ROOT),
            "arguments": {"fetch_images": ["--allowed-root", str(self.folder)]},
        })  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The newest night is the last that is complete, so that the scheduler finds nothing to add to the backfill."""
    folder = tmp_path_factory.mktemp("shop")
    now = datetime.now(UTC)
    newest = now.replace(hour=2, minute=0, second=0, microsecond=0)
    newest -= timedelta(days=1) if newest > now else timedelta()
    nights = [newest - timedelta(days=NIGHTS - 1 - number) for number in range(NIGHTS)]
    shown = folder / "shown"
    for day, night in enumerate(nights):
        _pipeline(
            "-m", "demo.catalog", "--out", shown, "--products", PRODUCTS, "--day", day, "--base-url", shown.as_uri()
        )
        export = folder / f"exports/{night:%Y-%m-%d}"
        export.mkdir(parents=True)
        shutil.copy(shown / "catalog.csv", export)
    shutil.copy(shown / "mapping.toml", folder)
    _pipeline("-m", "tests.packaged_model", folder / "model")
    return Shop(folder, nights)


@pytest.fixture(scope="module")
def warm_python(shop: Shop) -> Iterator[None]:
    """A program in the place of the pipeline environment's Python, and what it calls."""
    address = shop.folder / "jobs"
    program = shop.folder / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {ROOT}/tests/dags/warm_jobs.py {address} "$@"\n')
    program.chmod(0o755)
    server = subprocess.Popen(
        [str(PIPELINE / "python"), "-m", "tests.dags.warm_jobs", "serve", str(address)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "2"}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield
    os.killpg(server.pid, signal.SIGTERM)
    server.wait()


@pytest.fixture(scope="module")
def airflow(shop: Shop, warm_python: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    home = tmp_path_factory.mktemp("airflow")
    with start_airflow(home, environment={"AIRFLOW_VAR_SHOPLENS": shop.settings()}) as running:
        yield running


def test_nights_backfilled_twice_leave_the_same_rows_and_the_newest_index(shop: Shop, airflow: AirflowHome) -> None:
    # Newest first: the older two land beside it and do not move it. The second time in their own order.
    create_backfill(airflow, shop, "--run-backwards")
    airflow.unpause(DAG)
    wait_for_backfill(airflow)
    versions, pointer = shop.table_versions(), shop.pointer()
    assert pointer["interval_end"] == f"{shop.nights[-1]:%Y%m%dT%H%M%SZ}"

    create_backfill(airflow, shop, "--reprocess-behavior", "completed")
    wait_for_backfill(airflow)

    assert every_try(airflow) == {
        (f"{night - timedelta(days=1):%Y-%m-%d}", task): ["success", "success"]
        for night in shop.nights
        for task in TASKS
    }
    rows = compare(shop, versions, shop.table_versions())
    assert {path: found for path, found in rows.items() if found["lost"] or found["gained"]} == {}
    assert rows["products"]["rows"] >= PRODUCTS
    assert rows["images"]["rows"] > PRODUCTS
    assert shop.pointer()["live"] == pointer["live"]
    assert shop.pointer()["generation"] >= pointer["generation"]
    assert shop.pointer()["interval_end"] == pointer["interval_end"]
    assert [shop.receipt(night, "publish")["facts"].get("skipped") for night in shop.nights] == [
        "an older interval", "an older interval", None,
    ]  # fmt: skip


def create_backfill(airflow: AirflowHome, shop: Shop, *more: str) -> None:
    """Again where SQLite was locked after Airflow had noted the backfill and before it had its runs."""
    first, last = (night - timedelta(days=1) for night in (shop.nights[0], shop.nights[-1]))
    for _ in range(LOCKED_TRIES):
        try:
            airflow.command(
                "backfill", "create", "--dag-id", DAG, "--max-active-runs", "1",
                "--from-date", first.isoformat(), "--to-date", last.isoformat(), *more,
            )  # fmt: skip
            return
        except AirflowFailed as error:
            if "AlreadyRunningBackfill" not in str(error):
                raise
            for backfill in airflow.call("GET", f"backfills?dag_id={DAG}")["backfills"]:
                if not backfill["completed_at"]:
                    airflow.call("PUT", f"backfills/{backfill['id']}/cancel")
    pytest.fail("SQLite was locked each time")


def wait_for_backfill(airflow: AirflowHome) -> None:
    """Wait until the scheduler calls every backfill complete. Fails at once where a run does."""

    def done() -> bool:
        if failed := [run["dag_run_id"] for run in airflow.runs(DAG) if run["state"] == "failed"]:
            pytest.fail(_why(airflow, failed[0]))
        backfills = airflow.call("GET", f"backfills?dag_id={DAG}")["backfills"]
        return all(backfill["completed_at"] for backfill in backfills)

    airflow.wait_until(done, f"the backfill of {NIGHTS} nights", timeout_s=1400)


def every_try(airflow: AirflowHome) -> dict[tuple[str, str], list[str]]:
    """The states of all tries, by logical date and task."""
    found = {}
    for run in airflow.runs(DAG):
        for task in TASKS:
            path = f"dags/{DAG}/dagRuns/{run['dag_run_id']}/taskInstances/{task}/tries"
            tries = airflow.call("GET", path)["task_instances"]
            found[run["logical_date"][:10], task] = [one["state"] for one in tries]
    return found


def compare(shop: Shop, before: dict[str, int], after: dict[str, int]) -> dict[str, dict[str, int]]:
    assert set(before) == set(after)
    versions = {path: [before[path], after[path]] for path in before}
    return dict(
        json.loads(_pipeline("-m", "tests.dags.differing_rows", shop.lake, json.dumps(versions)).splitlines()[-1])
    )


def _why(airflow: AirflowHome, run_id: str) -> str:
    """The end of the log of the task that failed."""
    for task in airflow.tasks(DAG, run_id):
        if task["state"] == "failed":
            log = airflow.task_log(DAG, run_id, task["task_id"], task["try_number"])
            events = [str(json.loads(line)["event"]) for line in log.splitlines()]
            return f"{task['task_id']} of {run_id} failed:\n" + "\n".join(events[-40:])
    return f"{run_id} failed"


def _pipeline(*arguments: object) -> str:
    done = subprocess.run(
        [str(PIPELINE / "python"), *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
