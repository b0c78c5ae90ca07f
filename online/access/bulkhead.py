"""Requests that wait for something slow must not take every thread: searches, which do not wait for it, need some."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition


class Full(Exception):
    """As many requests as may wait are waiting, and none gets on."""


class Bulkhead:
    """`places` requests may be inside at once. One more waits for a place, unless those inside have stood still for
    `patience_s`: then it is refused, so that its thread is free again. Safe for many threads."""

    def __init__(self, places: int, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._places, self._patience_s, self._clock = places, patience_s, clock
        self._inside: dict[object, float] = {}  # when each came in, the first first
        self._changed = Condition()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Raises Full."""
        request = object()
        with self._changed:
            while len(self._inside) >= self._places:
                patience_left_s = next(iter(self._inside.values())) + self._patience_s - self._clock()
                if patience_left_s <= 0:
                    raise Full
                self._changed.wait(patience_left_s)
            self._inside[request] = self._clock()
        try:
            yield
        finally:
            with self._changed:
                del self._inside[request]
                self._changed.notify()
