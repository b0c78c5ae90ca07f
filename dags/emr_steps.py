"""A job as a step on an EMR cluster: the same arguments behind spark-submit.

Imported when a task runs, not when the DAG is parsed: it brings boto3.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.amazon.aws.hooks.emr import EmrHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from dags.deployment import EmrCluster
from schemas.errors import Misconfigured
from schemas.receipts import failure_key

ACCEPTING_STATES = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
UNFINISHED_STATES = ["PENDING", "CANCEL_PENDING", "RUNNING"]


@dataclass(frozen=True)
class JobRun:
    """One job of one run. `arguments` are those that a local process would get."""

    dag: str
    interval_key: str
    job: str
    store: str
    arguments: tuple[str, ...]

    @property
    def step_name(self) -> str:
        """The same for the same arguments, so that a task that lost its worker finds its step again."""
        digest = hashlib.sha256("\0".join(self.arguments).encode()).hexdigest()[:12]
        return f"{self.dag} {self.interval_key} {self.job} {digest}"


def spark_submit(cluster: EmrCluster, run: JobRun, environment: Mapping[str, str]) -> list[str]:
    """The command of a step: a driver in the cluster, in the environment that the code folder holds."""
    python = "./environment/bin/python"
    variables = {**environment, "SHOPLENS_SPARK": "cluster", "PYSPARK_PYTHON": python}
    conf = {f"spark.yarn.appMasterEnv.{name}": value for name, value in variables.items()}
    conf |= {f"spark.executorEnv.{name}": value for name, value in variables.items()}
    # Airflow retries, with its own delays; and only it knows which failures not to repeat.
    conf |= {"spark.yarn.maxAppAttempts": "1"} | cluster.conf
    command = ["spark-submit", "--deploy-mode", "cluster", "--name", run.step_name]
    command += ["--archives", f"{cluster.code}/environment.tar.gz#environment"]
    if cluster.files:
        command += ["--files", ",".join(cluster.files)]
    for name, value in sorted(conf.items()):
        command += ["--conf", f"{name}={value}"]
    return [*command, f"{cluster.code}/spark_jobs/{run.job}.py", *run.arguments]


class EmrSteps:
    """The steps of one cluster."""

    def __init__(self, cluster: EmrCluster) -> None:
        self.cluster = cluster
        self._hook = EmrHook(aws_conn_id=cluster.connection, region_name=cluster.region)

    def cluster_id(self) -> str:
        """Raises Misconfigured where no cluster of the configured name takes steps."""
        if self.cluster.cluster_id:
            return self.cluster.cluster_id
        name = self.cluster.cluster_name or ""
        found = self._hook.get_cluster_id_by_name(name, ACCEPTING_STATES)
        if not found:
            raise Misconfigured(f"no EMR cluster named {name!r} takes steps: start it, or set emr.cluster_id")
        return found

    def submit(self, cluster_id: str, run: JobRun, environment: Mapping[str, str]) -> str:
        """Add a step, or find the one that an earlier try of the same task left unfinished. Returns its id."""
        for page in (
            self._client().get_paginator("list_steps").paginate(ClusterId=cluster_id, StepStates=UNFINISHED_STATES)
        ):
            for step in page["Steps"]:
                if step["Name"] == run.step_name:
                    return str(step["Id"])
        step = {
            "Name": run.step_name,
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": spark_submit(self.cluster, run, environment)},
        }
        added = self._hook.add_job_flow_steps(cluster_id, [step], execution_role_arn=self.cluster.role)
        return str(added[0])

    def status(self, cluster_id: str, step_id: str) -> dict[str, Any]:
        described = self._client().describe_step(ClusterId=cluster_id, StepId=step_id)
        return dict(described["Step"]["Status"])

    def cancel(self, cluster_id: str, step_id: str) -> None:
        self._client().cancel_steps(ClusterId=cluster_id, StepIds=[step_id], StepCancellationOption="TERMINATE_PROCESS")

    def failure(self, run: JobRun, status: Mapping[str, Any]) -> tuple[int, str]:
        """Exit code and line of a failed step: what the job noted in the store since the step began, or (1, the step's)."""
        details = status.get("FailureDetails", {})
        said = " ".join(details[key] for key in ("Reason", "Message", "LogFile") if details.get(key))
        noted = self._noted_failure(run, status["Timeline"]["CreationDateTime"])
        return noted or (1, said or f"the step is {status['State']}")

    def _noted_failure(self, run: JobRun, since: datetime) -> tuple[int, str] | None:
        store = urlsplit(run.store)
        key = "/".join(
            part for part in (store.path.strip("/"), failure_key(run.dag, run.interval_key, run.job)) if part
        )
        objects: Any = S3Hook(aws_conn_id=self.cluster.connection, region_name=self.cluster.region).get_conn()
        try:
            found = objects.get_object(Bucket=store.netloc, Key=key)
        except objects.exceptions.NoSuchKey:
            return None
        if found["LastModified"] < since:
            return None
        noted = json.loads(found["Body"].read())
        return int(noted["exit_code"]), str(noted["message"])

    def _client(self) -> Any:
        return self._hook.get_conn()
