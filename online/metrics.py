"""What Prometheus may ask. Right with several workers: each writes to a shared folder, and a scrape adds them up.

The client library chooses shared files when it is imported, by PROMETHEUS_MULTIPROC_DIR: gunicorn_conf.py sets it.
"""

from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from online.snapshot import Snapshot
from schemas.intervals import parse_time

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56)


class SearcherMetrics:
    """One set for each app. Gauges show the worker that is furthest behind."""

    def __init__(self, shared_folder: Path | None = None) -> None:
        self._shared_folder = shared_folder
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "shoplens_requests", "Requests answered", ["endpoint", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "shoplens_request_seconds", "Time to answer", ["endpoint"], buckets=_BUCKETS_S, registry=self.registry
        )
        self.stage_seconds = Histogram(
            "shoplens_stage_seconds",
            "Time of a part of a search",
            ["stage"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.searches = Counter("shoplens_searches", "Searches answered", ["kind"], registry=self.registry)
        self.zero_results = Counter(
            "shoplens_zero_results", "Searches that found nothing", ["kind"], registry=self.registry
        )
        self.no_good_matches = Counter(
            "shoplens_no_good_matches", "Searches whose nearest photo is not near", ["kind"], registry=self.registry
        )
        self.problems = Counter("shoplens_problems", "Problem documents sent", ["type"], registry=self.registry)
        self.rate_limit_failures = Counter(
            "shoplens_rate_limit_failures", "Requests that could not be counted", registry=self.registry
        )
        self.events_lost = Counter("shoplens_events_lost", "Events that could not be spooled", registry=self.registry)
        self.swaps = Counter("shoplens_snapshot_swaps", "Snapshots that went live", registry=self.registry)
        self.load_failures = Counter(
            "shoplens_snapshot_load_failures", "Snapshots refused", ["error"], registry=self.registry
        )
        self.generation = Gauge(
            "shoplens_generation", "Of CURRENT, as served", registry=self.registry, multiprocess_mode="livemin"
        )
        self.interval_end = Gauge(
            "shoplens_index_interval_end_seconds",
            "End of the data that is served, as Unix time; now minus this is the index's age",
            registry=self.registry,
            multiprocess_mode="livemin",
        )

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self.swaps.inc()
        self.generation.set(snapshot.pointer.generation)
        self.interval_end.set(parse_time(snapshot.pointer.interval_end).timestamp())

    def render(self) -> bytes:
        """The text exposition of all workers."""
        if self._shared_folder is not None:
            together = CollectorRegistry()
            MultiProcessCollector(together, str(self._shared_folder))  # type: ignore[no-untyped-call]
            return generate_latest(together)
        return generate_latest(self.registry)
