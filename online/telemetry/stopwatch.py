"""How long a request and its parts took."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

SpanMaker = Callable[[str], AbstractContextManager[Any]]


class Stopwatch:
    """Starts when it is made. `stages_ms` holds the time of each named part, in the order they began; `span` makes
    what surrounds a part, by its name."""

    def __init__(self, span: SpanMaker = nullcontext) -> None:
        self._span = span
        self._started_at = time.perf_counter()
        self.stages_ms: dict[str, float] = {}

    def elapsed_ms(self) -> float:
        return _milliseconds_since(self._started_at)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the block's time to the part `name`."""
        began_at = time.perf_counter()
        try:
            with self._span(name):
                yield
        finally:
            self.stages_ms[name] = round(self.stages_ms.get(name, 0.0) + _milliseconds_since(began_at), 3)


def _milliseconds_since(moment: float) -> float:
    return round((time.perf_counter() - moment) * 1000, 3)
