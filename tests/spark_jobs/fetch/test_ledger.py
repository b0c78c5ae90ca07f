from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas.reasons import FetchReason
from schemas.tables import IMAGE_FETCHES
from spark_jobs.fetch.answers import TEMPORARY, TIMEOUTS, Answer, Errand, Visit
from spark_jobs.fetch.ledger import (
    CYCLE_DAYS,
    FAILED,
    FAILURES_MAX,
    FIRST_WAIT,
    GAVE_UP,
    OK,
    WAIT_MAX,
    LedgerRow,
    cycle_day,
    day_has_come,
    row_after,
    wait_after,
)  # fmt: skip
from spark_jobs.fetch.outcomes import PREVIOUS_FIELDS

NIGHT = datetime(2026, 1, 31, 2, tzinfo=UTC)
ONE_DAY = timedelta(days=1)
GOOD = LedgerRow(OK, None, 200, 1, 0, None, '"v1"', "Mon", "c1", 3, "u", NIGHT - ONE_DAY)


def visited(answer: Answer, requests: int = 1) -> Visit:
    return Visit(Errand("u", "u", requests=requests), answer)


def failed(reason: FetchReason = FetchReason.HTTP_503, retry_after_s: float | None = None) -> Visit:
    return visited(Answer(reason=reason, http_status=503, retry_after_s=retry_after_s), requests=3)


def test_a_ledger_row_has_the_columns_of_its_table() -> None:
    assert ("url", *(name for name, _ in PREVIOUS_FIELDS)) == IMAGE_FETCHES.column_names


def test_new_bytes_are_noted_with_their_validators() -> None:
    row = row_after(None, visited(Answer(data=b"abc", http_status=200, etag='"v2"'), requests=2), "c2", NIGHT)
    assert row == LedgerRow(OK, None, 200, 2, 0, None, '"v2"', None, "c2", 3, "u", NIGHT)


def test_an_unchanged_photo_moves_only_the_time_and_the_last_answer() -> None:
    row = row_after(GOOD, visited(Answer(unchanged=True, http_status=304)), None, NIGHT)
    assert row == replace(GOOD, http_status=304, fetched_as_of=NIGHT)


def test_a_server_that_drops_its_etag_does_not_leave_the_old_one_on_new_bytes() -> None:
    row = row_after(GOOD, visited(Answer(data=b"abc", http_status=200)), "c2", NIGHT)
    assert (row.etag, row.last_modified, row.content_sha256) == (None, None, "c2")


def test_a_temporary_failure_keeps_the_last_good_content_and_sets_a_next_try() -> None:
    row = row_after(GOOD, failed(), None, NIGHT)
    assert (row.status, row.reason, row.content_sha256, row.etag) == (FAILED, FetchReason.HTTP_503, "c1", '"v1"')
    assert row.next_try_at is not None
    assert NIGHT + FIRST_WAIT <= row.next_try_at < NIGHT + ONE_DAY  # the next nightly run tries again


def test_a_timeout_skips_the_next_nightly_run() -> None:
    row = row_after(None, failed(FetchReason.READ_TIMEOUT), None, NIGHT)
    assert row.next_try_at is not None
    assert NIGHT + ONE_DAY < row.next_try_at <= NIGHT + 2 * ONE_DAY


def test_a_permanent_failure_gives_up_at_once_and_forgets_the_content() -> None:
    row = row_after(GOOD, failed(FetchReason.HTTP_404), None, NIGHT)
    assert (row.status, row.next_try_at, row.content_sha256, row.etag) == (GAVE_UP, None, None, None)


def test_eight_failed_runs_in_a_row_give_up() -> None:
    row, as_of = None, NIGHT
    statuses = []
    for _ in range(FAILURES_MAX):
        row = row_after(row, failed(), None, as_of)
        statuses.append(row.status)
        as_of = row.next_try_at or as_of
    assert statuses == [FAILED] * (FAILURES_MAX - 1) + [GAVE_UP]


def test_a_success_forgets_the_failures() -> None:
    row = row_after(row_after(None, failed(), None, NIGHT), visited(Answer(data=b"abc")), "c1", NIGHT + ONE_DAY)
    assert (row.status, row.failures_in_a_row, row.reason, row.next_try_at) == (OK, 0, None, None)


def test_a_run_that_is_repeated_counts_its_failure_once() -> None:
    once = row_after(GOOD, failed(), None, NIGHT)
    assert row_after(once, failed(), None, NIGHT) == once


def test_a_server_that_asks_for_more_time_gets_it_but_no_more_than_a_cycle() -> None:
    asks_for_a_week = row_after(None, failed(FetchReason.HTTP_429, 7 * 86_400.0), None, NIGHT)
    asks_for_a_year = row_after(None, failed(FetchReason.HTTP_429, 365 * 86_400.0), None, NIGHT)
    assert asks_for_a_week.next_try_at == NIGHT + timedelta(days=7)
    assert asks_for_a_year.next_try_at == NIGHT + timedelta(days=CYCLE_DAYS)


@given(st.text(max_size=30), st.sampled_from(sorted(TEMPORARY)), st.integers(1, 200))
def test_each_wait_is_longer_than_the_last_up_to_a_cap(url: str, reason: FetchReason, failures: int) -> None:
    now, next_time = (wait_after(url, reason, number) for number in (failures, failures + 1))
    assert FIRST_WAIT <= now <= WAIT_MAX * 1.25
    assert next_time > now or now >= WAIT_MAX
    assert wait_after(url, reason, failures) == now
    assert TIMEOUTS <= TEMPORARY


def test_waits_of_many_links_are_spread() -> None:
    assert len({wait_after(f"u{n}", FetchReason.HTTP_503, 1) for n in range(100)}) > 90


@given(st.text(max_size=30), st.integers(0, 60))
def test_every_link_has_its_day_exactly_once_in_thirty(url: str, offset: int) -> None:
    nights = [NIGHT + ONE_DAY * (offset + number) for number in range(CYCLE_DAYS + 1)]
    came = [day_has_come(cycle_day(url), earlier, later) for earlier, later in pairwise(nights)]
    assert came.count(True) == 1


def test_a_day_that_was_missed_is_made_up_for_and_not_repeated_on_the_same_day() -> None:
    day = (int(NIGHT.timestamp()) // 86_400) % CYCLE_DAYS
    assert day_has_come(day, NIGHT - ONE_DAY, NIGHT)
    assert day_has_come(day, NIGHT - ONE_DAY, NIGHT + 5 * ONE_DAY)
    assert not day_has_come(day, NIGHT, NIGHT + timedelta(hours=3))
    assert not day_has_come(day, NIGHT, NIGHT + 5 * ONE_DAY)
    assert not day_has_come(day, NIGHT, NIGHT - 5 * ONE_DAY)  # a backfill of an older night
