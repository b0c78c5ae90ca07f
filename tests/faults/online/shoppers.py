"""Shoppers who search without a pause, and check that every answer holds together."""

import threading

import requests

from tests.faults.online.changing_shop import generation_of
from tests.online.running import Running, wait_until

SHOPPERS = 3
BROKEN_OFF = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
"""Before an answer, or in its middle."""


class Shoppers:
    """`generations` answered, in order; `failures` after `tries` at most; `tried_again` counts further tries."""

    def __init__(self, running: Running, tries: int = 1) -> None:
        self._running, self._tries = running, tries
        self.generations: list[int] = []
        self.failures: list[str] = []
        self.tried_again = 0
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._shop) for _ in range(SHOPPERS)]

    def __enter__(self) -> "Shoppers":
        for thread in self._threads:
            thread.start()
        self.wait_for_answers(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for_answers(self, more: int) -> None:
        """Wait until so many more searches were answered, or one failed."""
        enough = len(self.generations) + more
        wait_until(lambda: len(self.generations) >= enough or bool(self.failures), f"{more} more answers")

    def wait_for(self, generation: int) -> None:
        """Wait until all that is answered is answered by this generation."""

        def all_see_it() -> bool:
            return self.generations[-20:] == [generation] * 20 or bool(self.failures)

        wait_until(all_see_it, f"all see generation {generation}")

    def _shop(self) -> None:
        while not self._stopping.is_set() and not self.failures:
            try:
                self.generations.append(self._search())
            except (requests.RequestException, AssertionError) as error:
                self.failures.append(repr(error))

    def _search(self) -> int:
        for more_tries in reversed(range(self._tries)):
            try:
                answer = self._running.search("white")
                answer.raise_for_status()
                break
            except BROKEN_OFF:
                self.tried_again += 1
                if not more_tries:
                    raise
        return generation_of(answer.json())
