"""
### What nothing needs any more goes, every Sunday at noon

    no_night_runs → maintain

| task | job | does | pool |
|---|---|---|---|
| no_night_runs | | waits while a run of `catalog_nightly` is under way | |
| maintain | `maintain` | cleans the object store, compacts and vacuums the tables | `lake_catalog` |

From the object store go builds, deltas and models that none of CURRENT's twenty generations names, uploads that never
ended, tiles that nothing kept shows, all only when older than seven days; and receipts after 90 days. In the lake small
files are merged, and files that were removed are freed after seven days, or later where the bases that CURRENT names
were built from older versions: the hourly deltas read the changes since.

It holds the slot of `lake_catalog`, so that no hourly run is under way and no nightly run comes past its first task: a
build or delta in the making may count on an old tile that nothing published shows yet.

**See first what would go**: trigger with `dry_run`; the receipt `runs/maintenance_weekly/<end>/maintain.json` counts it,
and `shoplens clean --store STORE` lists it without Airflow.

**When it fails**, the last line of the log says what to do; it is safe to run again at any time. A week that was missed
needs no backfill: the next finds the same.

- *… has not come yet by the clock of …*: the scheduler's clock is wrong; nothing was removed.
- *CURRENT is damaged*: nothing was removed; `shoplens doctor --store STORE` says more.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import DAG, BaseSensorOperator, CronDataIntervalTimetable, Param

from dags.spark_job import JOB_MACROS, TASK_DEFAULTS, SparkJobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

BUILDER = "catalog_nightly"

PARAMS = {
    "dry_run": Param(False, type="boolean", description="Change nothing; the receipt counts what would go."),
}


class NoNightRuns(BaseSensorOperator):
    """Succeeds once no run of the nightly DAG is under way; a queued one waits for the slot that comes next."""

    def poke(self, context: "Context") -> bool:
        return context["ti"].get_dr_count(dag_id=BUILDER, states=["running"]) == 0


with DAG(
    dag_id="maintenance_weekly",
    description="What nothing needs any more goes",
    doc_md=__doc__,
    # Between two nights, when the nightly run is over even after retries.
    schedule=CronDataIntervalTimetable("0 12 * * 0", timezone="UTC"),
    start_date=datetime(2026, 1, 4, 12, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    user_defined_macros=JOB_MACROS,
    render_template_as_native_obj=True,
    default_args=TASK_DEFAULTS,
    tags=["shoplens", "maintenance"],
):
    no_night_runs = NoNightRuns(
        task_id="no_night_runs", mode="reschedule", poke_interval=300, timeout=timedelta(hours=12).total_seconds()
    )
    maintain = SparkJobOperator(
        task_id="maintain", job="maintain", pool="lake_catalog", execution_timeout=timedelta(hours=6),
        options={"--dry-run": "{{ params.dry_run }}"},
    )  # fmt: skip

    no_night_runs >> maintain
