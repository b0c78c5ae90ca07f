from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from retrieval.store.objects import FolderStore
from schemas.intervals import DataInterval
from schemas.receipts import Receipt, receipt_key
from spark_jobs.running.earlier_run import SHOWN_SINCE, earlier_receipt, shows_the_same
from spark_jobs.running.job import JobContext

NIGHT = datetime(2026, 1, 31, 2, tzinfo=UTC)
ONE_DAY = timedelta(days=1)
VERSIONS = {"products": 4, "product_images": 3, "image_fetches": 9, "images": 2}
LATER = {**VERSIONS, "image_fetches": 10}


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """Of the second night."""
    store, interval = FolderStore(tmp_path), DataInterval(NIGHT, NIGHT + ONE_DAY)
    return JobContext(job="build_index", dag="tests", lake="", store=store, interval=interval, as_of="")


def leave(context: JobContext, job: str, night: datetime, **fields: Any) -> Receipt:
    receipt = Receipt("tests", job, "", "", **fields)
    context.store.put(receipt_key("tests", DataInterval(night, night).key, job), receipt.to_json())
    return receipt


def test_the_earlier_run_is_the_one_whose_interval_ended_where_this_one_begins(context: JobContext) -> None:
    for days in (-1, 0, 1):
        leave(context, "build_index", NIGHT + days * ONE_DAY, counts={"night": days})
    found = earlier_receipt(context, "build_index")
    assert found is not None
    assert found.counts == {"night": 0}
    assert earlier_receipt(context, "embed_images") is None


@pytest.mark.parametrize("data", [b"{", b'{"schema_version": 99}', b'{"dag": 1}'])
def test_an_earlier_receipt_that_cannot_be_read_is_none(context: JobContext, data: bytes) -> None:
    context.store.put(receipt_key("tests", "20260131T020000Z", "build_index"), data)
    assert earlier_receipt(context, "build_index") is None


@pytest.mark.parametrize(
    ("pinned", "since", "lake_id", "expected"),
    [
        (VERSIONS, 9, "l", True),
        (LATER, 9, "l", True),  # links were looked at, and show what they showed
        (LATER, 10, "l", False),
        (LATER, None, "l", False),  # a fetch of an earlier release
        ({**VERSIONS, "products": 5}, 9, "l", False),
        ({**VERSIONS, "embeddings/m": 1}, 9, "l", False),
        (VERSIONS, 9, "another", False),
        (VERSIONS, 9, None, False),
    ],
)
def test_tables_show_the_same_where_only_looks_at_links_came_between(
    context: JobContext, pinned: dict[str, int], since: int | None, lake_id: str | None, expected: bool
) -> None:
    earlier = leave(context, "build_index", NIGHT, facts={"lake_id": "l"})
    leave(context, "ingest_catalog", NIGHT + ONE_DAY, facts={"lake_id": lake_id})
    leave(context, "fetch_images", NIGHT + ONE_DAY, facts={} if since is None else {SHOWN_SINCE: since})
    assert shows_the_same(context, earlier, VERSIONS, pinned) is expected


def test_a_job_that_runs_by_itself_finds_nothing_the_same(context: JobContext) -> None:
    earlier = leave(context, "build_index", NIGHT, facts={"lake_id": "l"})
    assert not shows_the_same(context, earlier, {}, {})


def test_two_lakes_without_a_name_are_not_the_same(context: JobContext) -> None:
    earlier = leave(context, "build_index", NIGHT)
    leave(context, "ingest_catalog", NIGHT + ONE_DAY)
    leave(context, "fetch_images", NIGHT + ONE_DAY, facts={SHOWN_SINCE: 9})
    assert not shows_the_same(context, earlier, VERSIONS, VERSIONS)
