"""Each host's limits, divided among the partitions that may ask it.

With a job of P partitions, a host has `spread` ≤ P shares. Share s of a host lies in partition (hash(host) + s) mod P:
no partition holds two shares of one host, all shares together are the host's limits, and nobody has to talk to anybody.
"""

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from spark_jobs.fetch.answers import Errand
from spark_jobs.fetch.links import Link
from spark_jobs.fetch.settings import FetchSettings

_RATE_MIN = 2.0
"""Requests a second below which a share is not divided further."""


@dataclass(frozen=True)
class Share:
    """What one partition may ask of one host: requests at once, and a second."""

    at_once: int
    per_second: float


@dataclass(frozen=True)
class Division:
    """How hosts are divided among `partitions`."""

    partitions: int
    settings: FetchSettings

    @property
    def spread(self) -> int:
        """Shares of each host: as many as partitions, if every share still has a request at once and two a second."""
        by_rate = int(self.settings.host_per_second / _RATE_MIN)
        return max(1, min(self.partitions, self.settings.host_at_once, by_rate))

    def partition_of(self, host: str, url: str) -> int:
        """Where a link of a host is fetched."""
        return (_number_of(host) + _number_of(url) % self.spread) % self.partitions

    def share_of(self, host: str, partition: int) -> Share | None:
        """A partition's share of a host; None where it has none."""
        slot = (partition - _number_of(host)) % self.partitions
        if slot >= self.spread:
            return None
        whole, rest = divmod(self.settings.host_at_once, self.spread)
        return Share(whole + (slot < rest), self.settings.host_per_second / self.spread)


class Lane:
    """The links of one host that wait in one partition, and its share of the host's limits."""

    def __init__(self, share: Share) -> None:
        self.waiting: deque[tuple[Errand, Link]] = deque()
        self.free = asyncio.Semaphore(share.at_once)
        self.is_driven = False
        self._limiter = limiter_for(share.per_second)
        self._loop = asyncio.get_running_loop()
        self._resumes_at = 0.0

    async def pace(self) -> None:
        """Wait until the host may be asked again."""
        while (pause_s := self._resumes_at - self._loop.time()) > 0:
            await asyncio.sleep(pause_s)
        await self._limiter.acquire()

    def pause(self, seconds: float) -> None:
        """Ask nothing of the host for a while: it said that it is asked too much."""
        self._resumes_at = max(self._resumes_at, self._loop.time() + seconds)


def limiter_for(per_second: float) -> AsyncLimiter:
    """A limiter under which no second sees more than `per_second` requests (one, where that is below one).

    A leaky bucket lets its capacity through at once and then its rate; together they must stay within the limit.
    """
    burst = max(1.0, per_second // 10)
    rate = per_second - burst if per_second >= _RATE_MIN else per_second
    return AsyncLimiter(burst, burst / rate)


def _number_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
