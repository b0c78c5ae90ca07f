"""Many links at once: one event loop in a thread of its own, one lane a host, answers in the order they come.

`download` is what others call; it needs neither Spark nor a table.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from schemas.reasons import FetchReason
from spark_jobs.fetch.addresses import AddressRules
from spark_jobs.fetch.answers import WORTH_ANOTHER_TRY, Answer, Errand, Known, Visit
from spark_jobs.fetch.files import FileSource
from spark_jobs.fetch.lanes import Division, Lane, Share
from spark_jobs.fetch.links import Link, LinkRefused, parse_link, parse_redirect
from spark_jobs.fetch.settings import FetchSettings
from spark_jobs.fetch.waiting import backoff_seconds
from spark_jobs.fetch.web import WebSource

WINDOW_LINKS = 2_000
"""Links read ahead, so that a slow host does not hold up the others."""
BATCH_VISITS = 64
_BUFFERED_VISITS = 2 * BATCH_VISITS
_UNLIMITED = 1_000_000

Result = TypeVar("Result")


class Source(Protocol):
    async def ask(self, link: Link, known: Known) -> Answer: ...

    async def close(self) -> None: ...


def download(
    errands: Iterator[Errand], settings: FetchSettings, division: Division, partition: int
) -> Iterator[list[Visit]]:
    """Visit the links of one partition; every errand comes back exactly once, up to 64 at a time.

    The caller's thread only waits and reads: downloads go on while it works on the last batch.
    """
    with _LoopThread() as loop:
        downloader = loop.call(lambda: Downloader(settings, division, partition))
        try:
            yield from _visit_all(errands, downloader, loop)
        finally:
            loop.run(downloader.close()).result()


def _visit_all(errands: Iterator[Errand], downloader: "Downloader", loop: "_LoopThread") -> Iterator[list[Visit]]:
    open_errands = 0
    while True:
        more: list[Errand] = []
        while open_errands + len(more) < WINDOW_LINKS and (errand := next(errands, None)) is not None:
            more.append(errand)
        open_errands += len(more)
        if not open_errands:
            return
        visits = loop.run(downloader.take(more)).result()
        open_errands -= len(visits)
        yield visits


class Downloader:
    """The state of one partition's downloads; lives in its event loop."""

    def __init__(self, settings: FetchSettings, division: Division, partition: int) -> None:
        self._settings, self._division, self._partition = settings, division, partition
        rules = AddressRules(allow_private=settings.allow_private, allowed_networks=settings.allowed_networks)
        web = WebSource(settings, rules)
        self._sources: dict[str, Source] = {"http": web, "https": web, "file": FileSource(settings)}
        self._lanes: dict[str, Lane] = {}
        self._free = asyncio.Semaphore(settings.at_once)
        self._visits: asyncio.Queue[Visit] = asyncio.Queue(_BUFFERED_VISITS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, errands: list[Errand]) -> list[Visit]:
        """Add links, then wait for at least one finished visit."""
        for errand in errands:
            self._enter(errand)
        visits = [await self._visits.get()]
        while len(visits) < BATCH_VISITS and not self._visits.empty():
            visits.append(self._visits.get_nowait())
        return visits

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for source in set(self._sources.values()):
            await source.close()

    def _enter(self, errand: Errand) -> None:
        """Put a link into its host's lane; hand it back where it is refused, or another partition holds the host."""
        try:
            link = parse_link(errand.place)
        except LinkRefused as refused:
            self._start(self._visits.put(Visit(errand, Answer(reason=refused.reason))))
            return
        lane = self._lane_of(link.host)
        if lane is None:
            self._start(self._visits.put(Visit(errand, Answer(), moved_to=errand.place)))
            return
        lane.waiting.append((errand, link))
        if not lane.is_driven:
            lane.is_driven = True
            self._start(self._drive(lane))

    def _lane_of(self, host: str) -> Lane | None:
        if host not in self._lanes:
            share = self._division.share_of(host, self._partition)
            if host == "file":
                share = Share(self._settings.at_once, _UNLIMITED)
            if share is None:
                return None
            self._lanes[host] = Lane(share)
        return self._lanes[host]

    def _source_of(self, link: Link) -> Source:
        if link.scheme == "s3" and "s3" not in self._sources:
            from spark_jobs.fetch.s3 import S3Source

            self._sources["s3"] = S3Source(self._settings)
        return self._sources[link.scheme]

    async def _drive(self, lane: Lane) -> None:
        """Start the lane's requests as its limits allow, until none waits."""
        while lane.waiting:
            await lane.free.acquire()
            await lane.pace()
            await self._free.acquire()
            self._start(self._visit(lane, *lane.waiting.popleft()))
        lane.is_driven = False

    async def _visit(self, lane: Lane, errand: Errand, link: Link) -> None:
        try:
            answer = await self._source_of(link).ask(link, errand.known)
        except Exception:  # a client's bug on one strange answer must not cost the partition its other links
            answer = Answer(reason=FetchReason.HTTP_OTHER)
        finally:
            lane.free.release()
        try:
            await self._conclude(lane, link, replace(errand, requests=errand.requests + 1), answer)
        finally:
            self._free.release()  # only now: photos that nobody has taken yet count against the partition's memory

    async def _conclude(self, lane: Lane, link: Link, errand: Errand, answer: Answer) -> None:
        if answer.redirect_to is not None:
            refused = self._follow(link, errand, answer.redirect_to)
            if refused is not None:
                await self._visits.put(Visit(errand, Answer(reason=refused, http_status=answer.http_status)))
        elif self._is_tried_again(errand, answer):
            own_choice_s = backoff_seconds(errand.url, errand.requests - errand.hops, self._settings.backoff_s)
            waits_s = max(own_choice_s, answer.retry_after_s or 0.0)
            if answer.reason == FetchReason.HTTP_429:
                lane.pause(waits_s)  # it is asked too much: nothing else is asked of it either
            self._start(self._enter_later(errand, waits_s))
        else:
            await self._visits.put(Visit(errand, answer))

    def _follow(self, link: Link, errand: Errand, location: str) -> FetchReason | None:
        """Send the errand on; the reason where it may not go there."""
        try:
            target = parse_redirect(link, location)
        except LinkRefused as refused:
            return refused.reason
        if errand.hops >= self._settings.max_redirects:
            return FetchReason.REDIRECT_LIMIT
        self._enter(replace(errand, place=str(target.url), hops=errand.hops + 1))
        return None

    def _is_tried_again(self, errand: Errand, answer: Answer) -> bool:
        tries_made = errand.requests - errand.hops
        patient = (answer.retry_after_s or 0.0) <= self._settings.retry_after_max_s
        return answer.reason in WORTH_ANOTHER_TRY and patient and tries_made < self._settings.tries

    async def _enter_later(self, errand: Errand, waits_s: float) -> None:
        """Wait outside the lane, so that others may use it."""
        await asyncio.sleep(waits_s)
        self._enter(errand)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)


class _LoopThread:
    """An event loop that runs in a thread while the block lasts."""

    def __enter__(self) -> "_LoopThread":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="downloads", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, make: Callable[[], Result]) -> Result:
        """Make something that must be born within the loop."""

        async def made() -> Result:
            return make()

        return self.run(made()).result()
