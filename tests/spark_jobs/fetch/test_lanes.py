import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.fetch.lanes import Division, limiter_for
from spark_jobs.fetch.settings import FetchSettings

DIVISIONS = st.builds(
    lambda partitions, at_once, per_second: Division(
        partitions, FetchSettings(host_at_once=at_once, host_per_second=per_second)
    ),
    st.integers(1, 60), st.integers(1, 40), st.floats(0.1, 500),
)  # fmt: skip


@given(DIVISIONS, st.text(max_size=20))
def test_all_shares_of_a_host_together_are_its_limits(division: Division, host: str) -> None:
    shares = [share for number in range(division.partitions) if (share := division.share_of(host, number))]
    assert sum(share.at_once for share in shares) == division.settings.host_at_once
    assert math.isclose(sum(share.per_second for share in shares), division.settings.host_per_second)
    assert all(share.at_once >= 1 for share in shares)


@given(DIVISIONS, st.text(max_size=20), st.lists(st.text(max_size=20), max_size=20))
def test_a_link_is_planned_where_its_host_has_a_share(division: Division, host: str, urls: list[str]) -> None:
    for url in urls:
        partition = division.partition_of(host, url)
        assert 0 <= partition < division.partitions
        assert division.share_of(host, partition) is not None


def test_a_busy_host_is_spread_over_all_the_partitions_that_its_limits_allow() -> None:
    division = Division(8, FetchSettings(host_at_once=4, host_per_second=100))
    assert len({division.partition_of("shop.example", f"u{n}") for n in range(200)}) == 4


@pytest.mark.parametrize("per_second", [0.5, 1.0, 2.0, 3.5, 10.0, 95.0, 1000.0])
def test_a_limiter_lets_no_more_than_its_rate_through_in_any_second(per_second: float) -> None:
    async def capacity_and_rate() -> tuple[float, float]:
        limiter = limiter_for(per_second)
        return limiter.max_rate, limiter.max_rate / limiter.time_period

    burst, rate = asyncio.run(capacity_and_rate())
    assert burst >= 1.0
    assert burst + rate <= max(per_second, 1.0 + per_second * (per_second < 2)) + 1e-9
    assert rate >= 0.5 * per_second
