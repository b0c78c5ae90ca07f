import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, CronDataIntervalTimetable
from airflow.sdk.exceptions import AirflowException, AirflowFailException, ParamValidationError

from dags.catalog_hourly import RUNS
from dags.receipts import read_receipt
from dags.spark_job import SparkJobOperator, changes_of, read_deployment
from schemas.receipts import Receipt, receipt_key

ROOT = Path(__file__).resolve().parents[2]
HOUR = datetime(2026, 1, 31, 3, tzinfo=UTC)
RUN = SimpleNamespace(data_interval_start=HOUR - timedelta(hours=1), data_interval_end=HOUR, run_after=HOUR)


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(dag_folder=ROOT / "dags")


@pytest.fixture
def hourly(bag: DagBag) -> DAG:
    return bag.dags["catalog_hourly"]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The object store of a deployment that this test's tasks run in."""
    settings = {
        "lake": "/lake", "store": str(tmp_path), "catalog": "/exports", "changes": "/changes/{end:%Y-%m-%dT%H}",
        "mapping": "shop.toml", "model": "m", "python": "python",
        "arguments": {"fetch_images": ["--per-host-at-once", "8"], "publish": ["--new-lake"]},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_VAR_SHOPLENS", json.dumps(settings))
    return tmp_path


def command_of(dag: DAG, task_id: str, **given: str) -> list[str]:
    """The arguments that a task gives to its job, with the DAG's own parameters, or what its trigger gave."""
    task = dag.task_dict[task_id]
    assert isinstance(task, SparkJobOperator)
    context: Any = {"dag": dag, "dag_run": RUN, "params": {**dag.params.dump(), **given}}
    rendered = task.render_template(task.options, context, jinja_env=dag.get_template_env())
    task = SparkJobOperator(task_id=task_id, job=task.job, runs=task.runs)
    task.options = rendered
    return task._arguments(read_deployment())


def parse(commands: dict[str, list[str]]) -> dict[str, Any]:
    """What each job's own parser makes of its command, in the pipeline environment."""
    code = (
        "import importlib, json, sys\n"
        "from unittest import mock\n"
        "seen = {}\n"
        "for job, words in json.load(sys.stdin).items():\n"
        "    module = importlib.import_module('spark_jobs.' + job)\n"
        "    with mock.patch.object(module, 'run_job', lambda job, parser, body, argv: parser.parse_args(argv)):\n"
        "        made = module.main(words)\n"
        "    if job == 'apply_changes':\n"
        "        seen |= {step: vars(module.parse_step(step, made)) for step in module.STEPS}\n"
        "    seen[job] = vars(made)\n"
        "print(json.dumps(seen, default=str))"
    )
    done = subprocess.run(
        [str(ROOT / ".venv/pipeline/bin/python"), "-c", code],
        cwd=ROOT, input=json.dumps(commands), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_one_application_and_then_a_rebuild_where_it_is_wanted(hourly: DAG) -> None:
    assert [task.task_id for task in hourly.topological_sort()] == ["apply", "rebuild_wanted", "rebuild"]
    assert hourly.task_dict["apply"].downstream_task_ids == {"rebuild_wanted"}
    assert hourly.task_dict["rebuild_wanted"].downstream_task_ids == {"rebuild"}


def test_hours_are_caught_up_one_at_a_time(hourly: DAG) -> None:
    assert hourly.timetable == CronDataIntervalTimetable("0 * * * *", timezone="UTC")
    assert (hourly.catchup, hourly.max_active_runs) == (True, 1)
    apply = hourly.task_dict["apply"]
    assert (apply.pool, apply.retries) == ("lake_catalog", 3)
    assert all(task.execution_timeout is not None for task in hourly.tasks)


def test_only_a_catalog_of_the_interval_may_be_late(bag: DagBag, store: Path) -> None:
    night = bag.dags["catalog_nightly"]
    assert "--may-be-late" not in command_of(night, "ingest")
    assert "--may-be-late" in command_of(night, "ingest", catalog="s3://shop/{end:%Y-%m-%d}")
    assert "--may-be-late" not in command_of(bag.dags["catalog_hourly"], "apply", catalog="/by/hand")


@pytest.mark.parametrize(
    ("since", "first"), [("2026-11-21T02:00:00+00:00", "2026-11-21T02:00:00+00:00"), ("", "2026-01-01T02:00:00+00:00")]
)
def test_a_shop_says_which_hour_is_the_first(since: str, first: str) -> None:
    code = "from dags.catalog_hourly import FIRST_HOUR; print(FIRST_HOUR.isoformat())"
    done = subprocess.run(
        [str(ROOT / ".venv/airflow/bin/python"), "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={"SHOPLENS_HOURLY_SINCE": since, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.split()[-1] == first


@pytest.mark.parametrize(("name", "value"), [("mode", "nothing"), ("catalog", 7), ("mapping", 7)])
def test_a_trigger_with_a_wrong_parameter_is_refused(hourly: DAG, name: str, value: object) -> None:
    with pytest.raises(ParamValidationError):
        hourly.params.get_param(name).resolve(value)
    hourly.params.validate()
    assert all(hourly.params.get_param(name).description for name in hourly.params)


def test_what_the_hour_and_the_night_are_told_fits_the_parsers_of_their_jobs(bag: DagBag, store: Path) -> None:
    commands = {"apply_changes": command_of(bag.dags["catalog_hourly"], "apply")}
    nightly = bag.dags["catalog_nightly"]
    commands |= {task.job: command_of(nightly, task.task_id) for task in nightly.tasks
                 if isinstance(task, SparkJobOperator) and task.job not in RUNS}  # fmt: skip
    seen = parse(commands)
    assert set(seen) == {*RUNS, "apply_changes", "build_index", "evaluate_index", "publish"}
    assert (seen["ingest_catalog"]["catalog"], seen["ingest_catalog"]["mode"]) == ("/changes/2026-01-31T03", "changes")
    assert seen["ingest_catalog"]["may_be_late"] is True
    assert seen["fetch_images"]["per_host_at_once"] == 8
    assert seen["embed_images"]["model"] == "m"
    assert seen["publish"]["new_lake"] is True
    assert {str(arguments["interval_end"]) for arguments in seen.values()} == {str(HOUR)}


def test_every_job_that_the_application_runs_is_known_to_its_task(store: Path, hourly: DAG) -> None:
    code = "from spark_jobs.apply_changes import STEPS; print(*STEPS)"
    python = str(ROOT / ".venv/pipeline/bin/python")
    said = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert tuple(said.split()) == RUNS
    assert all(f"`{name}`" in (hourly.doc_md or "") for name in ("apply_changes", "catalog_nightly", "lake_catalog"))


def test_changes_come_from_their_own_place_where_the_deployment_has_one(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert changes_of(RUN, None) == "/changes/2026-01-31T03"
    assert changes_of(RUN, "/by/hand") == "/by/hand"
    settings = json.loads(__import__("os").environ["AIRFLOW_VAR_SHOPLENS"])
    monkeypatch.setenv("AIRFLOW_VAR_SHOPLENS", json.dumps({**settings, "changes": None}))
    assert changes_of(RUN, None) == "/exports"


@pytest.mark.parametrize(
    ("wants_rebuild", "builds_running", "goes_on"), [(True, 0, True), (True, 1, False), (False, 0, False)]
)
def test_a_rebuild_is_asked_for_once_and_not_while_a_build_runs(
    hourly: DAG, store: Path, wants_rebuild: bool, builds_running: int, goes_on: bool
) -> None:
    receipt = Receipt("catalog_hourly", "apply_changes", "", "", facts={"wants_rebuild": wants_rebuild})
    path = store / receipt_key("catalog_hourly", "20260131T030000Z", "apply_changes")
    path.parent.mkdir(parents=True)
    path.write_bytes(receipt.to_json())
    asked: list[dict[str, Any]] = []

    def count(**asks: Any) -> int:
        asked.append(asks)
        return builds_running

    task: Any = hourly.task_dict["rebuild_wanted"]
    context = {"dag": hourly, "dag_run": RUN, "ti": SimpleNamespace(get_dr_count=count)}
    assert task.python_callable(**context) is goes_on
    assert asked in ([], [{"dag_id": "catalog_nightly", "states": ["queued", "running"]}])
    rebuild: Any = hourly.task_dict["rebuild"]
    assert (rebuild.trigger_dag_id, rebuild.conf, rebuild.skip_when_already_exists) == (
        "catalog_nightly", {"mode": "nothing"}, True,
    )  # fmt: skip
    assert rebuild.logical_date is None  # else it would take last night's interval, and its receipts' place


def test_a_receipt_that_is_not_there_is_said(store: Path) -> None:
    with pytest.raises(AirflowException, match=r"no receipt runs/catalog_hourly/x/apply_changes\.json"):
        read_receipt(read_deployment(), "catalog_hourly", "x", "apply_changes")


def test_a_damaged_receipt_is_not_tried_again(store: Path) -> None:
    path = store / receipt_key("catalog_hourly", "x", "apply_changes")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(AirflowFailException, match=r"is damaged: .*run apply_changes for this interval again"):
        read_receipt(read_deployment(), "catalog_hourly", "x", "apply_changes")
