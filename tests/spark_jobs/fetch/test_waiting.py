import pytest

from spark_jobs.fetch.waiting import backoff_seconds, retry_after_seconds, share_of_hash

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("header", "date", "seconds"),
    [
        ("120", None, 120.0),
        (" 7 ", None, 7.0),
        ("Wed, 21 Oct 2026 07:29:30 GMT", DATE, 90.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", DATE, 0.0),
        ("Wed, 21 Oct 2026 07:29:30 GMT", None, None),
        ("soon", DATE, None),
        ("-5", DATE, None),
        ("9" * 400, None, 1e9),
        (None, DATE, None),
        ("", DATE, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_servers_own_clock(
    header: str | None, date: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(header, date) == seconds


def test_backoff_doubles_with_a_jitter_that_repeats() -> None:
    for tries_made in (1, 2, 3):
        waits = {backoff_seconds(f"u{n}", tries_made, 0.5) for n in range(50)}
        assert len(waits) == 50
        assert all(0.5 * 2 ** (tries_made - 1) <= wait < 0.75 * 2 ** (tries_made - 1) for wait in waits)
    assert backoff_seconds("u", 1, 0.5) == backoff_seconds("u", 1, 0.5)


def test_a_share_of_a_hash_lies_in_the_unit_interval_whatever_the_text() -> None:
    assert all(0.0 <= share_of_hash(text) < 1.0 for text in ("", "é", "\udcff", "a" * 10_000))
