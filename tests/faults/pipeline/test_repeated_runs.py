"""Nights run in any order, and again: the same rows, and a run that was done before commits nothing.

What the scheduler makes of it is in tests/dags/test_backfill.py; what the pointer does in tests/retrieval/publishing.
"""

from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from schemas.intervals import DataInterval
from tests.faults.pipeline.conftest import UndisturbedNight
from tests.faults.pipeline.small_night import NIGHT, Night, assert_same_rows, draw_catalog

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

LAKE_JOBS = ("ingest_catalog", "fetch_images", "embed_images")
NEXT_NIGHT = DataInterval(NIGHT.end, NIGHT.end + timedelta(days=1))


def run_lake_jobs(night: Night, interval: DataInterval) -> None:
    for job in LAKE_JOBS:
        assert night.run(job, interval) == 0, job


def versions(night: Night) -> dict[str, int]:
    """The newest Delta version of each table."""
    logs = {path: night.folder / "lake" / path / "_delta_log" for path in night.tables()}
    return {path: max(int(entry.stem) for entry in log.glob("*[0-9].json")) for path, log in logs.items()}


def test_nights_in_reverse_order_and_run_again_leave_the_same_rows(
    undisturbed: UndisturbedNight, spark: SparkSession, tmp_path: Path
) -> None:
    first = undisturbed.after["embed_images"]
    next_catalog = draw_catalog(first.catalog.parent, day=1)
    in_order = first.copy(tmp_path / "in-order")
    run_lake_jobs(Night(in_order.folder, next_catalog), NEXT_NIGHT)

    backwards = Night(tmp_path / "backwards", next_catalog)
    run_lake_jobs(backwards, NEXT_NIGHT)
    run_lake_jobs(Night(backwards.folder, first.catalog), NIGHT)
    assert_same_rows(spark, backwards, in_order)

    before = versions(in_order)
    run_lake_jobs(Night(in_order.folder, first.catalog), NIGHT)
    run_lake_jobs(Night(in_order.folder, next_catalog), NEXT_NIGHT)
    assert versions(in_order) == before
