"""Many links at once: what one host may be asked, and what a slow one may not hold up."""

import asyncio
import threading
import time

import pytest

from schemas.reasons import FetchReason
from spark_jobs.fetch.answers import Errand, Visit
from spark_jobs.fetch.downloader import WINDOW_LINKS, download
from spark_jobs.fetch.lanes import Division
from spark_jobs.fetch.settings import FetchSettings
from tests.spark_jobs.fetch.fault_server import Exchange, FaultServer, silent
from tests.spark_jobs.fetch.visits import PHOTO, visit, visit_all

pytestmark = pytest.mark.full


def test_after_a_429_the_whole_host_is_left_alone_for_as_long_as_it_asks(server: FaultServer) -> None:
    asked_at: list[float] = []

    async def busy_once(exchange: Exchange) -> None:
        asked_at.append(time.monotonic())
        if len(asked_at) == 1:
            await exchange.reply(429, b"", Retry_After="1")
        else:
            await exchange.reply(200, PHOTO)

    one_at_a_time = FetchSettings(allow_private=True, host_at_once=1, backoff_s=0.01)
    found = visit_all([server.on(f"/{number}.jpg", busy_once) for number in range(3)], one_at_a_time)
    assert all(each.answer.data == PHOTO for each in found.values())
    assert asked_at[1] - asked_at[0] >= 1.0


def test_a_slow_host_does_not_hold_up_another() -> None:
    with FaultServer("127.0.0.1") as slow, FaultServer("127.0.0.2") as fast:
        stuck = [slow.on(f"/{number}", silent) for number in range(12)]
        good = [fast.on_photo(f"/{number}.jpg", PHOTO) for number in range(20)]
        settings = FetchSettings(allow_private=True, read_timeout_s=2, at_once=8, host_at_once=4)
        order = []
        for visits in download(iter([Errand(u, u) for u in stuck + good]), settings, Division(1, settings), 0):
            order += [each.errand.url for each in visits]
        assert set(order[:20]) == set(good)
        assert len(order) == 32


def test_a_host_gets_no_more_at_once_and_a_second_than_its_limits_from_all_partitions_together(
    server: FaultServer,
) -> None:
    settings = FetchSettings(allow_private=True, host_at_once=5, host_per_second=40)
    division = Division(3, settings)

    async def not_too_fast(exchange: Exchange) -> None:
        await asyncio.sleep(0.05)
        await exchange.reply(200, PHOTO)

    urls = [server.on(f"/{number}.jpg", not_too_fast) for number in range(90)]
    planned: dict[int, list[Errand]] = {}
    for url in urls:
        planned.setdefault(division.partition_of("127.0.0.1", url), []).append(Errand(url, url))
    done: list[Visit] = []

    def fetch(partition: int, errands: list[Errand]) -> None:
        for visits in download(iter(errands), settings, division, partition):
            done.extend(visits)

    threads = [threading.Thread(target=fetch, args=item) for item in planned.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(threads) == 3
    assert sum(each.answer.data == PHOTO for each in done) == 90
    assert server.seen.in_flight_max <= 5
    assert server.seen.per_second_max <= 40


def test_more_links_than_are_read_ahead_all_come_back_once(server: FaultServer) -> None:
    urls = [server.url(f"/{number}") for number in range(WINDOW_LINKS + 500)]
    settings = FetchSettings(allow_private=True, host_per_second=1e6)
    found = visit_all(urls, settings)
    assert set(found) == set(urls)
    assert server.seen.requests.total() == len(urls)


def test_what_cannot_be_asked_costs_no_request() -> None:
    found = visit_all(["images/a.jpg", "ftp://shop.example/a.jpg", ""])
    assert [each.errand.requests for each in found.values()] == [0, 0, 0]


def test_inside_addresses_are_refused_unless_allowed(server: FaultServer) -> None:
    url = server.on_photo("/a.jpg", PHOTO)
    by_name = url.replace("127.0.0.1", "localhost")
    found = visit_all([url, by_name, "http://[::1]/a"], FetchSettings())
    assert {each.answer.reason for each in found.values()} == {FetchReason.ADDRESS_REFUSED}
    assert visit("http://127.1/a", FetchSettings()).answer.reason is not None
    assert server.seen.requests.total() == 0
