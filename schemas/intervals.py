"""Data intervals: how their ends are written in keys and arguments."""

from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.errors import Misconfigured

_KEY_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, order=True)
class DataInterval:
    """A half-open span [start, end) of source time, both aware and in UTC."""

    start: datetime
    end: datetime

    @property
    def key(self) -> str:
        """The end as it stands in object keys: 20260131T020000Z."""
        return format_time_key(self.end)


def format_time_key(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(_KEY_FORMAT)


def parse_time(text: str) -> datetime:
    """An ISO 8601 time, or a key's form, as an aware UTC datetime. Raises Misconfigured without a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misconfigured(f"{text!r} is no ISO 8601 time: write it as 2026-01-31T02:00:00+00:00") from None
    if moment.tzinfo is None:
        raise Misconfigured(f"{text!r} has no time zone: write it as {moment.isoformat()}+00:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Misconfigured(f"{text!r} is not within the years 1 to 9999 in UTC") from None
