from datetime import UTC, datetime

import pytest

from schemas.errors import Misconfigured
from schemas.intervals import DataInterval, parse_time
from schemas.reasons import FetchReason, http_reason


def test_an_interval_is_named_by_its_end_in_utc() -> None:
    interval = DataInterval(parse_time("2026-01-30T02:00:00+00:00"), parse_time("2026-01-31T04:00:00+02:00"))
    assert interval.key == "20260131T020000Z"


def test_a_key_reads_back_as_its_time() -> None:
    assert parse_time("20260131T020000Z") == datetime(2026, 1, 31, 2, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-01-31T02:00:00", "yesterday", ""])
def test_a_time_without_a_zone_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(Misconfigured, match="write it as"):
        parse_time(text)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, FetchReason.HTTP_404),
        (418, FetchReason.HTTP_4XX),
        (503, FetchReason.HTTP_503),
        (599, FetchReason.HTTP_5XX),
        (304, FetchReason.HTTP_OTHER),
    ],
)
def test_every_http_status_has_a_reason(status: int, reason: FetchReason) -> None:
    assert http_reason(status) is reason


def test_what_a_time_without_a_zone_should_be_is_a_time() -> None:
    for text in ("2026-01-31", "2026-01-31T02:00"):
        with pytest.raises(Misconfigured) as refused:
            parse_time(text)
        assert parse_time(str(refused.value).rpartition(" ")[2])


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-05:00"])
def test_a_time_that_its_zone_takes_out_of_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="years 1 to 9999"):
        parse_time(text)
