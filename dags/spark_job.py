"""One Spark job as a task: a name and options, run on this machine or on EMR as the deployment says."""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator, Variable
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dags.deployment import VARIABLE, Deployment, EmrCluster, parse_deployment
from dags.local_process import LocalProcess, job_environment
from schemas.errors import EXIT_BAD_DATA, EXIT_MISCONFIGURED, Misconfigured
from schemas.intervals import DataInterval, parse_time

if TYPE_CHECKING:
    from airflow.sdk import Context

    from dags.emr_steps import EmrSteps, JobRun

ADDED_BY_PROVIDERS = {"openlineage"}
"""Keys that stand in the conf of a run which another DAG triggered, besides what it was given."""

EXIT_USAGE = 2  # argparse's
NOT_WORTH_A_RETRY = {EXIT_USAGE: "arguments", EXIT_BAD_DATA: "bad data", EXIT_MISCONFIGURED: "configuration"}


def read_deployment() -> Deployment:
    """This deployment's settings. Raises AirflowFailException: no retry mends them."""
    try:
        settings = Variable.get(VARIABLE, default=None, deserialize_json=True)
    except ValueError as error:
        raise AirflowFailException(f"Airflow Variable {VARIABLE} is no JSON ({error}): mend it") from error
    if settings is None:
        raise AirflowFailException(f"there is no Airflow Variable {VARIABLE}: set it, as dags/deployment.py describes")
    try:
        return parse_deployment(settings)
    except Misconfigured as error:
        raise AirflowFailException(str(error)) from error


def interval_of(run: Any) -> DataInterval:
    """The run's data interval; for a run triggered without a logical date, the day up to the trigger, in whole seconds."""
    if run.data_interval_start and run.data_interval_end:
        return DataInterval(run.data_interval_start, run.data_interval_end)
    end = run.run_after.replace(microsecond=0)
    return DataInterval(end - timedelta(days=1), end)


def catalog_of(run: Any, named: str | None) -> str:
    """The catalog that a run reads: `named` by its trigger, else the deployment's; {start} and {end} are the interval's."""
    return _of_interval(run, named or read_deployment().catalog)


def changes_of(run: Any, named: str | None) -> str:
    """As `catalog_of`, for a run that takes changes: the deployment's `changes`, where it has them apart."""
    deployment = read_deployment()
    return _of_interval(run, named or deployment.changes or deployment.catalog)


def may_be_late(named: str) -> bool:
    """Whether a catalog is one interval's own: the export that writes it may not be done when the run begins."""
    return "{" in named


def _of_interval(run: Any, catalog: str) -> str:
    interval = interval_of(run)
    try:
        return catalog.format(start=interval.start, end=interval.end)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise AirflowFailException(f"catalog {catalog!r}: in braces it may hold {{start}} and {{end}} only") from error


def refuse_unknown_params(context: Mapping[str, Any]) -> None:
    """Raises AirflowFailException where a run was triggered with what is no parameter of its DAG.

    Airflow says nothing of it: of a slip in `mode`, the run takes a snapshot where none was meant.
    """
    given = getattr(context.get("dag_run"), "conf", None) or {}
    if unknown := sorted(set(given) - set(context["dag"].params) - ADDED_BY_PROVIDERS) if given else []:
        known = ", ".join(sorted(context["dag"].params))
        raise AirflowFailException(f"{unknown[0]} is no parameter of this DAG: trigger it again with some of {known}")


def argument_list(options: Mapping[str, Any]) -> list[str]:
    """A command line: None and False are left out, True is a flag, a list repeats its option."""
    arguments: list[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        if value is True:
            arguments.append(name)
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            arguments += [name, str(one)]
    return arguments


class SparkJobOperator(BaseOperator):
    """Runs `spark_jobs.<job>` with the options that all jobs take and `options` (templated; see `argument_list`).

    A job that runs others in one process names them as `runs`: what the deployment adds to theirs is handed on to it.
    Its DAG renders templates as native objects and has JOB_MACROS. Exit codes 65 and 78 fail the task at once,
    any other failure is retried.
    """

    template_fields: Sequence[str] = ("options",)
    ui_color = "#e8f0e4"

    def __init__(
        self, *, job: str, options: Mapping[str, Any] | None = None, runs: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.job, self.runs = job, tuple(runs)
        self.options = {
            "--lake": "{{ deployment().lake }}",
            "--store": "{{ deployment().store }}",
            "--dag": "{{ dag.dag_id }}",
            "--interval-start": "{{ interval(dag_run).start.isoformat() }}",
            "--interval-end": "{{ interval(dag_run).end.isoformat() }}",
            "--as-of": "{{ interval(dag_run).end.isoformat() }}",
            **(options or {}),
        }
        self._local = LocalProcess()
        self._step: tuple[EmrSteps, str, str] | None = None

    def execute(self, context: "Context") -> None:
        refuse_unknown_params(cast(Mapping[str, Any], context))
        deployment = read_deployment()
        if deployment.submit == "emr":
            self._submit_step(deployment, context)
        else:
            self._run_here(deployment)

    def on_kill(self) -> None:
        self._local.stop()
        if self._step:
            steps, cluster_id, step_id = self._step
            steps.cancel(cluster_id, step_id)

    def _arguments(self, deployment: Deployment) -> list[str]:
        handed_on = [f"{job}={word}" for job in self.runs for word in deployment.arguments.get(job, ())]
        own = deployment.arguments.get(self.job, ())
        return [*argument_list({**self.options, "--with": handed_on}), *own]

    def _run_here(self, deployment: Deployment) -> None:
        assert deployment.python is not None
        command = [deployment.python, "-m", f"spark_jobs.{self.job}", *self._arguments(deployment)]
        self.log.info("Running %s", " ".join(command))
        try:
            exit_code, verdict = self._local.run(
                command,
                folder=deployment.project,
                environment=job_environment(os.environ, deployment.environment),
                on_line=self.log.info,
                verdict_prefix=f"{self.job}: ",
            )
        except OSError as error:
            raise AirflowFailException(f"cannot start {deployment.python}: {error.strerror}") from error
        self._raise_for(exit_code, verdict)

    def _submit_step(self, deployment: Deployment, context: "Context") -> None:
        from airflow.providers.amazon.aws.triggers.emr import EmrAddStepsTrigger

        cluster, steps, run = self._on_cluster(deployment)
        try:
            cluster_id = steps.cluster_id()
        except Misconfigured as error:
            raise AirflowFailException(str(error)) from error
        step_id = steps.submit(cluster_id, run, deployment.environment)
        self._step = (steps, cluster_id, step_id)
        self.log.info("Step %s on %s: %s", step_id, cluster_id, run.step_name)
        limit = self.execution_timeout or timedelta(days=1)
        self.defer(
            trigger=EmrAddStepsTrigger(
                job_flow_id=cluster_id,
                step_ids=[step_id],
                waiter_delay=cluster.poll_seconds,
                waiter_max_attempts=int(limit.total_seconds() // cluster.poll_seconds) + 1,
                aws_conn_id=cluster.connection,
                region_name=cluster.region,
            ),
            method_name="resume",
            kwargs={"cluster_id": cluster_id, "step_id": step_id},
        )

    def resume(self, context: "Context", event: Mapping[str, Any], cluster_id: str, step_id: str) -> None:
        """What became of the step; one that outlasted the task's time is cancelled."""
        _, steps, run = self._on_cluster(read_deployment())
        status = steps.status(cluster_id, step_id)
        if status["State"] == "COMPLETED":
            return
        if status["State"] in ("PENDING", "RUNNING"):
            steps.cancel(cluster_id, step_id)
            raise AirflowException(f"{self.job}: step {step_id} was cancelled: {event.get('message')}")
        self._raise_for(*steps.failure(run, status))

    def _on_cluster(self, deployment: Deployment) -> "tuple[EmrCluster, EmrSteps, JobRun]":
        from dags.emr_steps import EmrSteps, JobRun  # boto3: not when the DAG is parsed

        assert deployment.emr is not None
        run = JobRun(
            dag=self.options["--dag"],
            interval_key=DataInterval(
                parse_time(self.options["--interval-start"]), parse_time(self.options["--interval-end"])
            ).key,
            job=self.job,
            store=deployment.store,
            arguments=tuple(self._arguments(deployment)),
        )
        return deployment.emr, EmrSteps(deployment.emr), run

    def _raise_for(self, exit_code: int, verdict: str) -> None:
        if exit_code == 0:
            return
        if exit_code in NOT_WORTH_A_RETRY:
            raise AirflowFailException(f"{verdict} ({NOT_WORTH_A_RETRY[exit_code]}: not tried again)")
        raise AirflowException(f"{self.job} ended with {exit_code}: {verdict}")


JOB_MACROS = {
    "deployment": read_deployment, "interval": interval_of, "catalog": catalog_of, "changes": changes_of,
    "may_be_late": may_be_late,
}  # fmt: skip

TASK_DEFAULTS: dict[str, Any] = {
    "owner": "shoplens",
    "retries": 3,
    "retry_delay": timedelta(minutes=2),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=30),
}
"""How the tasks of every DAG are tried again, unless an exit code says that it would be in vain."""
