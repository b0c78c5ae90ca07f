"""The calls that reach EMR, checked by botocore against AWS's own description of them."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from airflow.providers.amazon.aws.hooks.emr import EmrHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from botocore.stub import Stubber

from dags.deployment import EmrCluster
from dags.emr_steps import UNFINISHED_STATES, EmrSteps, JobRun, spark_submit
from dags.spark_job import SparkJobOperator
from schemas.errors import Misconfigured

CLUSTER = EmrCluster(code="s3://shop/code/1.0", cluster_id="j-1ABC", files=("s3://shop/shop.toml",))
RUN = JobRun(
    dag="catalog_nightly", interval_key="20260131T020000Z", job="embed_images", store="s3://shop/store",
    arguments=("--lake", "s3://shop/lake", "--model", "default-1a2b"),
)  # fmt: skip
BEGUN = datetime(2026, 1, 31, 2, tzinfo=UTC)
OPTIONS = {
    "--lake": "s3://shop/lake", "--dag": "catalog_nightly",
    "--interval-start": "2026-01-30T02:00:00+00:00", "--interval-end": "2026-01-31T02:00:00+00:00",
}  # fmt: skip


@pytest.fixture
def emr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    yield from _stubbed("emr", EmrHook, monkeypatch)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    yield from _stubbed("s3", S3Hook, monkeypatch)


def _stubbed(service: Any, hook: type, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client = boto3.client(service, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    monkeypatch.setattr(hook, "get_conn", lambda self: client)
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> SparkJobOperator:
    """A task whose templates were rendered, in a deployment that submits to EMR."""
    settings = {
        "lake": "s3://shop/lake", "store": "s3://shop/store", "catalog": "c", "mapping": "m", "model": "m",
        "submit": "emr", "emr": {"cluster_id": "j-1ABC", "code": "s3://shop/code/1.0", "poll_seconds": 60},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_VAR_SHOPLENS", json.dumps(settings))
    operator = SparkJobOperator(task_id="embed", job="embed_images", execution_timeout=timedelta(hours=12))
    operator.options = dict(OPTIONS)
    return operator


def step_status(state: str, **more: Any) -> dict[str, Any]:
    return {"Step": {"Id": "s-1", "Status": {"State": state, "Timeline": {"CreationDateTime": BEGUN}, **more}}}


def note(stubber: Stubber, exit_code: int, message: str, written: datetime) -> None:
    body = json.dumps({"exit_code": exit_code, "error": "E", "message": message}).encode()
    stubber.add_response(
        "get_object",
        {"Body": io.BytesIO(body), "LastModified": written},
        {"Bucket": "shop", "Key": "store/runs/catalog_nightly/20260131T020000Z/embed_images.failure.json"},
    )


def test_a_step_runs_the_job_with_the_arguments_of_a_local_process() -> None:
    command = spark_submit(CLUSTER, RUN, {"OMP_NUM_THREADS": "2"})
    assert command[-5:] == ["s3://shop/code/1.0/spark_jobs/embed_images.py", *RUN.arguments]
    assert command[:3] == ["spark-submit", "--deploy-mode", "cluster"]
    assert "s3://shop/code/1.0/environment.tar.gz#environment" in command
    assert command[command.index("--files") + 1] == "s3://shop/shop.toml"
    for where in ("yarn.appMasterEnv", "executorEnv"):
        assert f"spark.{where}.SHOPLENS_SPARK=cluster" in command
        assert f"spark.{where}.PYSPARK_PYTHON=./environment/bin/python" in command
        assert f"spark.{where}.OMP_NUM_THREADS=2" in command
    assert "spark.yarn.maxAppAttempts=1" in command


def test_a_job_is_added_as_a_step_that_leaves_the_cluster_up(emr: Stubber) -> None:
    emr.add_response("list_steps", {"Steps": []}, {"ClusterId": "j-1ABC", "StepStates": UNFINISHED_STATES})
    step = {
        "Name": RUN.step_name, "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": spark_submit(CLUSTER, RUN, {})},
    }  # fmt: skip
    emr.add_response("add_job_flow_steps", {"StepIds": ["s-1"]}, {"JobFlowId": "j-1ABC", "Steps": [step]})
    emr.client.meta.events.register("after-call", _with_status)
    assert EmrSteps(CLUSTER).submit("j-1ABC", RUN, {}) == "s-1"


def _with_status(parsed: dict[str, Any], **_: Any) -> None:
    parsed.setdefault("ResponseMetadata", {"HTTPStatusCode": 200})


def test_a_task_that_lost_its_worker_finds_its_step_again(emr: Stubber) -> None:
    steps = [{"Id": "s-8", "Name": "another"}, {"Id": "s-9", "Name": RUN.step_name}]
    emr.add_response("list_steps", {"Steps": steps}, {"ClusterId": "j-1ABC", "StepStates": UNFINISHED_STATES})
    assert EmrSteps(CLUSTER).submit("j-1ABC", RUN, {}) == "s-9"


def test_other_arguments_are_another_step() -> None:
    other = JobRun(**{**RUN.__dict__, "arguments": ("--lake", "s3://other")})
    assert other.step_name != RUN.step_name
    assert len(RUN.step_name) <= 256


def test_a_cluster_that_is_not_there_is_a_matter_of_configuration(emr: Stubber) -> None:
    emr.add_response("list_clusters", {"Clusters": []})
    with pytest.raises(Misconfigured, match="no EMR cluster named 'nightly'"):
        EmrSteps(EmrCluster(code="s3://c", cluster_name="nightly")).cluster_id()


def test_the_task_waits_without_a_worker_for_as_long_as_it_may_run(
    emr: Stubber, task: SparkJobOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EmrSteps, "submit", lambda self, cluster_id, run, environment: "s-1")
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})  # type: ignore[typeddict-item]
    _, waits = deferred.value.trigger.serialize()
    assert (waits["job_flow_id"], waits["step_ids"]) == ("j-1ABC", ["s-1"])
    assert waits["waiter_delay"] * waits["waiter_max_attempts"] >= 12 * 3600
    emr.add_response(
        "cancel_steps", {},
        {"ClusterId": "j-1ABC", "StepIds": ["s-1"], "StepCancellationOption": "TERMINATE_PROCESS"},
    )  # fmt: skip
    task.on_kill()


def test_a_finished_step_is_a_success(emr: Stubber, task: SparkJobOperator) -> None:
    emr.add_response("describe_step", step_status("COMPLETED"))
    task.resume({}, {"status": "success"}, "j-1ABC", "s-1")  # type: ignore[typeddict-item]


def test_a_step_that_failed_on_bad_data_is_not_tried_again(emr: Stubber, s3: Stubber, task: SparkJobOperator) -> None:
    emr.add_response("describe_step", step_status("FAILED"))
    note(s3, 65, "embed_images: 9 of 10 rows are bad", BEGUN + timedelta(minutes=5))
    with pytest.raises(AirflowFailException, match="9 of 10 rows are bad"):
        task.resume({}, {"status": "error"}, "j-1ABC", "s-1")  # type: ignore[typeddict-item]


def test_what_an_earlier_step_noted_says_nothing_about_this_one(
    emr: Stubber, s3: Stubber, task: SparkJobOperator
) -> None:
    emr.add_response("describe_step", step_status("FAILED", FailureDetails={"Reason": "Lost the node."}))
    note(s3, 65, "embed_images: yesterday's failure", BEGUN - timedelta(minutes=5))
    with pytest.raises(AirflowException, match="Lost the node") as raised:
        task.resume({}, {"status": "error"}, "j-1ABC", "s-1")  # type: ignore[typeddict-item]
    assert not isinstance(raised.value, AirflowFailException)


def test_a_step_that_noted_nothing_is_tried_again(emr: Stubber, s3: Stubber, task: SparkJobOperator) -> None:
    emr.add_response("describe_step", step_status("CANCELLED"))
    s3.add_client_error("get_object", "NoSuchKey")
    with pytest.raises(AirflowException, match="the step is CANCELLED"):
        task.resume({}, {"status": "error"}, "j-1ABC", "s-1")  # type: ignore[typeddict-item]


def test_a_step_that_outlasts_its_task_is_cancelled(emr: Stubber, task: SparkJobOperator) -> None:
    emr.add_response("describe_step", step_status("RUNNING"))
    emr.add_response("cancel_steps", {})
    with pytest.raises(AirflowException, match="was cancelled: waited too long"):
        task.resume({}, {"status": "error", "message": "waited too long"}, "j-1ABC", "s-1")  # type: ignore[typeddict-item]
