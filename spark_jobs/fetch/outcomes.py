"""The rows that pass between the stages of `fetch_images`: a link's work order, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from schemas.reasons import FetchReason
from spark_jobs.fetch.answers import Errand, Known, Visit
from spark_jobs.fetch.ledger import LedgerRow
from spark_jobs.fetch.photo_checks import CheckedPhoto

_MOMENT = pa.timestamp("us", tz="UTC")

PREVIOUS_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("status", pa.string()), ("reason", pa.string()), ("http_status", pa.int32()), ("attempts", pa.int32()),
    ("failures_in_a_row", pa.int32()), ("next_try_at", _MOMENT), ("etag", pa.string()), ("last_modified", pa.string()),
    ("content_sha256", pa.string()), ("content_bytes", pa.int64()), ("final_url", pa.string()), ("fetched_as_of", _MOMENT),
)  # fmt: skip
"""A ledger row without its url, as in schemas.tables.IMAGE_FETCHES."""

PHOTO_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("verdict", pa.string()), ("photo_reason", pa.string()), ("source_format", pa.string()), ("source_bytes", pa.int64()),
    ("width", pa.int32()), ("height", pa.int32()), ("phash", pa.int64()), ("sharpness", pa.float64()),
    ("safety_score", pa.float64()), ("detail", pa.string()), ("stored", pa.binary()),
)  # fmt: skip
"""What was found of a photo; all null where no new bytes came."""

ORDER_SCHEMA = pa.schema(
    [("url", pa.string()), ("place", pa.string()), ("hops", pa.int32()), ("requests", pa.int32()),
     ("from_scratch", pa.bool_()), ("partition", pa.int32()), *PREVIOUS_FIELDS]
)  # fmt: skip
"""A work order; `from_scratch`: ask without validators and check the photo anew. The rest is its ledger row."""

OUTCOME_SCHEMA = pa.schema(
    [("url", pa.string()), ("outcome", pa.string()), ("moved_to", pa.string()), ("hops", pa.int32()),
     ("requests", pa.int32()), *PREVIOUS_FIELDS, *PHOTO_FIELDS]
)  # fmt: skip
"""One link's outcome: `fetched`, `unchanged`, `failed`, `gave_up`, or `moved` to a host of another partition."""


@dataclass(frozen=True, slots=True)
class Order:
    """A work order as read from Spark."""

    errand: Errand
    previous: LedgerRow | None
    from_scratch: bool
    partition: int


def read_orders(batch: pa.RecordBatch) -> list[Order]:
    """The orders of one batch with the columns of ORDER_SCHEMA."""
    return [_order_of(row) for row in batch.to_pylist()]


def _order_of(row: dict[str, Any]) -> Order:
    previous = None
    if row["status"] is not None:
        fields = {name: row[name] for name, _ in PREVIOUS_FIELDS}
        previous = LedgerRow(**{**fields, "reason": FetchReason(row["reason"]) if row["reason"] else None})
    known = previous.known if previous and not row["from_scratch"] else Known()
    errand = Errand(row["url"], row["place"], known, row["hops"], row["requests"])
    return Order(errand, previous, row["from_scratch"], row["partition"])


def outcome_row(visit: Visit, ledger: LedgerRow | None, photo: CheckedPhoto | None) -> dict[str, Any]:
    """One row of OUTCOME_SCHEMA as a dictionary; absent fields are null. No ledger row: the link moved."""
    errand = visit.errand
    row: dict[str, Any] = {"url": errand.url, "hops": errand.hops, "requests": errand.requests}
    if ledger is None:
        return row | {"outcome": "moved", "moved_to": visit.moved_to}
    row["outcome"] = ledger.status if visit.answer.reason else "unchanged" if visit.answer.unchanged else "fetched"
    for name, _ in PREVIOUS_FIELDS:
        row[name] = getattr(ledger, name)
    if photo is not None:
        row["photo_reason"] = photo.reason
        for name, _ in PHOTO_FIELDS:
            if name != "photo_reason":
                row[name] = getattr(photo, name)
    return row


def outcome_batch(rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """Rows as one Arrow batch; a number that is none, such as the score of a photo that no check can judge, is null."""
    columns = [
        pa.array([row.get(field.name) for row in rows], field.type, from_pandas=pa.types.is_floating(field.type))
        for field in OUTCOME_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=OUTCOME_SCHEMA)
