from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.lake.table_care import KEPT_AT_LEAST, vacuum_cutoff

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS_AGO = st.floats(0, 400).map(lambda days: NOW - timedelta(days=days))


def test_where_nothing_older_is_needed_seven_days_are_kept() -> None:
    assert vacuum_cutoff(NOW, []) == NOW - timedelta(days=7, hours=1)
    assert vacuum_cutoff(NOW, [NOW - timedelta(days=3)]) == NOW - timedelta(days=7, hours=1)


def test_the_oldest_version_that_a_base_was_built_from_is_kept() -> None:
    needed = [NOW - timedelta(days=20), NOW - timedelta(days=9)]
    assert vacuum_cutoff(NOW, needed) == NOW - timedelta(days=20, hours=1)


@given(st.lists(DAYS_AGO))
def test_a_vacuum_never_reaches_what_is_needed_or_young(needed: list[datetime]) -> None:
    cutoff = vacuum_cutoff(NOW, needed)
    assert cutoff < NOW - KEPT_AT_LEAST
    assert all(cutoff < moment for moment in needed)
