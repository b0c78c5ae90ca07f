import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, CronDataIntervalTimetable
from airflow.sdk.exceptions import ParamValidationError

from dags.spark_job import SparkJobOperator, argument_list

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def weekly() -> DAG:
    bag = DagBag(dag_folder=ROOT / "dags/maintenance_weekly.py")
    assert bag.import_errors == {}
    return bag.dags["maintenance_weekly"]


def test_weeks_are_data_intervals_in_utc_and_a_missed_one_is_not_made_up_for(weekly: DAG) -> None:
    assert weekly.timetable == CronDataIntervalTimetable("0 12 * * 0", timezone="UTC")
    assert weekly.start_date == datetime(2026, 1, 4, 12, tzinfo=UTC)
    assert (weekly.catchup, weekly.max_active_runs) == (False, 1)


def job_of(weekly: DAG) -> SparkJobOperator:
    (task,) = (task for task in weekly.tasks if isinstance(task, SparkJobOperator))
    return task


def test_it_is_one_job_in_the_slot_that_hours_and_nights_begin_with(weekly: DAG) -> None:
    task = job_of(weekly)
    assert (task.job, task.pool) == ("maintain", "lake_catalog")
    assert (ROOT / "spark_jobs" / f"{task.job}.py").exists()
    assert task.pool in json.loads((ROOT / "dags/pools.json").read_text())


@pytest.mark.parametrize(("running", "goes_on"), [(0, True), (1, False)])
def test_it_waits_for_a_night_that_is_under_way(weekly: DAG, running: int, goes_on: bool) -> None:
    waiting = weekly.task_dict["no_night_runs"]
    assert waiting.downstream_task_ids == {"maintain"}
    assert waiting.reschedule
    asked: list[dict[str, object]] = []

    def get_dr_count(**question: object) -> int:
        asked.append(question)
        return running

    assert waiting.poke({"ti": SimpleNamespace(get_dr_count=get_dr_count)}) is goes_on
    assert asked == [{"dag_id": "catalog_nightly", "states": ["running"]}]


def test_it_ends_in_time_and_is_tried_again_at_growing_intervals(weekly: DAG) -> None:
    task = job_of(weekly)
    assert task.execution_timeout == timedelta(hours=6)
    assert (task.retries, task.retry_delay, task.retry_exponential_backoff) == (3, timedelta(minutes=2), 2)


def test_ages_count_to_the_end_of_the_interval_and_not_to_the_clock(weekly: DAG) -> None:
    task = job_of(weekly)
    assert task.options["--as-of"] == "{{ interval(dag_run).end.isoformat() }}"


@pytest.mark.parametrize(("dry_run", "said"), [(True, ["--dry-run"]), (False, [])])
def test_a_dry_run_is_a_flag(weekly: DAG, dry_run: bool, said: list[str]) -> None:
    task = job_of(weekly)
    weekly.params.validate()
    template = task.options["--dry-run"]
    assert template == "{{ params.dry_run }}"
    assert weekly.render_template_as_native_obj
    assert argument_list({"--dry-run": dry_run}) == said
    with pytest.raises(ParamValidationError):
        weekly.params.get_param("dry_run").resolve("yes")


def test_its_page_says_what_goes_and_how_to_see_it_first(weekly: DAG) -> None:
    text = weekly.doc_md or ""
    assert all(f"| {task.task_id} |" in text for task in weekly.tasks)
    assert "shoplens clean --store" in text
    assert all(parameter in text for parameter in weekly.params)


def test_parsing_brings_in_none_of_what_jobs_compute_with() -> None:
    code = (
        "import sys, dags.maintenance_weekly\n"
        "print(sorted({'pyspark', 'torch', 'boto3', 'numpy', 'pandas', 'faiss', 'retrieval'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]"
