"""Notices a new CURRENT, loads what it names beside the live snapshot, and swaps.

The live snapshot is one attribute. A search reads it once and keeps what it read, so that a swap disturbs nobody.
A pointer that cannot be loaded leaves the live snapshot alone: one line in the log and a count a try, and longer and
longer waits, until CURRENT changes. A worker that starts in such a time takes what this host served last. So does one
that starts beside others while their host still fetches what CURRENT names: they serve it too. A host that starts as a
whole fetches first: what it served may show products that were deleted meanwhile.
"""

import random
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial

from online.snapshots.snapshot import Snapshot, SnapshotLoader
from online.telemetry.logs import log
from online.telemetry.metrics import SearcherMetrics
from retrieval.store.objects import ObjectStore
from schemas.errors import ShopLensError, TryAgain
from schemas.pointer import POINTER_KEY, Pointer

FIRST_WAIT_S = {True: 2.0, False: 30.0}  # by whether the same call may succeed later
LONGEST_WAIT_S = 600.0
STOP_WAIT_S = 5.0
SILENCE_S = 3.0
"""A store that keeps a starting worker waiting for longer is away: where packets are lost, it never says so itself."""


class Look(StrEnum):
    """What one look at CURRENT came to."""

    SWAPPED = "swapped"
    UNCHANGED = "unchanged"
    NOTHING_PUBLISHED = "nothing_published"
    STORE_UNAVAILABLE = "store_unavailable"
    REFUSED = "refused"
    WAITING = "waiting"


class LiveSnapshot:
    """The one attribute that is swapped."""

    def __init__(self) -> None:
        self.current: Snapshot | None = None
        self.reason = "the first index is still loading"


def describe_change(before: Snapshot | None, after: Snapshot) -> str:
    """What a swap loaded: a base, a delta over the one that was open, or nothing but a pointer."""
    if before is None or before.base is not after.base:
        return "base"
    return "pointer" if before.view is after.view else "delta"


class Watcher:
    """Call `look` as often as wanted, or `start` a thread that does. One watcher a process."""

    def __init__(
        self,
        store: ObjectStore,
        loader: SnapshotLoader,
        live: LiveSnapshot,
        metrics: SearcherMetrics,
        *,
        poll_interval_s: float,
        after_look: Callable[[], None] = lambda: None,
        others_answer: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._loader, self._live, self._metrics = store, loader, live, metrics
        self._poll_interval_s, self._after_look, self._clock = poll_interval_s, after_look, clock
        self._others_answer = others_answer
        self._served_etag: str | None = None
        self._refused_etag: str | None = None
        self._refusals = 0
        self._next_try_at = 0.0
        self._last_look: Look | None = None
        self._heard = threading.Event()  # of the store, for the first time
        self._first_look_done = threading.Event()
        self._swapping = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, first_look_wait_s: float) -> None:
        """Watch in a thread; return after its first look, or after the given wait."""
        self._thread = threading.Thread(target=self._watch, name="watch-current", daemon=True)
        self._thread.start()
        silence_s = min(SILENCE_S, first_look_wait_s)
        if self._heard.wait(silence_s):
            self._first_look_done.wait(first_look_wait_s)
        else:
            self._stand_in(self._loader.load_kept)
            self._first_look_done.wait(first_look_wait_s - silence_s)

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_WAIT_S)

    def look(self) -> Look:
        """Look at CURRENT once, and swap if it is new and can be loaded. Never raises."""
        outcome = self._look()
        if outcome in (Look.NOTHING_PUBLISHED, Look.STORE_UNAVAILABLE) and outcome != self._last_look:
            log.warning(outcome.value, store=self._store.uri, detail=self._live.reason)
        if self._last_look is None and self._live.current is None:
            self._fall_back()
        if outcome != Look.WAITING:
            self._last_look = outcome
        return outcome

    def _fall_back(self) -> None:
        """A worker that starts while CURRENT cannot be had serves what the workers beside it still serve."""
        started = time.perf_counter()
        try:
            snapshot = self._loader.load_last_good()
        except Exception as error:  # there is only CURRENT to wait for, then
            log.error("last_good_refused", error=type(error).__name__, detail=str(error))
            return
        if snapshot is not None:
            self._make_live(snapshot, started)

    def _stand_in(self, load: Callable[[], Snapshot | None]) -> None:
        """A download, or a store that is away, takes as long as it takes; the workers beside a new one serve what was
        there before."""
        started = time.perf_counter()
        try:
            snapshot = load()
        except Exception as error:  # removed just now, or damaged: there is CURRENT to come
            log.warning("no_stand_in", error=type(error).__name__, detail=str(error))
            return
        if snapshot is not None:
            self._make_live(snapshot, started, stands_in=True)
            self._first_look_done.set()

    def _look(self) -> Look:
        try:
            found = self._store.get(POINTER_KEY)
        except Exception as error:  # a watcher that dies would serve old products for ever
            self._heard.set()
            return self._without_pointer(Look.STORE_UNAVAILABLE, str(error) or repr(error))
        self._heard.set()
        if found is None:
            return self._without_pointer(Look.NOTHING_PUBLISHED, f"nothing is published in {self._store.uri} yet")
        if found.etag == self._served_etag:
            return Look.UNCHANGED
        if found.etag == self._refused_etag and self._clock() < self._next_try_at:
            return Look.WAITING
        is_swap = self._live.current is not None
        try:
            pointer = Pointer.from_json(found.data)
            if not is_swap and self._others_answer():
                self._stand_in(partial(self._loader.load_meanwhile, pointer))
            started = time.perf_counter()
            snapshot = self._loader.load(pointer, self._live.current)
        except Exception as error:  # whatever it is, the live snapshot goes on serving
            self._refuse(found.etag, error)
            return Look.REFUSED
        self._served_etag, self._refused_etag, self._refusals = found.etag, None, 0
        self._make_live(snapshot, started)
        if is_swap:
            self._show_delay()
        return Look.SWAPPED

    def _make_live(self, snapshot: Snapshot, started: float, *, stands_in: bool = False) -> None:
        """What only `stands_in` is live only where there is nothing."""
        with self._swapping:
            before = self._live.current
            if stands_in and before is not None:
                return
            self._live.current = snapshot
            change, took_s = describe_change(before, snapshot), time.perf_counter() - started
            self._metrics.show_swap(snapshot.pointer, change, took_s)
        log.info(
            "snapshot_live",
            change=change,
            took_s=round(took_s, 3),
            generation=snapshot.pointer.generation,
            before=before.pointer.generation if before else None,
            build_id=snapshot.pointer.live.build_id,
            delta_id=snapshot.pointer.live.delta_id,
            model_id=snapshot.pointer.live.model_id,
            rows=snapshot.view.live_rows,
        )

    def _show_delay(self) -> None:
        """How long ago CURRENT was written; the store tells both times, so that no host's clock counts."""
        try:
            for entry in self._store.entries(POINTER_KEY):
                if entry.key == POINTER_KEY:
                    self._metrics.show_delay(max(0.0, (self._store.clock() - entry.modified_at).total_seconds()))
        except Exception as error:  # a figure less; the swap stands
            log.warning("swap_delay_unknown", error=type(error).__name__, detail=str(error))

    def _refuse(self, etag: str, error: Exception) -> None:
        self._refusals = self._refusals + 1 if etag == self._refused_etag else 1
        self._refused_etag = etag
        first_wait_s = FIRST_WAIT_S[isinstance(error, TryAgain)]
        wait_s = min(first_wait_s * 2 ** (self._refusals - 1), LONGEST_WAIT_S) * random.uniform(0.75, 1.25)
        self._next_try_at = self._clock() + wait_s
        self._metrics.load_failures.labels(type(error).__name__).inc()
        reason = str(error) if isinstance(error, ShopLensError) else repr(error)
        self._live.reason = f"CURRENT cannot be loaded: {reason}"
        log.error(
            "snapshot_refused",
            error=type(error).__name__,
            detail=reason,
            refusals=self._refusals,
            next_try_in_s=round(wait_s, 1),
            still_serving=self._live.current.pointer.generation if self._live.current else None,
        )

    def _without_pointer(self, outcome: Look, reason: str) -> Look:
        self._live.reason = reason
        return outcome

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self.look()
            self._after_look()
            self._first_look_done.set()
            self._stopping.wait(self._poll_interval_s * random.uniform(0.75, 1.25))
