"""Rate limits as they are deployed: one count for all workers of a host, or for all hosts that share a Redis."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from retrieval.store.objects import FolderStore
from tests.online.running import run_gunicorn, wait_until
from tests.servers import RedisServer

pytestmark = pytest.mark.full

LIMIT = 25
SETTINGS = {"SHOPLENS_RATE_LIMIT": f"{LIMIT}/hour"}


def test_workers_of_a_host_count_together(store: FolderStore, tmp_path: Path) -> None:
    with run_gunicorn(store, tmp_path, SETTINGS) as running:
        answers = [running.search() for _ in range(LIMIT + 15)]
    assert [answer.status_code for answer in answers] == [200] * LIMIT + [429] * 15
    assert [answer.headers["RateLimit"].split(";")[1] for answer in answers[:LIMIT]] == [
        f"r={left}" for left in reversed(range(LIMIT))
    ]


def test_a_redis_counts_for_several_hosts(store: FolderStore, tmp_path: Path, redis_server: RedisServer) -> None:
    settings = {**SETTINGS, "SHOPLENS_REDIS_URL": redis_server.url}
    with ExitStack() as stack:
        hosts = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            hosts.append(stack.enter_context(run_gunicorn(store, tmp_path / name, settings)))
        statuses = [host.search().status_code for _ in range(LIMIT) for host in hosts]
        assert statuses == [200] * LIMIT + [429] * LIMIT


def test_shoppers_are_served_when_redis_dies(store: FolderStore, tmp_path: Path, redis_server: RedisServer) -> None:
    settings = {**SETTINGS, "SHOPLENS_REDIS_URL": redis_server.url}
    with run_gunicorn(store, tmp_path, settings) as running:
        assert [running.search().status_code for _ in range(LIMIT + 1)][-1] == 429
        redis_server.process.kill()
        redis_server.process.wait()
        wait_until(lambda: running.search().status_code == 200, "nobody is refused any more")
        assert {running.search().status_code for _ in range(10)} == {200}
        assert running.figure("shoplens_rate_limit_failures_total") >= 10
