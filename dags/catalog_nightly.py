"""
### From the catalog to a published index, every night

    ingest → fetch → embed → build → evaluate → publish

| task | job | does | pool |
|---|---|---|---|
| ingest | `ingest_catalog` | reads the shop's catalog, merges products and links, quarantines bad rows | `lake_catalog` |
| fetch | `fetch_images` | downloads what is new or due, checks it, keeps the ledger | `lake_photos` |
| embed | `embed_images` | encodes photos that the model has not seen | `gpu` |
| build | `build_index` | trains, fills and tunes an index, writes an immutable build | `index` |
| evaluate | `evaluate_index` | the gate: recall by slice, row counts, golden queries | `index` |
| publish | `publish` | moves CURRENT by compare-and-swap, never back in time: with a delta that catches up, if it must | `index` |

Each is a program with arguments and a data interval: the same for the same arguments, however often it runs.
Settings are in the Airflow Variable `shoplens` (`dags/deployment.py` lists them); `submit` there says whether jobs run
on the worker or on EMR. The pools come with `airflow pools import dags/pools.json`; without them tasks stay scheduled.

**When a task fails**, the last line of its log says what to do. Exit code 65 is bad data and 78 is configuration:
the task fails at once, since a retry would give the same. Anything else is tried again, up to three times, at growing
intervals.

- *ingest: the snapshot would delete …*: look at the source; if it is right, trigger with `max_deleted_share` 1.
- *fetch: … rows are bad*: group the ledger `image_fetches` by reason; later, `shoplens redrive --reason http_429`.
- *evaluate: did not pass the gate*: nothing was published, the live index is untouched; the line names the slice.
- *publish: CURRENT is on hold*: someone rolled back; `shoplens index release` when the cause is mended.

**Backfill** three nights, and again over the same dates:

    airflow dags unpause catalog_nightly
    airflow backfill create --dag-id catalog_nightly --max-active-runs 1 \\
        --from-date 2026-01-28T02:00:00+00:00 --to-date 2026-01-30T02:00:00+00:00
    airflow backfill create --dag-id catalog_nightly --max-active-runs 1 --reprocess-behavior completed \\
        --from-date 2026-01-28T02:00:00+00:00 --to-date 2026-01-30T02:00:00+00:00

Dates are the starts of intervals, so give the hour: a bare date is midnight, and the last night is then not covered.
Without `--reprocess-behavior` a second backfill does nothing; a paused DAG's backfill stays queued. An interval older
than the newest applied lands its rows and stops before the build, unless `build_old` is set.

**Triggered by hand** with a logical date, a run takes the last complete interval before it; without one, the day up
to the trigger.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from dags.spark_job import JOB_MACROS, TASK_DEFAULTS, SparkJobOperator
from schemas.reasons import REDRIVABLE_REASONS

PARAMS = {
    "mode": Param(
        "snapshot", enum=["snapshot", "changes", "nothing"],
        description="snapshot: what the catalog lacks becomes deleted. changes: only what it holds changes. nothing: no"
        " catalog is read, the index is built anew from the tables.",
    ),
    "catalog": Param(None, type=["null", "string"], description="Another catalog folder or URI for this run."),
    "mapping": Param(None, type=["null", "string"], description="Another mapping file for this run."),
    "max_deleted_share": Param(
        0.2, type="number", minimum=0, maximum=1,
        description="A snapshot that would delete more than this share of the products stops. 1 allows any.",
    ),
    "redrive_reasons": Param(
        [], type="array", items={"type": "string", "enum": [*REDRIVABLE_REASONS]},
        examples=[*REDRIVABLE_REASONS],
        description="Fetch only links that failed, or whose photo was rejected, for these reasons, now. Empty: what is"
        " new or due.",
    ),
    "kind": Param(
        "auto", enum=["auto", "exact", "ivf_fp16", "ivf_rabitq"], description="Index type; auto follows the size."
    ),
    "recall_goal": Param(
        0.99, type="number", exclusiveMinimum=0, maximum=1, description="Recall at 10 to tune searches to."
    ),
    "build_old": Param(False, type="boolean", description="Build and publish even for an interval that is not the newest."),
}  # fmt: skip

with DAG(
    dag_id="catalog_nightly",
    description="Catalog → photos → embeddings → index → published",
    doc_md=__doc__,
    # A plain cron string would give no data interval in Airflow 3, and backfills nothing to tell nights apart by.
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, 2, tzinfo=UTC),
    # The next snapshot holds all that a missed one did; after an outage in changes mode, backfill the missed nights.
    catchup=False,
    # Does not hold backfills and scheduled runs apart: the pools do.
    max_active_runs=1,
    params=PARAMS,
    user_defined_macros=JOB_MACROS,
    render_template_as_native_obj=True,
    default_args=TASK_DEFAULTS,
    tags=["shoplens", "catalog"],
):
    ingest = SparkJobOperator(
        task_id="ingest", job="ingest_catalog", pool="lake_catalog", execution_timeout=timedelta(hours=2),
        options={
            "--catalog": "{{ catalog(dag_run, params.catalog) }}",
            "--mapping": "{{ params.mapping or deployment().mapping }}",
            "--mode": "{{ params.mode }}",
            "--may-be-late": "{{ may_be_late(params.catalog or deployment().catalog) }}",
            "--max-deleted-share": "{{ params.max_deleted_share }}",
        },
    )  # fmt: skip
    fetch = SparkJobOperator(
        task_id="fetch", job="fetch_images", pool="lake_photos", execution_timeout=timedelta(hours=12),
        options={"--redrive-reason": "{{ params.redrive_reasons }}"},
    )  # fmt: skip
    embed = SparkJobOperator(
        task_id="embed", job="embed_images", pool="gpu", execution_timeout=timedelta(hours=12),
        options={"--model": "{{ deployment().model }}"},
    )  # fmt: skip
    build = SparkJobOperator(
        task_id="build", job="build_index", pool="index", execution_timeout=timedelta(hours=6),
        options={
            "--kind": "{{ params.kind }}",
            "--recall-goal": "{{ params.recall_goal }}",
            "--build-old": "{{ params.build_old }}",
        },
    )  # fmt: skip
    evaluate = SparkJobOperator(
        task_id="evaluate", job="evaluate_index", pool="index", execution_timeout=timedelta(hours=2)
    )
    publish = SparkJobOperator(task_id="publish", job="publish", pool="index", execution_timeout=timedelta(minutes=30))

    ingest >> fetch >> embed >> build >> evaluate >> publish
