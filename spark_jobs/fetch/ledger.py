"""The ledger `image_fetches`: what a visit makes of a link's row, and when the link is looked at again. No Spark.

ok        looked at again when its product changes, or on its day of the cycle
failed    temporary: tried again from next_try_at on, later each time; the last good content stays
gave_up   permanent, or failed eight runs in a row: back to the cycle, and the content is forgotten
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.reasons import FetchReason
from spark_jobs.fetch.answers import TEMPORARY, TIMEOUTS, Known, Visit
from spark_jobs.fetch.waiting import share_of_hash

OK, FAILED, GAVE_UP = "ok", "failed", "gave_up"
CYCLE_DAYS = 30
FAILURES_MAX = 8
FIRST_WAIT = timedelta(hours=12)
FIRST_WAIT_AFTER_TIMEOUT = timedelta(hours=36)
"""A host that answers too late holds up a whole run: it is left out of the next nightly one."""
WAIT_MAX = timedelta(days=14)
JITTER = 0.25


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A row of `image_fetches`, without its url. `fetched_as_of` is the recorded time of the run that last looked."""

    status: str
    reason: FetchReason | None
    http_status: int | None
    attempts: int
    failures_in_a_row: int
    next_try_at: datetime | None
    etag: str | None
    last_modified: str | None
    content_sha256: str | None
    content_bytes: int | None
    final_url: str | None
    fetched_as_of: datetime

    @property
    def known(self) -> Known:
        return Known(self.etag, self.last_modified, self.content_sha256)


def row_after(previous: LedgerRow | None, visit: Visit, content_sha256: str | None, as_of: datetime) -> LedgerRow:
    """The link's next row. `content_sha256` names the bytes in hand, where the visit gave any."""
    answer, errand = visit.answer, visit.errand
    if answer.reason is not None:
        return _row_after_failure(previous, visit, answer.reason, as_of)
    data = answer.data
    keeps = previous if data is None else None
    return LedgerRow(
        status=OK, reason=None, http_status=answer.http_status, attempts=errand.requests, failures_in_a_row=0,
        next_try_at=None,
        etag=answer.etag or (keeps.etag if keeps else None),
        last_modified=answer.last_modified or (keeps.last_modified if keeps else None),
        content_sha256=keeps.content_sha256 if keeps else content_sha256,
        content_bytes=keeps.content_bytes if keeps else len(data or b""),
        final_url=errand.place,
        fetched_as_of=as_of,
    )  # fmt: skip


def _row_after_failure(previous: LedgerRow | None, visit: Visit, reason: FetchReason, as_of: datetime) -> LedgerRow:
    failures = failures_after(previous, as_of)
    gave_up = reason not in TEMPORARY or failures >= FAILURES_MAX
    waits = None if gave_up else wait_after(visit.errand.url, reason, failures, visit.answer.retry_after_s)
    keeps = previous if previous and not gave_up else None
    return LedgerRow(
        status=GAVE_UP if gave_up else FAILED, reason=reason, http_status=visit.answer.http_status,
        attempts=visit.errand.requests, failures_in_a_row=failures, next_try_at=as_of + waits if waits else None,
        etag=keeps.etag if keeps else None,
        last_modified=keeps.last_modified if keeps else None,
        content_sha256=keeps.content_sha256 if keeps else None,
        content_bytes=keeps.content_bytes if keeps else None,
        final_url=visit.errand.place,
        fetched_as_of=as_of,
    )  # fmt: skip


def failures_after(previous: LedgerRow | None, as_of: datetime) -> int:
    """Failed runs in a row, this one included; a run that is repeated counts once."""
    if previous is None:
        return 1
    repeated = previous.fetched_as_of >= as_of and previous.failures_in_a_row > 0
    return previous.failures_in_a_row + (not repeated)


def wait_after(url: str, reason: FetchReason, failures_in_a_row: int, retry_after_s: float | None = None) -> timedelta:
    """Twice as long after each failure, two weeks at most, up to a quarter more by the link; longer if the server asks."""
    first = FIRST_WAIT_AFTER_TIMEOUT if reason in TIMEOUTS else FIRST_WAIT
    doubled = min(first * 2 ** min(failures_in_a_row - 1, 10), WAIT_MAX)
    chosen = doubled * (1.0 + JITTER * share_of_hash(url, f"failure {failures_in_a_row}"))
    asked = timedelta(seconds=min(retry_after_s or 0.0, timedelta(days=CYCLE_DAYS).total_seconds()))
    return timedelta(seconds=round(max(chosen, asked).total_seconds()))


def cycle_day(url: str) -> int:
    """The link's day, 0 to 29; `fetch.work` has the same as a Spark expression."""
    return int(hashlib.sha256(url.encode()).hexdigest()[:8], 16) % CYCLE_DAYS


def day_has_come(cycle_day: int, looked_at: datetime, as_of: datetime) -> bool:
    """Whether the link's day came after the day of the last look, up to today; missed days are made up for."""
    return _turns(cycle_day, as_of) > _turns(cycle_day, looked_at)


def _turns(cycle_day: int, moment: datetime) -> int:
    return (int(moment.timestamp()) // 86_400 - cycle_day) // CYCLE_DAYS
