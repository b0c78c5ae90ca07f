"""What Prometheus is told."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from online.searcher import Searcher
from online.snapshots.watcher import Look
from online.telemetry.metrics import SearcherMetrics
from retrieval.store.objects import FolderStore, StoredEntry
from schemas.errors import StoreUnavailable
from schemas.intervals import parse_time
from schemas.pointer import POINTER_KEY
from tests.online.tiny_shop import point_at

A_SLOW_TEST_S = 3600
END = parse_time("2026-01-02T02:00:00+00:00").timestamp()


def figures(text: str | bytes) -> dict[str, float]:
    lines = text.decode() if isinstance(text, bytes) else text
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines.splitlines() if line[0] != "#"}


def scrape(client: FlaskClient) -> dict[str, float]:
    return figures(client.get("/metrics").text)


def test_a_searcher_without_an_index_shows_no_age_and_no_generation(app: OpenAPI) -> None:
    assert not [name for name in scrape(app.test_client()) if "generation" in name or "shoplens_index" in name]


def test_the_age_of_the_index_is_that_of_the_scrape(searcher: Searcher) -> None:
    metrics = SearcherMetrics(clock=lambda: END + 5400.0)
    metrics.show_swap(searcher.snapshot().pointer, "base", 0.1)
    found = figures(metrics.render())
    assert found["shoplens_index_age_seconds"] == 5400.0
    assert found["shoplens_index_interval_end_seconds"] == END
    assert found["shoplens_generation"] == 1


def test_a_swap_moves_the_generation(client: FlaskClient, searcher: Searcher, store: FolderStore) -> None:
    point_at(store, "b1", 7)
    searcher.watcher.look()
    found = scrape(client)
    assert (found["shoplens_generation"], found["shoplens_snapshot_swaps_total"]) == (7, 2)


def test_a_swap_tells_how_long_ago_current_was_written(
    client: FlaskClient, searcher: Searcher, store: FolderStore
) -> None:
    delay = "shoplens_publish_to_swap_seconds"
    assert delay not in scrape(client), "of what was there at the start nobody knows"
    point_at(store, "b1", 7)
    written = (store.root / POINTER_KEY).stat().st_mtime - 90
    os.utime(store.root / POINTER_KEY, (written, written))
    searcher.watcher.look()
    assert 90 <= scrape(client)[delay] < 90 + A_SLOW_TEST_S


def list_nothing(store: FolderStore, prefix: str) -> Iterator[StoredEntry]:
    raise StoreUnavailable("no listing today")


def test_a_delay_that_is_not_known_hinders_no_swap(
    client: FlaskClient, searcher: Searcher, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FolderStore, "entries", list_nothing)
    point_at(store, "b1", 7)
    assert searcher.watcher.look() is Look.SWAPPED
    assert scrape(client)["shoplens_generation"] == 7


def test_searches_are_counted_by_how_they_end(client: FlaskClient, searcher: Searcher) -> None:
    nothing = {"category": {"equals": "submarines"}}
    client.post("/search", json={"text": "red"})
    client.post("/search", json={"text": "red", "filters": nothing})
    client.post("/search", json={"text": ""})
    searcher.live.current = "broken"  # type: ignore[assignment]
    client.post("/search", json={"text": "red"})
    found = scrape(client)
    assert found['shoplens_searches_total{kind="text"}'] == 2
    assert found['shoplens_zero_results_total{kind="text"}'] == 1
    assert found['shoplens_requests_total{endpoint="search",status="200"}'] == 2
    assert found['shoplens_requests_total{endpoint="search",status="422"}'] == 1
    assert found['shoplens_requests_total{endpoint="search",status="500"}'] == 1
    assert found['shoplens_problems_total{type="internal-error"}'] == 1
    assert found['shoplens_request_seconds_count{endpoint="search"}'] == 4


def test_stages_are_timed(client: FlaskClient) -> None:
    stages = client.post("/search", json={"text": "red"}).get_json()["stages_ms"]
    found = scrape(client)
    for stage, spent_ms in stages.items():
        assert found[f'shoplens_stage_seconds_count{{stage="{stage}"}}'] == 1
        assert found[f'shoplens_stage_seconds_sum{{stage="{stage}"}}'] == pytest.approx(spent_ms / 1000)


def test_a_scrape_is_what_prometheus_reads(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert answer.text.count("# TYPE shoplens_index_age_seconds gauge") == 1


def test_alerts_need_no_figure_that_is_not_there(client: FlaskClient, searcher: Searcher, store: FolderStore) -> None:
    """What docs/operations.md names is exported, once CURRENT has moved."""
    point_at(store, "b1", 2)
    searcher.watcher.look()
    client.post("/search", json={"text": "red"})
    text = client.get("/metrics").text
    handbook = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text()
    named = set(re.findall(r"`(shoplens_[a-z_]+)`", handbook))
    assert len(named) > 10
    assert {name for name in named if name not in text} == set()
