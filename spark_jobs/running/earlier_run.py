"""What the run of the interval before left. A job that finds the same again need not work it out again.

On a night on which nothing changed, every table stands at the version of the night before, but for the ledger: some links
were looked at, and their rows say when. So fetch_images says since which version of it no link shows another photo.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from schemas.errors import BadData, MissingReceipt, SchemaTooNew
from schemas.intervals import DataInterval
from schemas.receipts import Receipt
from schemas.tables import IMAGE_FETCHES
from spark_jobs.running.job import JobContext

INGEST_JOB, FETCH_JOB = "ingest_catalog", "fetch_images"
SHOWN_SINCE = "shown_since"
"""Fact of fetch_images: the version of `image_fetches` since which every link shows the photo that it shows now, or none."""


def earlier_receipt(context: JobContext, job: str) -> Receipt | None:
    """Of the run of the same DAG whose interval ended where this one begins; None where it left none that can be read."""
    start = context.interval.start
    with suppress(MissingReceipt, BadData, SchemaTooNew):
        return replace(context, interval=DataInterval(start, start)).receipt_of(job)
    return None


def shows_the_same(context: JobContext, earlier: Receipt, read: Mapping[str, int], pinned: Mapping[str, int]) -> bool:
    """Whether the tables at the `pinned` versions of this run say what they said at those that the earlier one `read`.

    Delta versions by table path. Tables of another lake, or of one that an earlier release did not name, say nothing.
    """
    try:
        lake_id = context.receipt_of(INGEST_JOB).facts.get("lake_id")
        since = context.receipt_of(FETCH_JOB).facts.get(SHOWN_SINCE)
    except MissingReceipt:
        return False
    if not lake_id or earlier.facts.get("lake_id") != lake_id or since is None:
        return False
    return {**pinned, IMAGE_FETCHES.path: since} == dict(read)
