"""Fetch the photos of all live products, check them, and note every outcome in the ledger.

    python -m spark_jobs.fetch_images --lake L --store S --interval-start T --interval-end T [--allowed-root DIR] …

Looks at links that are new, whose product changed, whose next try has come, or whose day of the cycle of thirty it is;
with --redrive-reason at just those that failed so. Exit code 65 where too large a share of live links has no photo,
after everything was recorded.
"""

import argparse
import ipaddress
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.errors import Misconfigured, MissingReceipt, TooManyBadRows
from schemas.intervals import parse_time
from schemas.reasons import REDRIVABLE_REASONS
from schemas.receipts import Receipt
from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCT_IMAGES, PRODUCTS
from spark_jobs.catalog.moments import AFTER_END_US, Mode
from spark_jobs.fetch.lanes import Division
from spark_jobs.fetch.ledger import GAVE_UP
from spark_jobs.fetch.partition import FetchPartition
from spark_jobs.fetch.photo_checks import ACCEPTED, PhotoRules
from spark_jobs.fetch.photo_rows import SetRules, checked_photos, decide_photos, shown_photos
from spark_jobs.fetch.records import record_ledger, record_photos
from spark_jobs.fetch.safety import NONE, SafetyCheck
from spark_jobs.fetch.settings import FetchSettings
from spark_jobs.fetch.staging import Staging, run_name
from spark_jobs.fetch.work import known_links, live_links, select_orders, select_redriven_orders
from spark_jobs.lake.tables import Lake
from spark_jobs.running.earlier_run import SHOWN_SINCE, earlier_receipt
from spark_jobs.running.job import JobContext, above_zero, job_parser, run_job, share_of_one
from spark_jobs.running.session import broadcast_few, hold_rows, open_session

JOB = "fetch_images"
INGEST_JOB = "ingest_catalog"
_READ = (PRODUCTS, PRODUCT_IMAGES, IMAGE_FETCHES, IMAGES)
_OUTCOMES = ("fetched", "unchanged", "failed", "gave_up")


@dataclass(frozen=True)
class FetchRun:
    """All that one run is asked to do."""

    settings: FetchSettings
    photo_rules: PhotoRules
    set_rules: SetRules
    safety: SafetyCheck
    redrive_reasons: tuple[str, ...]
    bad_share_max: float
    partitions: int | None


@dataclass(frozen=True)
class Judged:
    """What the whole set of photos says. `count_reasons`: of the links without a usable one, by reason."""

    counts: dict[str, int]
    count_reasons: Callable[[], dict[str, int]]


def fetch_images(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    run = run_of(context, arguments)
    run.safety.open_scorer()  # a model that cannot be loaded ends the job here, not in a worker
    spark = open_session(JOB, s3=context.uses_s3, lake=context.lake)
    lake = Lake(spark, context.lake)
    _refuse_no_catalog(lake)
    as_of = moment_of_looks(context)
    staging = Staging(spark, lake.root, run_name(context.dag, context.interval.key, as_of))
    before = {table.path: lake.version(table) for table in _READ}
    ledger, photos = lake.read(IMAGE_FETCHES), lake.read(IMAGES).drop("stored")
    # Checkpointed, not cached: Spark computes what it cached of a table anew when the table is written.
    known = hold_rows(known_links(live_links(lake.read(PRODUCTS), lake.read(PRODUCT_IMAGES)), ledger))
    try:
        outcomes = look_at_links(staging, known, ledger, photos, run, as_of)
        counts, came = _counts(outcomes)
        # Asked only where no photo came: else others are shown for certain, and the ledger is a pass more.
        same = outcomes is None or (not came and shows_as_before(outcomes, ledger, counts["looked_at"]))
        judged = judged_before(context, lake, before, run) if same else None
        judged = judged or judge_photos(lake, known, outcomes, photos, counts["looked_at"], came, run)
        if outcomes is not None:
            record_ledger(lake, outcomes)
        counts |= judged.counts
    finally:
        staging.remove()
    bad, total = counts["links_without_photo"], counts["links"]
    if bad > run.bad_share_max * total:
        where = f"{lake.path(IMAGE_FETCHES)} and {lake.path(IMAGES)} (or allow them with --max-bad-share)"
        raise TooManyBadRows(bad, total, run.bad_share_max, where, judged.count_reasons())
    after = {table.path: lake.version(table) for table in (IMAGE_FETCHES, IMAGES)}
    is_ours = after[IMAGE_FETCHES.path] == before[IMAGE_FETCHES.path] + (outcomes is not None)
    since = before[IMAGE_FETCHES.path] if same and is_ours else after[IMAGE_FETCHES.path]
    return context.receipt(
        counts=counts, table_versions=after,
        facts={SHOWN_SINCE: since, "read": before, "set_rules": asdict(run.set_rules), "lake_id": lake.lake_id()},
    )  # fmt: skip


def _refuse_no_catalog(lake: Lake) -> None:
    """Of a misspelt lake nothing would be looked at, which reads like success, and its empty tables would stay."""
    if not lake.exists(PRODUCTS):
        raise Misconfigured(f"{lake.root} holds no products: mend --lake, or run {INGEST_JOB} first")


def judge_photos(
    lake: Lake,
    known: DataFrame,
    outcomes: DataFrame | None,
    photos: DataFrame,
    looked_at: int,
    came: int,
    run: FetchRun,
) -> Judged:
    """Judge all photos that live links show as a set, and bring `images` up to date."""
    shown = hold_rows(shown_photos(known, outcomes, looked_at), eager=False)
    replaces = bool(run.redrive_reasons)
    checked = checked_photos(outcomes) if outcomes is not None and came else None
    decided = hold_rows(decide_photos(photos, checked, came, shown, run.set_rules, replaces=replaces), eager=False)
    changes, usable = _tally(decided)
    counts = record_photos(lake, outcomes, decided, changes, replaces=replaces)
    links = shown.select("url").distinct().count()
    counts |= {"links": links, "links_without_photo": links - usable}
    return Judged(counts, partial(_count_reasons, lake, shown, decided))


def judged_before(context: JobContext, lake: Lake, versions: Mapping[str, int], run: FetchRun) -> Judged | None:
    """What the run before found, where it judged the same photos of the same links by the same rules; else None.

    `versions`: those of the tables at the start of this run, after which every link still shows what it showed.
    """
    earlier = earlier_receipt(context, JOB)
    if earlier is None or run.redrive_reasons or earlier.facts.get("lake_id") != lake.lake_id():
        return None
    left = {**earlier.facts.get("read", {}), **earlier.table_versions}
    counts = {name: earlier.counts.get(name, 0) for name in ("links", "links_without_photo")}
    allowed = counts["links_without_photo"] <= run.bad_share_max * counts["links"]
    if left != versions or earlier.facts.get("set_rules") != asdict(run.set_rules) or not allowed:
        return None
    return Judged({"photos_new": 0, "photos_checked_again": 0, "verdicts_moved": 0, **counts}, dict)


def moment_of_looks(context: JobContext) -> datetime:
    """When links are looked at: the time that the run was given, or the end of its interval.

    As what the run took is dated (AFTER_END_US): else the links of products that changed would be looked at a run later, or
    twice.
    """
    as_of = parse_time(context.as_of)
    if as_of != context.interval.end:
        return as_of
    try:
        mode = context.receipt_of(INGEST_JOB).facts.get("mode")
    except MissingReceipt:  # the job runs by itself
        return as_of
    return as_of + timedelta(microseconds=AFTER_END_US[Mode(mode)] if mode in AFTER_END_US else 0)


def look_at_links(
    staging: Staging, known: DataFrame, ledger: DataFrame, photos: DataFrame, run: FetchRun, as_of: datetime
) -> DataFrame | None:
    """Fetch and check what is due. Returns one row a link, as they lie in the staging folder; None where nothing is due."""
    if run.redrive_reasons:
        orders = select_redriven_orders(known, ledger, photos, run.redrive_reasons)
    else:
        orders = select_orders(known, ledger, as_of)
    orders = hold_rows(orders, eager=False)
    if not orders.count():
        return None
    partitions = run.partitions or orders.sparkSession.sparkContext.defaultParallelism
    division = Division(partitions, run.settings)
    return staging.fetch(orders, division, FetchPartition(run.settings, run.photo_rules, division, as_of, run.safety))


def shows_as_before(outcomes: DataFrame, ledger: DataFrame, looked_at: int) -> bool:
    """Whether every link that was looked at shows the photo that it showed, or none as before."""
    shown = F.when(F.col("status") != GAVE_UP, F.col("content_sha256"))
    after = broadcast_few(outcomes.select("url", shown.alias("after")), looked_at)
    both = ledger.select("url", shown.alias("before")).join(after, "url")
    return both.where(F.col("before").eqNullSafe(F.col("after"))).count() == looked_at


def _counts(outcomes: DataFrame | None) -> tuple[dict[str, int], int]:
    """How many links ended how, and how many photos came and were checked."""
    counted = (F.count("url").alias("links"), F.count("verdict").alias("checked"))
    rows = [] if outcomes is None else outcomes.groupBy("outcome").agg(*counted).collect()
    found = {row["outcome"]: int(row["links"]) for row in rows}
    named = {name: found.get(name, 0) for name in _OUTCOMES}
    return {"looked_at": sum(named.values()), **named}, sum(int(row["checked"]) for row in rows)


def _tally(decided: DataFrame) -> tuple[dict[str, int], int]:
    """How many photos change in which way, and how many live URLs show a usable one."""
    usable = F.sum(F.when(F.col("verdict") == ACCEPTED, F.col("urls"))).alias("usable")
    rows = decided.groupBy("change").agg(F.count("*").alias("photos"), usable).collect()
    return {row["change"]: int(row["photos"]) for row in rows}, sum(int(row["usable"] or 0) for row in rows)


def _count_reasons(lake: Lake, shown: DataFrame, decided: DataFrame) -> dict[str, int]:
    """Live links without a usable photo, by what their photo was rejected for, or else why there is none."""
    photos = decided.select("content_sha256", "verdict", F.col("reason").alias("photo_reason"))
    ledger = lake.read(IMAGE_FETCHES).select("url", F.col("reason").alias("link_reason"))
    urls = shown.select("url", "content_sha256").distinct().join(photos, "content_sha256", "left")
    bad = urls.where(~F.col("verdict").eqNullSafe(ACCEPTED)).join(ledger, "url", "left")
    reason = F.coalesce("photo_reason", "link_reason", F.lit("not_fetched_yet")).alias("reason")
    return {row["reason"]: int(row["count"]) for row in bad.groupBy(reason).count().collect()}


def run_of(context: JobContext, arguments: argparse.Namespace) -> FetchRun:
    """The arguments as one object. Raises Misconfigured."""
    try:
        networks = tuple(ipaddress.ip_network(text) for text in arguments.allow_network)
    except ValueError as error:
        raise Misconfigured(f"--allow-network: {error}") from None
    unknown = sorted(set(arguments.redrive_reason) - set(REDRIVABLE_REASONS))
    if unknown:
        known = ", ".join(REDRIVABLE_REASONS)
        raise Misconfigured(f"no such reason: {', '.join(unknown)}; the reasons are {known}")
    if arguments.per_host_at_once < 1 or arguments.per_host_per_second <= 0:
        raise Misconfigured("--per-host-at-once and --per-host-per-second must be above 0")
    settings = FetchSettings(
        connect_timeout_s=arguments.connect_timeout, read_timeout_s=arguments.read_timeout,
        total_timeout_s=arguments.total_timeout, image_max_bytes=arguments.max_bytes,
        max_redirects=arguments.max_redirects, tries=arguments.tries, host_at_once=arguments.per_host_at_once,
        host_per_second=arguments.per_host_per_second, allow_private=arguments.allow_private,
        allowed_networks=networks, allowed_roots=tuple(arguments.allowed_root),
    )  # fmt: skip
    return FetchRun(
        settings=settings,
        photo_rules=PhotoRules(side_min_px=arguments.min_side, aspect_max=arguments.max_aspect),
        set_rules=SetRules(arguments.placeholder_products, arguments.near_duplicate_bits),
        safety=SafetyCheck(arguments.safety, arguments.model, context.store.uri, arguments.max_safety_score),
        redrive_reasons=tuple(arguments.redrive_reason),
        bad_share_max=arguments.max_bad_share,
        partitions=arguments.partitions,
    )


def fetch_parser() -> argparse.ArgumentParser:
    parser = job_parser(__doc__)
    defaults, photo, whole = FetchSettings(), PhotoRules(), SetRules()
    add = parser.add_argument
    add(
        "--allowed-root", type=Path, action="append", default=[], help="files under this folder may be read; repeatable"
    )
    add("--allow-private", action="store_true", help="loopback and private hosts may be asked")
    add("--allow-network", action="append", default=[], metavar="CIDR", help="addresses that may be asked; repeatable")
    add(
        "--per-host-at-once",
        type=above_zero(int),
        default=defaults.host_at_once,
        help="requests at once, across the whole job",
    )
    add(
        "--per-host-per-second",
        type=above_zero(float),
        default=defaults.host_per_second,
        help="requests a second, likewise",
    )
    add("--connect-timeout", type=above_zero(float), default=defaults.connect_timeout_s, help="seconds")
    add("--read-timeout", type=above_zero(float), default=defaults.read_timeout_s, help="seconds without a byte")
    add("--total-timeout", type=above_zero(float), default=defaults.total_timeout_s, help="seconds for a whole answer")
    add("--max-bytes", type=above_zero(int), default=defaults.image_max_bytes, help="of one photo")
    add("--max-redirects", type=int, default=defaults.max_redirects, choices=range(21), metavar="0-20")
    add("--tries", type=above_zero(int), default=defaults.tries, help="requests for one link within the run")
    add("--min-side", type=above_zero(int), default=photo.side_min_px, help="pixels of a photo's shorter side")
    add("--max-aspect", type=above_zero(float), default=photo.aspect_max, help="longer side by shorter side")
    add("--placeholder-products", type=above_zero(int), default=whole.placeholder_products_max,
        help="a picture on more designs than this is a placeholder")  # fmt: skip
    add("--near-duplicate-bits", type=int, default=whole.near_duplicate_bits, choices=range(17), metavar="0-16",
        help="Hamming distance of the perceptual hashes")  # fmt: skip
    add("--safety", default=NONE, help="none, zero_shot, or module:function from photos to scores of 0 to 1")
    add(
        "--model",
        help="bundle folder or model id in the store, for --safety zero_shot: one trained on photos of all kinds",
    )
    add("--max-safety-score", type=float, default=SafetyCheck().score_max, help="a photo with a higher score is unsafe")
    add("--redrive-reason", action="append", default=[], help="look only at what failed so; repeatable")
    add("--max-bad-share", type=share_of_one, default=0.2, help="of live links without a usable photo")
    add("--partitions", type=above_zero(int), help="of the downloads (default: the cores of the cluster)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return run_job(JOB, fetch_parser(), fetch_images, argv)


if __name__ == "__main__":
    sys.exit(main())
