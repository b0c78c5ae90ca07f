"""/metrics as it is deployed: the figures of two workers together, also when they are replaced."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from retrieval.store.objects import FolderStore
from schemas.intervals import parse_time
from tests.online.running import PATIENCE_S, Running, run_gunicorn, wait_until
from tests.online.tiny_shop import point_at

pytestmark = pytest.mark.full

SEARCHES = 'shoplens_searches_total{kind="text"}'
GENERATION = "shoplens_generation"
NOBODY_ANSWERS = 0


@pytest.fixture
def metrics_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "metrics"
    folder.mkdir()
    return folder


@pytest.fixture
def running(store: FolderStore, tmp_path: Path, metrics_folder: Path) -> Iterator[Running]:
    with run_gunicorn(store, tmp_path, {"PROMETHEUS_MULTIPROC_DIR": str(metrics_folder)}) as running:
        yield running


def workers_that_counted(folder: Path) -> int:
    return len(list(folder.glob("histogram_*.db")))


def test_every_figure_is_that_of_all_workers(running: Running, metrics_folder: Path) -> None:
    nothing = {"text": "red", "filters": {"category": {"equals": "submarines"}}}
    for _ in range(30):
        assert running.search().status_code == 200
        assert requests.post(f"{running.url}/search", json=nothing, timeout=PATIENCE_S).json()["results"] == []
        assert requests.post(f"{running.url}/search", json={}, timeout=PATIENCE_S).status_code == 422
    assert workers_that_counted(metrics_folder) == 2
    expected = {
        SEARCHES: 60,
        'shoplens_zero_results_total{kind="text"}': 30,
        'shoplens_requests_total{endpoint="search",status="200"}': 60,
        'shoplens_requests_total{endpoint="search",status="422"}': 30,
        'shoplens_problems_total{type="no-query"}': 30,
        'shoplens_request_seconds_count{endpoint="search"}': 90,
        'shoplens_request_seconds_bucket{endpoint="search",le="+Inf"}': 90,
        'shoplens_stage_seconds_count{stage="encode"}': 60,
        'shoplens_stage_seconds_bucket{le="+Inf",stage="encode"}': 60,
    }
    for _ in range(6):  # whichever worker is asked
        assert {name: running.figure(name) for name in expected} == expected


def test_the_index_is_as_old_as_that_of_the_worker_furthest_behind(running: Running, store: FolderStore) -> None:
    age_s = time.time() - parse_time("2026-01-02T02:00:00+00:00").timestamp()
    assert running.figure("shoplens_index_age_seconds") == pytest.approx(age_s, abs=PATIENCE_S)
    assert running.figure(GENERATION) == 1
    point_at(store, "b1", 2)
    wait_until(lambda: running.figure(GENERATION) == 2, "both workers serve generation 2")
    assert running.figure("shoplens_snapshot_swaps_total") == 4


def test_replaced_workers_count_on_and_leave_no_files(store: FolderStore, tmp_path: Path, metrics_folder: Path) -> None:
    settings = {"PROMETHEUS_MULTIPROC_DIR": str(metrics_folder), "SHOPLENS_REQUESTS_PER_WORKER": "25"}
    searches = broken_off = 0
    with run_gunicorn(store, tmp_path, settings) as running:
        first = {worker.pid for worker in running.workers()}
        while searches < 100 or first & {worker.pid for worker in running.workers()}:
            try:
                searches += running.search().status_code == 200
            except requests.ConnectionError:
                broken_off += 1  # by a worker that went; it may have counted before
                continue
            assert running.figure(GENERATION) in (1, NOBODY_ANSWERS)
        wait_until(lambda: running.figure(GENERATION) == 1, "somebody answers")
        assert searches <= running.figure(SEARCHES) <= searches + broken_off
    assert workers_that_counted(metrics_folder) == 2


def test_a_killed_worker_is_not_forgotten(running: Running) -> None:
    for _ in range(20):
        running.search()
    victim = running.workers()[0]
    victim.kill()
    wait_until(lambda: len(running.workers()) == 2 and victim not in running.workers(), "it is replaced")
    wait_until(lambda: running.figure("shoplens_snapshot_swaps_total") == 3, "the new one serves")
    assert running.figure(SEARCHES) == 20
    assert running.figure(GENERATION) == 1
