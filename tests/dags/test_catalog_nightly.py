import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, CronDataIntervalTimetable
from airflow.sdk.exceptions import ParamValidationError

from dags.spark_job import SparkJobOperator

ROOT = Path(__file__).resolve().parents[2]
CHAIN = ["ingest", "fetch", "embed", "build", "evaluate", "publish"]


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(dag_folder=ROOT / "dags")


@pytest.fixture
def nightly(bag: DagBag) -> DAG:
    return bag.dags["catalog_nightly"]


def test_the_dag_folder_imports_without_errors(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert {"catalog_nightly", "maintenance_weekly"} <= set(bag.dags)


def test_parsing_brings_in_none_of_what_jobs_compute_with() -> None:
    code = (
        "import sys, dags.catalog_nightly\n"
        "print(sorted({'pyspark', 'torch', 'boto3', 'numpy', 'pandas', 'faiss', 'retrieval'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_tasks_stand_in_one_line(nightly: DAG) -> None:
    assert [task.task_id for task in nightly.topological_sort()] == CHAIN
    assert [nightly.task_dict[name].downstream_task_ids for name in CHAIN] == [*({name} for name in CHAIN[1:]), set()]


def test_every_job_is_a_module_of_spark_jobs(nightly: DAG) -> None:
    jobs = {task.job for task in nightly.tasks if isinstance(task, SparkJobOperator)}
    assert len(jobs) == len(CHAIN)
    assert {job for job in jobs if not (ROOT / "spark_jobs" / f"{job}.py").exists()} == set()


def test_every_task_waits_for_a_slot_of_a_pool_that_one_command_makes(nightly: DAG) -> None:
    pools = json.loads((ROOT / "dags/pools.json").read_text())
    assert {task.pool for task in nightly.tasks} == set(pools)
    assert {pool["slots"] for pool in pools.values()} == {1}
    # A task that waits for a step on EMR still writes the table.
    assert all(pool["include_deferred"] for pool in pools.values())
    assert nightly.task_dict["embed"].pool == "gpu"


def test_nights_are_data_intervals_in_utc(nightly: DAG) -> None:
    assert nightly.timetable == CronDataIntervalTimetable("0 2 * * *", timezone="UTC")
    assert nightly.start_date == datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert nightly.catchup is False


def test_tasks_end_in_time_and_are_tried_again_at_growing_intervals(nightly: DAG) -> None:
    for task in nightly.tasks:
        assert task.execution_timeout is not None
        assert (task.retries, task.retry_delay, task.retry_exponential_backoff) == (3, timedelta(minutes=2), 2)


def test_the_page_of_the_dag_says_how_to_backfill(nightly: DAG) -> None:
    assert "airflow backfill create --dag-id catalog_nightly" in (nightly.doc_md or "")
    assert all(f"| {name} |" in (nightly.doc_md or "") for name in CHAIN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "everything"), ("max_deleted_share", 1.5), ("max_deleted_share", "a fifth"), ("catalog", 7),
        ("redrive_reasons", ["boredom"]), ("redrive_reasons", "http_429"), ("kind", "hnsw"), ("recall_goal", 0),
        ("build_old", "yes"),
    ],
)  # fmt: skip
def test_a_trigger_with_a_wrong_parameter_is_refused(nightly: DAG, name: str, value: object) -> None:
    with pytest.raises(ParamValidationError):
        nightly.params.get_param(name).resolve(value)


@pytest.mark.parametrize("reason", ["http_429", "truncated", "blurred", "unsafe"])
def test_what_failed_as_a_link_and_what_was_rejected_as_a_photo_can_be_redriven(nightly: DAG, reason: str) -> None:
    assert nightly.params.get_param("redrive_reasons").resolve([reason]) == [reason]


def test_every_parameter_is_explained_and_its_default_fits(nightly: DAG) -> None:
    nightly.params.validate()
    assert [name for name in nightly.params if not nightly.params.get_param(name).description] == []
