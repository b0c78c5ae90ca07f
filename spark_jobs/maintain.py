"""Tend one deployment, once a week: what nothing needs any more leaves the object store, and the lake's tables are
compacted and vacuumed.

From the store go builds, deltas and models that none of CURRENT's twenty generations names, uploads that never ended,
tiles that nothing kept shows, and receipts after 90 days; never anything younger than seven days. Ages count to
`--as-of`. A vacuum keeps what the bases that CURRENT names as live, candidate and previous were built from, for the
next delta reads the changes since. `--dry-run` only says what would go.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from datetime import datetime

from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.publishing.pointer import read_pointer
from retrieval.publishing.sweep import remove, survey
from retrieval.store.objects import ObjectStore
from schemas.errors import Corrupt, SchemaTooNew
from schemas.intervals import parse_time
from schemas.receipts import Receipt
from schemas.tables import LAKE_VERSION
from spark_jobs.lake.table_care import (
    CARE_SETTINGS,
    compact,
    remember_removals,
    standing_tables,
    vacuum,
    vacuum_cutoff,
    version_times,
)
from spark_jobs.lake.tables import Lake
from spark_jobs.running.job import JobContext, job_parser, run_job
from spark_jobs.running.session import open_session

JOB = "maintain"

log = logging.getLogger("shoplens")


def maintain(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    as_of, dry_run = parse_time(context.as_of), bool(arguments.dry_run)
    counts, bytes_freed, notes = clean_store(context.store, as_of, dry_run)
    spark = open_session(JOB, s3=context.uses_s3, settings=CARE_SETTINGS)
    lake = Lake(spark, context.lake)
    needed = needed_versions(context.store)
    if needed is None:
        notes.append("nothing is vacuumed: a base that CURRENT names is damaged")
    versions: dict[str, int] = {}
    tables = list(standing_tables(lake))
    if not tables:
        notes.append(f"{context.lake} has no tables: nothing is tended there")
    for table in tables:
        if (found := lake.look(table).schema) > LAKE_VERSION:
            raise SchemaTooNew(lake.path(table), found, LAKE_VERSION)
    for table in tables:
        if not dry_run:
            remember_removals(lake, table)
            compacted = compact(lake, table)
            counts["files_merged"] = counts.get("files_merged", 0) + compacted.removed
        if needed is not None:
            times = version_times(lake, table, needed.get(table.path, ()))
            freed = vacuum(lake, table, vacuum_cutoff(as_of, times), dry_run=dry_run)
            if dry_run:
                counts["files_to_free"] = counts.get("files_to_free", 0) + freed
        versions[table.path] = lake.look(table).version
    for note in notes:
        log.warning("%s", note)
    return context.receipt(
        counts=counts, table_versions=versions, figures={"bytes_freed": bytes_freed},
        facts={"dry_run": dry_run, "notes": notes},
    )  # fmt: skip


def clean_store(store: ObjectStore, as_of: datetime, dry_run: bool) -> tuple[dict[str, int], int, list[str]]:
    """Remove what may go, or only count it: things by kind, their bytes, and what was left alone."""
    found = survey(store, as_of)
    counted = found.counts() if dry_run else remove(store, found)
    return {f"{kind.replace(' ', '_')}s": count for kind, count in counted.items()}, found.bytes, found.notes


def needed_versions(store: ObjectStore) -> dict[str, set[int]] | None:
    """The versions that live, candidate and previous bases were built from, by table; None where one cannot be read."""
    found = read_pointer(store)
    served = (found[0].live, found[0].candidate, found[0].previous) if found else ()
    needed: dict[str, set[int]] = {}
    for build_id in {one.build_id for one in served if one}:
        try:
            manifest = BUILD_FOLDERS.find(store, build_id)
        except Corrupt as error:
            log.warning("%s", error)
            return None
        if manifest is None:
            return None
        for path, version in manifest.source_versions.items():
            needed.setdefault(path, set()).add(version)
    return needed


def main(argv: Sequence[str] | None = None) -> int:
    parser = job_parser(__doc__)
    parser.add_argument("--dry-run", action="store_true", help="change nothing; the receipt counts what would go")
    return run_job(JOB, parser, maintain, argv)


if __name__ == "__main__":
    sys.exit(main())
