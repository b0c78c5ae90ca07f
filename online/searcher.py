"""The searcher: its parts put together. Only `live.current` changes afterwards."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from online.api.problems import NOT_READY, ProblemRaised
from online.config import SearcherConfig
from online.query.cursors import Cursors
from online.snapshots.host_cache import HostCache
from online.snapshots.snapshot import EncoderLoader, Snapshot, SnapshotLoader, WorkAside
from online.snapshots.watcher import LiveSnapshot, Watcher
from online.telemetry.events import EventSpool
from online.telemetry.metrics import SearcherMetrics
from retrieval.encoders.onnx import OnnxEncoder
from retrieval.store.objects import ObjectStore, open_store

RETRY_AFTER_S = 2


@dataclass(frozen=True)
class Searcher:
    """What the routes use."""

    config: SearcherConfig
    store: ObjectStore
    live: LiveSnapshot
    watcher: Watcher
    spool: EventSpool
    metrics: SearcherMetrics
    cursors: Cursors

    def snapshot(self) -> Snapshot:
        """Take the live snapshot; a request does so once. Raises ProblemRaised: not-ready."""
        current = self.live.current
        if current is None:
            raise ProblemRaised(
                NOT_READY, "no index is loaded yet: try again", headers={"Retry-After": str(RETRY_AFTER_S)}
            )
        return current


def assemble_searcher(
    config: SearcherConfig,
    load_encoder: EncoderLoader | None = None,
    work_aside: WorkAside = nullcontext,
    others_answer: Callable[[], bool] = lambda: False,
) -> Searcher:
    """Nothing is read yet: call `watcher.look` or `watcher.start`. The encoder is ONNX Runtime unless one is given."""
    store = open_store(config.store_uri)
    metrics, live = SearcherMetrics(config.metrics_folder), LiveSnapshot()
    spool = EventSpool(
        config.spool_folder,
        file_max_bytes=config.spool_file_max_bytes,
        file_max_age_s=config.spool_file_max_age_s,
        on_lost=metrics.events_lost.inc,
    )
    loader = SnapshotLoader(
        HostCache(store, config.cache_folder, config.builds_kept), load_encoder or _onnx_loader(config), work_aside
    )
    watcher = Watcher(
        store,
        loader,
        live,
        metrics,
        poll_interval_s=config.poll_interval_s,
        after_look=spool.close_if_due,
        others_answer=others_answer,
    )
    cursors = Cursors(config.cursor_key, config.cache_folder)
    return Searcher(config, store, live, watcher, spool, metrics, cursors)


def _onnx_loader(config: SearcherConfig) -> EncoderLoader:
    def load(folder: Path) -> OnnxEncoder:
        return OnnxEncoder.load(folder, threads=config.encoder_threads, precision=config.encoder_precision)

    return load
