"""What Prometheus may ask. Right with several workers: each writes to a shared folder, and a scrape adds them up.

The client library chooses shared files when it is imported, by PROMETHEUS_MULTIPROC_DIR: gunicorn_conf.py sets it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from schemas.intervals import parse_time
from schemas.pointer import Pointer

CONTENT_TYPE = CONTENT_TYPE_LATEST
_INTERVAL_END = "shoplens_index_interval_end_seconds"
_SWAP_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56)


class SearcherMetrics:
    """One set for each app. Gauges show the worker that is furthest behind."""

    def __init__(self, shared_folder: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._shared_folder, self._clock = shared_folder, clock
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
        self.swap_seconds = Histogram(
            "shoplens_snapshot_swap_seconds",
            "From a new CURRENT to serving it: fetch, verify, open, warm",
            ["change"],
            buckets=_SWAP_BUCKETS_S,
            registry=self.registry,
        )
        self.load_failures = Counter(
            "shoplens_snapshot_load_failures", "Snapshots refused", ["error"], registry=self.registry
        )
        self._served: _ServedGauges | None = None
        self._delay: Gauge | None = None

    def show_swap(self, pointer: Pointer, change: str, took_s: float) -> None:
        """`pointer` is served now; `change` is what was loaded for it: base, delta or pointer."""
        self.swaps.inc()
        self.swap_seconds.labels(change).observe(took_s)
        self._served = self._served or _ServedGauges(self.registry)
        self._served.generation.set(pointer.generation)
        self._served.of_worker.set(pointer.generation)
        self._served.interval_end.set(parse_time(pointer.interval_end).timestamp())

    def show_delay(self, delay_s: float) -> None:
        """From CURRENT's last move until this worker answered by it. Not known of what was there at its start."""
        self._delay = self._delay or Gauge(
            "shoplens_publish_to_swap_seconds",
            "From CURRENT's last move until it was served",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._delay.set(delay_s)

    def render(self) -> bytes:
        """The text exposition of all workers."""
        together = self.registry
        if self._shared_folder is not None:
            together = CollectorRegistry()
            MultiProcessCollector(together, str(self._shared_folder))  # type: ignore[no-untyped-call]
        shown = CollectorRegistry()
        shown.register(_WithAge(together, self._clock))
        return generate_latest(shown)


class _ServedGauges:
    """Made with a worker's first snapshot: before that a gauge would say 0, and nothing is that old."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.generation = Gauge(
            "shoplens_generation", "Of CURRENT, as served", registry=registry, multiprocess_mode="livemin"
        )
        self.of_worker = Gauge(
            "shoplens_worker_generation",
            "Of CURRENT, as each worker serves it",
            registry=registry,
            multiprocess_mode="liveall",
        )
        self.interval_end = Gauge(
            _INTERVAL_END,
            "End of the data that is served, as Unix time",
            registry=registry,
            multiprocess_mode="livemin",
        )


class _WithAge(Collector):
    """What a registry collects, and the index's age in the moment of the scrape."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        self._registry, self._clock = registry, clock

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        ends = []
        for metric in self._registry.collect():
            ends += [sample.value for sample in metric.samples if sample.name == _INTERVAL_END]
            yield metric
        if ends:
            age_s = max(0.0, self._clock() - min(ends))
            yield GaugeMetricFamily("shoplens_index_age_seconds", "Since the end of the data that is served", age_s)
