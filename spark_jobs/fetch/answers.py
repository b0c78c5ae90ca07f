"""What one request gives, and what a link's whole visit ends in."""

from dataclasses import dataclass

from schemas.reasons import FetchReason

TEMPORARY = frozenset(
    {
        FetchReason.DNS, FetchReason.CONNECT, FetchReason.CONNECT_TIMEOUT, FetchReason.READ_TIMEOUT,
        FetchReason.TOTAL_TIMEOUT, FetchReason.RESET, FetchReason.TRUNCATED, FetchReason.EMPTY, FetchReason.STORE_ERROR,
        FetchReason.HTTP_429, FetchReason.HTTP_500, FetchReason.HTTP_502, FetchReason.HTTP_503, FetchReason.HTTP_504,
        FetchReason.HTTP_5XX, FetchReason.TLS,
    }
)  # fmt: skip
"""Reasons that a later run may find gone."""

TIMEOUTS = frozenset({FetchReason.CONNECT_TIMEOUT, FetchReason.READ_TIMEOUT, FetchReason.TOTAL_TIMEOUT})

WORTH_ANOTHER_TRY = TEMPORARY - TIMEOUTS - {FetchReason.TLS}
"""Reasons that are tried again within the run. A timeout has cost enough: it waits for a later one."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger holds of a link's last success: its validators and its content."""

    etag: str | None = None
    last_modified: str | None = None
    content_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request gave: `data`, or `unchanged` (304), or `redirect_to`, or a `reason`."""

    data: bytes | None = None
    unchanged: bool = False
    redirect_to: str | None = None
    reason: FetchReason | None = None
    http_status: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Errand:
    """One link to visit. `place` is where to ask next, after redirects; `requests` and `hops` were made so far."""

    url: str
    place: str
    known: Known = Known()
    hops: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Visit:
    """How an errand ended: with an answer, or `moved_to` another partition's host."""

    errand: Errand
    answer: Answer
    moved_to: str | None = None
