"""shoplens redrive: try again just the photos that failed for a reason.

A command that changes the lake starts a DAG run rather than write beside it: where SHOPLENS_AIRFLOW_URL is set it
triggers `catalog_nightly` with the reasons, else it runs the job fetch_images here.
"""

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from retrieval.store.objects import open_store
from schemas.errors import Misconfigured
from schemas.intervals import DataInterval
from schemas.reasons import REDRIVABLE_REASONS
from schemas.receipts import Receipt, receipt_key
from spark_jobs.commands.airflow_api import AirflowAccess, trigger_dag_run

DAG_ID = "catalog_nightly"
RECEIPTS = "redrive"


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--reason", "reasons", multiple=True, required=True, help="As in image_fetches or images; repeatable.")
@click.option("--lake", help="Folder or s3:// prefix of the tables; not needed with Airflow.")
@click.option("--store", help="Folder or s3:// prefix of the object store; not needed with Airflow.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("job_arguments", nargs=-1, type=click.UNPROCESSED)
def redrive(
    reasons: tuple[str, ...], lake: str | None, store: str | None, as_json: bool, job_arguments: tuple[str, ...]
) -> None:
    """Try again just the photos that failed for a reason.

    With SHOPLENS_AIRFLOW_URL (and _TOKEN, or _USER and _PASSWORD) this starts a run of the DAG; otherwise it runs the
    job here, with any further arguments of fetch_images, such as --allowed-root.
    """
    unknown = [reason for reason in reasons if reason not in REDRIVABLE_REASONS]
    if unknown:
        known = ", ".join(REDRIVABLE_REASONS)
        raise click.UsageError(f"no such reason: {', '.join(unknown)}. The reasons are:\n  {known}")
    now = datetime.now(UTC).replace(microsecond=0)
    access = AirflowAccess.from_env(os.environ)
    if access is not None:
        done = _through_airflow(access, reasons, now)
    else:
        done = _here(reasons, lake, store, now, job_arguments)
    click.echo(json.dumps(done) if as_json else _sentence(done))


def _through_airflow(access: AirflowAccess, reasons: Sequence[str], now: datetime) -> dict[str, object]:
    run_id = trigger_dag_run(access, DAG_ID, {"redrive_reasons": list(reasons)}, now)
    return {"where": "airflow", "reasons": list(reasons), "dag": DAG_ID, "run_id": run_id}


def _here(
    reasons: Sequence[str], lake: str | None, store: str | None, now: datetime, job_arguments: Sequence[str]
) -> dict[str, object]:
    """Run the job in this process. Exits with its code where it fails."""
    if not lake or not store:
        raise Misconfigured("give --lake and --store, or set SHOPLENS_AIRFLOW_URL to start a DAG run")
    from spark_jobs.fetch_images import JOB, main  # Spark: only where the job really runs here

    interval = DataInterval(now - timedelta(days=1), now)
    argv = ["--lake", lake, "--store", store, "--dag", RECEIPTS,
            "--interval-start", interval.start.isoformat(), "--interval-end", interval.end.isoformat()]  # fmt: skip
    for reason in reasons:
        argv += ["--redrive-reason", reason]
    with contextlib.redirect_stdout(sys.stderr):
        code = main([*argv, *job_arguments])
    if code:
        raise click.exceptions.Exit(code)
    found = open_store(store).get(receipt_key(RECEIPTS, interval.key, JOB))
    assert found is not None
    return {"where": "here", "reasons": list(reasons), **Receipt.from_json(found.data).counts}


def _sentence(done: dict[str, object]) -> str:
    named = ", ".join(str(reason) for reason in done["reasons"])  # type: ignore[attr-defined]
    if done["where"] == "airflow":
        return f"started {done['dag']} run {done['run_id']} for links that failed with {named}"
    return (
        f"tried {done['looked_at']} links that failed with {named}: {done['fetched']} fetched, "
        f"{done['failed']} failed again, {done['gave_up']} given up; {done['photos_new']} photos are new and enter the "
        "index with the next build"
    )
