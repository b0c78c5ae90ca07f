"""How often one caller may ask."""

import math
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
from flask.testing import FlaskClient
from limits import parse
from limits.storage import Storage
from werkzeug.test import TestResponse

from online.access.host_counters import FILE, HostCounters
from online.access.keys import Scope, create_key
from online.access.limit_settings import LimitSettings
from online.access.rate_limits import Allowance, RateLimits, network_of
from online.app import create_app
from online.config import SearcherConfig
from schemas.errors import Misconfigured
from tests.online.running import ROOT
from tests.online.tiny_shop import MeanColourEncoder


@contextmanager
def limited(
    config: SearcherConfig, rate_limit: str = "3/hour", redis_url: str = "", **settings: object
) -> Iterator[FlaskClient]:
    """A ready searcher that takes three requests a caller."""
    settings["limits"] = LimitSettings(rate_limit, redis_url)
    app = create_app(replace(config, **settings), lambda folder: MeanColourEncoder(), watch=False)
    app.extensions["searcher"].watcher.look()
    yield app.test_client()
    app.extensions["searcher"].spool.close()


def search(client: FlaskClient, address: str = "127.0.0.1", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/search", json={"text": "red"}, headers=named, environ_overrides={"REMOTE_ADDR": address})


def click(client: FlaskClient) -> TestResponse:
    return client.post("/click", json={"request_id": "r", "product_id": "shirt-red", "position": 0})


def test_one_more_than_the_limit_is_told_when_to_come_back(config: SearcherConfig) -> None:
    with limited(config) as client:
        admitted = [search(client) for _ in range(3)]
        refused = search(client)
    assert [answer.status_code for answer in admitted] == [200, 200, 200]
    assert [answer.headers["RateLimit"].split(";")[1] for answer in admitted] == ["r=2", "r=1", "r=0"]
    assert admitted[0].headers["RateLimit-Policy"] == '"3600s";q=3;w=3600'
    assert (refused.status_code, refused.get_json()["type"]) == (429, "/problems/too-many-requests")
    assert 3590 < int(refused.headers["Retry-After"]) <= 3600
    assert refused.headers["RateLimit"] == f'"3600s";r=0;t={refused.headers["Retry-After"]}'
    assert "Retry-After" not in admitted[2].headers


def test_without_a_limit_nothing_is_counted(client: FlaskClient) -> None:
    assert "RateLimit" not in search(client).headers


def test_addresses_are_counted_apart(config: SearcherConfig) -> None:
    with limited(config) as client:
        assert [search(client, "127.0.0.1").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert search(client, "127.0.0.2").status_code == 200


def test_a_key_is_counted_wherever_it_is_used(config: SearcherConfig) -> None:
    (one, stored_one), (two, stored_two) = create_key([Scope.SEARCH]), create_key([Scope.SEARCH])
    with limited(config, api_keys=(stored_one, stored_two)) as client:
        addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]
        assert [search(client, address, X_API_Key=one).status_code for address in addresses] == [200, 200, 200, 429]
        assert search(client, "10.0.0.4", X_API_Key=two).status_code == 200


def test_a_caller_behind_a_trusted_proxy_is_the_one_that_the_proxy_names(config: SearcherConfig) -> None:
    with limited(config, trusted_proxies=1) as client:
        for caller in ("127.0.0.8", "127.0.0.9"):
            forged = f"127.0.0.1, {caller}"
            assert [search(client, X_Forwarded_For=forged).status_code for _ in range(4)] == [200, 200, 200, 429]
        outside = search(client, X_Forwarded_For="10.0.0.7")
        assert outside.get_json()["type"] == "/problems/loopback-only"
    with limited(config) as client:
        callers = [f"127.0.0.{number}" for number in range(4)]
        assert [search(client, X_Forwarded_For=caller).status_code for caller in callers] == [200, 200, 200, 429]


def test_searches_and_clicks_have_a_limit_each(config: SearcherConfig) -> None:
    with limited(config) as client:
        assert [search(client).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert [click(client).status_code for _ in range(4)] == [204, 204, 204, 429]


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/", "/nothing"])
def test_nothing_else_is_limited(config: SearcherConfig, path: str) -> None:
    with limited(config) as client:
        assert 429 not in {client.get(path).status_code for _ in range(5)}


def test_the_tightest_of_several_limits_counts(config: SearcherConfig) -> None:
    with limited(config, rate_limit="100/second; 2/hour") as client:
        answers = [search(client) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[1].headers["RateLimit-Policy"] == '"3600s";q=2;w=3600'


@pytest.mark.parametrize(
    "rate_limit",
    ["many", "0/second", "5", "5/fortnight", "-5/second", "5/9999999999 day", f"{10**20}/day"],
)
def test_a_limit_that_is_none_is_named(config: SearcherConfig, rate_limit: str) -> None:
    with pytest.raises(Misconfigured, match="SHOPLENS_RATE_LIMIT"), limited(config, rate_limit=rate_limit):
        pass


@pytest.mark.parametrize("redis_url", ["localhost", "http://localhost:6379"])
def test_a_redis_that_is_none_is_named(config: SearcherConfig, redis_url: str) -> None:
    with pytest.raises(Misconfigured, match="SHOPLENS_REDIS_URL"), limited(config, redis_url=redis_url):
        pass


def test_a_store_that_is_away_lets_everybody_through_and_is_counted(config: SearcherConfig) -> None:
    with limited(config, redis_url="redis://127.0.0.1:1/0") as client:
        assert [search(client).status_code for _ in range(5)] == [200] * 5
        assert "shoplens_rate_limit_failures_total 5.0" in client.get("/metrics").text


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_store_that_failed_is_asked_again_after_a_pause(tmp_path: Path) -> None:
    clock, failures = Clock(), []
    folder = tmp_path / "later"
    limits = RateLimits([parse("1/hour")], HostCounters(folder), lambda: failures.append(1), clock)
    assert limits.count("search", "a") is None
    folder.mkdir()
    assert limits.count("search", "a") is None
    assert len(failures) == 2
    clock.now += 10
    allowance = limits.count("search", "a")
    assert allowance is not None
    assert (allowance.admitted, allowance.remaining) == (True, 0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counters(tmp_path: Path, clock: Clock) -> HostCounters:
    return HostCounters(tmp_path, clock)


def test_a_window_begins_with_its_first_hit_and_ends(counters: HostCounters, clock: Clock) -> None:
    assert [counters.incr("a", 60), counters.incr("a", 60), counters.incr("b", 60, 5)] == [1, 2, 5]
    clock.now += 59
    assert (counters.incr("a", 60), counters.get("a"), counters.get_expiry("a")) == (3, 3, 1060.0)
    clock.now += 1
    assert (counters.get("a"), counters.get_expiry("a")) == (0, 1060.0)
    assert (counters.incr("a", 60), counters.get_expiry("a")) == (1, 1120.0)


def test_a_clock_that_is_set_back_refuses_nobody_for_longer(counters: HostCounters, clock: Clock) -> None:
    counters.incr("a", 60, 5)
    clock.now -= 30
    assert counters.incr("a", 60) == 6
    clock.now -= 900
    assert (counters.incr("a", 60), counters.get("a"), counters.get_expiry("a")) == (1, 1, 130.0)


def test_counters_can_be_cleared(counters: HostCounters) -> None:
    for key in "abc":
        counters.incr(key, 60)
    counters.clear("a")
    assert (counters.get("a"), counters.get("b")) == (0, 1)
    assert counters.reset() == 2
    assert counters.check()


def test_counters_that_ended_are_swept_away(counters: HostCounters, clock: Clock, tmp_path: Path) -> None:
    for number in range(2000):
        clock.now += 1
        counters.incr(f"address {number}", 10)
    assert sqlite3.connect(tmp_path / FILE).execute("SELECT count(*) FROM counters").fetchone()[0] < 1500


def test_threads_lose_no_hit(tmp_path: Path) -> None:
    counters = HostCounters(tmp_path, busy_timeout_s=60)  # a hit that waits too long is not counted, by design
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: counters.incr("a", 3600), range(400)))
    assert sorted(counts) == list(range(1, 401))


def test_no_hit_is_lost_to_threads_that_open_the_counters_at_once(tmp_path: Path) -> None:
    """One round in fourteen went wrong."""
    for number in range(100):
        folder = tmp_path / str(number)
        folder.mkdir()
        counters, together = HostCounters(folder, busy_timeout_s=60), Barrier(8)

        def hit(_: int, counters: HostCounters = counters, together: Barrier = together) -> int:
            together.wait()
            return counters.incr("a", 3600)

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(hit, range(8))) == list(range(1, 9))


def test_processes_lose_no_hit(tmp_path: Path) -> None:
    hit = "import sys, pathlib; from online.access.host_counters import HostCounters; h = HostCounters(pathlib.Path(sys.argv[1]), busy_timeout_s=60)"
    script = f"{hit}; print(*[h.incr('a', 3600) for _ in range(200)])"
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    counts = [int(number) for process in running for number in process.communicate()[0].split()]
    assert sorted(counts) == list(range(1, 601))


def test_a_damaged_file_is_a_failure_of_the_store(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    limits = RateLimits([parse("1/hour")], HostCounters(tmp_path))
    assert limits.count("search", "a") is None


def test_a_store_is_one_of_the_library(counters: HostCounters) -> None:
    assert isinstance(counters, Storage)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_subscriber_is_one_caller(address: str, network: str) -> None:
    assert network_of(address) == network


def test_who_is_refused_never_waits_zero_seconds() -> None:
    assert Allowance(False, 3, 1, 0, 0).headers["Retry-After"] == "1"
    assert math.isfinite(int(Allowance(False, 3, 60, 0, 59).headers["Retry-After"]))
