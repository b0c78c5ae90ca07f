"""Ingest a catalog: a full snapshot, or changes, of one data interval into `products` and `product_images`.

A snapshot deletes what it lacks; a row that is bad is not taken, and so is lacking too: `catalog_quarantine` says why.
With --catalog jdbc:postgresql://host:port/database the user and password are those of PGUSER and PGPASSWORD.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.errors import BadData, CatalogMissing, TooManyBadRows, TooManyDeletions, TryAgain
from schemas.mapping import CatalogMapping, read_mapping
from schemas.receipts import Receipt
from schemas.tables import CATALOG_INTERVALS, CATALOG_QUARANTINE, PRODUCT_IMAGES, PRODUCT_MENTIONS, PRODUCTS
from spark_jobs.catalog.duplicates import sift_duplicates
from spark_jobs.catalog.links import base_uri
from spark_jobs.catalog.moments import Applied, Mode, Recorded, Timeline, read_timeline
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.rows import CONTENT_COLUMNS, judge_rows
from spark_jobs.catalog.same_again import catalog_digest, take_same
from spark_jobs.catalog.settlement import WRITES, Action, settle
from spark_jobs.catalog.source_failures import explain_failure
from spark_jobs.catalog.sources import read_source
from spark_jobs.catalog.writes import (
    rejected,
    write_images,
    write_interval,
    write_mentions,
    write_products,
    write_quarantine,
)
from spark_jobs.lake.tables import Lake, retry_conflicts
from spark_jobs.running.earlier_run import earlier_receipt
from spark_jobs.running.job import JobContext, job_parser, run_job, share_of_one
from spark_jobs.running.session import open_session

JOB = "ingest_catalog"
_TABLES = (PRODUCTS, PRODUCT_MENTIONS, CATALOG_INTERVALS, CATALOG_QUARANTINE, PRODUCT_IMAGES)
_SETTLE_ATTEMPTS = 4

FEW_BAD_CHANGES = 10
"""So many rows of changes may be bad whatever their share: one bad row of an hour's three must not cost the others."""

NOTHING = "nothing"
"""The mode of a run that only builds the index anew."""


@dataclass(frozen=True)
class Limits:
    """Shares from 0 to 1: of live products that a snapshot may delete, and of rows that may be bad."""

    deleted_share: float = 0.2
    bad_share: float = 0.1


@dataclass(frozen=True)
class Ingested:
    """What one interval did. `newest`: no interval applied before it was newer."""

    counts: dict[str, int]
    newest: bool
    table_versions: dict[str, int]


def transform(source: DataFrame, mapping: CatalogMapping, link_base: str | None, mode: Mode) -> DataFrame:
    """Rows of `read_source` as SIFTED_COLUMNS: ours, judged, one kept for each product."""
    return sift_duplicates(judge_rows(source, mapping, link_base), snapshot=mode is Mode.SNAPSHOT)


def ingest(lake: Lake, place: CatalogPlace, mapping: CatalogMapping, applied: Applied, limits: Limits) -> Ingested:
    """Take one interval. The same interval again writes nothing where its data is the same.

    Raises MappingInvalid, BadData, TooManyBadRows (after the quarantine is written, before anything else) and
    TooManyDeletions (before anything is written).
    """
    for table in _TABLES:
        lake.ensure(table)
    source = read_source(lake.spark, place, mapping)
    sifted = transform(source, mapping, base_uri(mapping.images, place.folder_uri), applied.mode).persist()
    try:
        rows = _count_rows(sifted, place)
        _refuse_bad_rows(lake, sifted, applied, rows, limits, place)
        timeline = read_timeline(lake.read(CATALOG_INTERVALS), applied)
        said = sifted.where("kept").select(*CONTENT_COLUMNS, "content_hash", "deleted")
        before = lake.version(PRODUCTS)
        counts = _settle_products(
            lake, said, timeline, limits, partial(write_quarantine, lake, rejected(sifted, applied), applied, rows.bad)
        )
        _bring_images_up(lake, said, timeline, before)
    finally:
        sifted.unpersist()
    version = lake.version(PRODUCTS)
    record = Recorded(applied.end_us, str(applied.mode), rows.read, rows.bad, version)
    known = timeline.own and timeline.own._replace(products_version=timeline.images_agree_with)
    if record != known:
        write_interval(lake, record, applied.start_us, is_new=timeline.own is None)
    return Ingested(
        {"rows_read": rows.read, "rows_bad": rows.bad, **counts},
        timeline.is_newest,
        {PRODUCTS.path: version, PRODUCT_IMAGES.path: lake.version(PRODUCT_IMAGES)},
    )


class _Rows(NamedTuple):
    read: int
    bad: int


def _count_rows(sifted: DataFrame, place: CatalogPlace) -> _Rows:
    """The one pass over the source; what follows reads its cached outcome."""
    bad = F.when(F.size("faults") > 0, F.col("lines"))
    try:
        row = sifted.agg(F.sum("lines"), F.sum(bad)).collect()[0]
    except Exception as error:
        raise explain_failure(error, place) from error
    return _Rows(int(row[0] or 0), int(row[1] or 0))


def _refuse_bad_rows(
    lake: Lake, sifted: DataFrame, applied: Applied, rows: _Rows, limits: Limits, place: CatalogPlace
) -> None:
    if rows.read == 0 and applied.mode is Mode.SNAPSHOT:
        raise BadData(f"the snapshot of {place.shown} has no rows: an empty catalog is not taken for a closed shop")
    few = applied.mode is Mode.CHANGES and rows.bad <= FEW_BAD_CHANGES
    if rows.bad > limits.bad_share * rows.read and not few:
        write_quarantine(lake, rejected(sifted, applied), applied, rows.bad)
        where = f"{lake.path(CATALOG_QUARANTINE)} (or allow them with --max-bad-share)"
        raise TooManyBadRows(rows.bad, rows.read, limits.bad_share, where, _count_reasons(sifted))


def _count_reasons(sifted: DataFrame) -> dict[str, int]:
    """Bad lines for each reason, as the quarantine has them."""
    reasons = F.explode(F.array_distinct("faults.reason")).alias("reason")
    counted = sifted.select("lines", reasons).groupBy("reason").agg(F.sum("lines").alias("bad")).collect()
    return {row["reason"]: int(row["bad"]) for row in counted}


def _settle_products(
    lake: Lake, said: DataFrame, timeline: Timeline, limits: Limits, write_bad_rows: Callable[[], None]
) -> dict[str, int]:
    """Settle, refuse too many deletions, write; again where another writer came between."""
    for _ in range(_SETTLE_ATTEMPTS):
        version = lake.version(PRODUCTS)
        settled = settle(said, lake.read(PRODUCTS, version), lake.read(PRODUCT_MENTIONS), timeline)
        counts = _count_actions(settled)
        _refuse_deletions(counts, timeline.applied, limits)
        write_bad_rows()
        if counts["written"]:
            retry_conflicts(partial(write_products, lake, settled))
        if counts["mentioned"]:
            write_mentions(lake, settled)
        if lake.version(PRODUCTS) == version + bool(counts["written"]):
            return {name: counts[name] for name in ("upserted", "deleted", "unchanged")}
    raise TryAgain("another job kept writing to products: run one ingest at a time (Airflow pool)")


def _bring_images_up(lake: Lake, said: DataFrame, timeline: Timeline, products_before: int) -> None:
    """After `products` changed, its images; all of them where a run before this one may have died in between."""
    agreed = timeline.images_agree_with == products_before
    if agreed and lake.version(PRODUCTS) == products_before:
        return
    only_said = agreed and timeline.applied.mode is Mode.CHANGES
    write_images(lake, said.select("product_id") if only_said else None)


def _count_actions(settled: DataFrame) -> dict[str, int]:
    action = F.coalesce("action", F.lit(""))
    live, said = ~F.coalesce("known_deleted", F.lit(True)), F.col("content_hash").isNotNull()
    written = action.isin(*map(str, WRITES))
    deleted = live & ((action == str(Action.DELETE)) | (action == str(Action.UPDATE)) & F.col("deleted"))
    row = settled.agg(
        F.count_if(written).alias("written"),
        F.count_if(written & ~deleted).alias("upserted"),
        F.count_if(deleted).alias("deleted"),
        F.count_if(said & ~written).alias("unchanged"),
        F.count_if(action == str(Action.MENTION)).alias("mentioned"),
        F.count_if(live).alias("live"),
    ).collect()[0]
    return {name: int(count) for name, count in row.asDict().items()}


def _refuse_deletions(counts: dict[str, int], applied: Applied, limits: Limits) -> None:
    if applied.mode is Mode.SNAPSHOT and counts["deleted"] > limits.deleted_share * counts["live"]:
        raise TooManyDeletions(counts["deleted"], counts["live"], limits.deleted_share)


def ingest_interval(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    if arguments.mode == NOTHING:
        return note_versions(context)
    place = CatalogPlace(arguments.catalog, os.environ.get("PGUSER"), os.environ.get("PGPASSWORD"))
    mapping = read_mapping(Path(arguments.mapping))
    spark = open_session(f"{JOB} {context.interval.key}", s3=context.uses_s3 or place.is_on_s3, lake=context.lake)
    started = time.monotonic()
    lake = Lake(spark, context.lake)
    applied = Applied(context.interval, Mode(arguments.mode))
    limits = Limits(arguments.max_deleted_share, arguments.max_bad_share)
    digest = catalog_digest(place, mapping) if applied.mode is Mode.SNAPSHOT else None
    try:
        same = ingest_same(context, lake, applied, limits, digest)
        ingested = same or ingest(lake, place, mapping, applied, limits)
    except CatalogMissing as error:
        if arguments.may_be_late:
            raise TryAgain(f"{error}; or it is late") from error
        raise
    return context.receipt(
        counts=ingested.counts,
        table_versions=ingested.table_versions,
        figures={"seconds_after_start_up": round(time.monotonic() - started, 3)},
        facts={
            "newest": ingested.newest, "mode": arguments.mode, "lake_id": lake.lake_id(),
            # Of files that were written while they were read nobody knows what was read.
            "catalog_digest": digest if same or (digest and digest == catalog_digest(place, mapping)) else None,
        },
    )  # fmt: skip


def ingest_same(
    context: JobContext, lake: Lake, applied: Applied, limits: Limits, digest: str | None
) -> Ingested | None:
    """Take a snapshot that the run before took, byte for byte, without reading it; None where it must be read."""
    earlier = earlier_receipt(context, JOB)
    if not digest or earlier is None or earlier.facts.get("catalog_digest") != digest:
        return None
    counts = take_same(lake, applied, earlier, limits.bad_share)
    return None if counts is None else Ingested(counts, newest=True, table_versions=earlier.table_versions)


def note_versions(context: JobContext) -> Receipt:
    """Of a run that takes no catalog: its other jobs work on the tables as they are."""
    lake = Lake(open_session(f"{JOB} {context.interval.key}", s3=context.uses_s3), context.lake)
    versions = {table.path: lake.version(table) for table in (PRODUCTS, PRODUCT_IMAGES)}
    return context.receipt(table_versions=versions, facts={"newest": True, "mode": NOTHING, "lake_id": lake.lake_id()})


def parser() -> argparse.ArgumentParser:
    parser = job_parser(__doc__)
    parser.add_argument("--catalog", required=True, help="folder, file, s3:// prefix or jdbc:postgresql:// database")
    parser.add_argument("--mapping", required=True, help="TOML file: which of their columns are ours")
    parser.add_argument("--mode", choices=[*(str(mode) for mode in Mode), NOTHING], default=str(Mode.SNAPSHOT),
                        help="nothing: take no catalog, only note what the tables hold")  # fmt: skip
    parser.add_argument("--max-deleted-share", type=share_of_one, default=Limits.deleted_share,
                        help="of the live products, what a snapshot may delete (default %(default)s)")  # fmt: skip
    parser.add_argument("--max-bad-share", type=share_of_one, default=Limits.bad_share,
                        help="of the rows, what may be bad (default %(default)s)")  # fmt: skip
    parser.add_argument("--may-be-late", action="store_true",
                        help="where no catalog is there yet, end with 75: the scheduler tries again")  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return run_job(JOB, parser(), ingest_interval, argv)


if __name__ == "__main__":
    sys.exit(main())
