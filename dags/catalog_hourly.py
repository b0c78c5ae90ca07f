"""
### What changed in the catalog, searchable within the hour

    apply → rebuild_wanted → rebuild

| task | does | pool |
|---|---|---|
| apply | `apply_changes`: takes the hour's changes, fetches and embeds new photos, writes a delta for every base that CURRENT names, asks the gate, moves CURRENT; six jobs in one Spark application | `lake_catalog` |
| rebuild_wanted | goes on only where the delta has passed a tenth of its base, publishing is not on hold, and no `catalog_nightly` runs or waits | |
| rebuild | triggers `catalog_nightly` with `mode` nothing: a new base from the tables as they are | |

Each of the six jobs leaves a receipt at `runs/catalog_hourly/<interval end>/<job>.json`. Settings are those of
`catalog_nightly` (Airflow Variable `shoplens`); `changes` there is where the hour's changes lie, such as
`s3://shop/changes/{end:%Y-%m-%dT%H}`. An hour without changes needs an empty file. The arguments that the Variable names
for `fetch_images` and the other jobs hold here too.

An hour in which no table changed publishes nothing and reads nothing. Prices and stock reach searchers without a vector
being read. Before the first nightly run the rows land, and the task ends well saying that the nightly run comes first.
After `model` was changed photos are still embedded with the models of the bases that CURRENT names, and with the new one
from the night on that begins with it.

**Missed hours are caught up** one after another: each holds changes that no later one repeats. So tell the scheduler,
before the DAG is unpaused, which hour is the first: `SHOPLENS_HOURLY_SINCE=2026-11-21T02:00:00+00:00` in the environment
of the DAG processor; without it the hours begin with 2026. An hour run again, or an older one after a newer, ends with
the same rows, and CURRENT never goes back.

**When the task fails**, the last line of its log says what to do; see `catalog_nightly`. Besides:

- *no catalog at … or it is late* (75): where `changes` names each hour's own, the task is tried again for a quarter of an
  hour. An export that comes later still: clear the task. The hours after it do not wait.
- *CURRENT names base …, published meanwhile* (75): a nightly build went live in between; the retry makes its delta.
- *build … did not pass the gate* (65): nothing was published; the next nightly build, or `mode` nothing, mends it.

**By hand**: trigger with `mode` snapshot and `catalog` to take a whole export in between; a run without a logical date
takes the day up to the trigger.
"""

import os
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, task

from dags.receipts import read_receipt
from dags.spark_job import JOB_MACROS, TASK_DEFAULTS, SparkJobOperator, interval_of, read_deployment

REBUILDER = "catalog_nightly"
RUNS = ("ingest_catalog", "fetch_images", "embed_images", "build_delta", "evaluate_delta", "publish_deltas")

FIRST_HOUR = datetime.fromisoformat(os.environ.get("SHOPLENS_HOURLY_SINCE") or "2026-01-01T02:00:00+00:00")
"""Airflow makes a run of every hour since: the one setting of a shop that must be known before a task runs."""

PARAMS = {
    "mode": Param(
        "changes", enum=["changes", "snapshot"],
        description="changes: only what the catalog holds changes. snapshot: what it lacks becomes deleted.",
    ),
    "catalog": Param(None, type=["null", "string"], description="Another catalog folder or URI for this run."),
    "mapping": Param(None, type=["null", "string"], description="Another mapping file for this run."),
}  # fmt: skip

with DAG(
    dag_id="catalog_hourly",
    description="Changes → photos → embeddings → delta → published",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    start_date=FIRST_HOUR,
    # An hour's changes are in no other hour.
    catchup=True,
    max_active_runs=1,
    params=PARAMS,
    user_defined_macros=JOB_MACROS,
    render_template_as_native_obj=True,
    default_args=TASK_DEFAULTS,
    tags=["shoplens", "catalog"],
):
    apply = SparkJobOperator(
        task_id="apply", job="apply_changes", runs=RUNS, pool="lake_catalog", execution_timeout=timedelta(hours=3),
        options={
            "--catalog": "{{ changes(dag_run, params.catalog) }}",
            "--mapping": "{{ params.mapping or deployment().mapping }}",
            "--mode": "{{ params.mode }}",
            "--may-be-late": "{{ may_be_late(params.catalog or deployment().changes or deployment().catalog) }}",
            "--model": "{{ deployment().model }}",
        },
    )  # fmt: skip

    @task.short_circuit(execution_timeout=timedelta(minutes=10))
    def rebuild_wanted(**context: Any) -> bool:
        """Not while a build runs or waits: it will do."""
        key = interval_of(context["dag_run"]).key
        receipt = read_receipt(read_deployment(), context["dag"].dag_id, key, "apply_changes")
        if not receipt.facts.get("wants_rebuild"):
            return False
        return int(context["ti"].get_dr_count(dag_id=REBUILDER, states=["queued", "running"])) == 0

    # Without a logical date: its interval is the day up to now, not last night's, whose receipts stay.
    rebuild = TriggerDagRunOperator(
        task_id="rebuild", trigger_dag_id=REBUILDER, trigger_run_id="rebuild__{{ interval(dag_run).key }}",
        logical_date=None,
        conf={"mode": "nothing"}, skip_when_already_exists=True, execution_timeout=timedelta(minutes=10),
    )  # fmt: skip

    apply >> rebuild_wanted() >> rebuild
