"""Publishers in processes of their own: real ones, which can be killed at any call of the store, or made to race."""

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.publishing.pointer import Published, read_pointer
from retrieval.publishing.publish import publish, publish_deltas
from retrieval.store.objects import open_store
from retrieval.store.s3 import S3Store
from schemas.pointer import Pointer, Served

STORE_CALLS = ("get", "put", "upload", "size", "delete", "download")
READ_PAUSE_S = 0.005
CALL_LASTS_S = 0.008  # about as long as a call takes here: a kill within it meets any moment of the call

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["pytest", "boto3.s3.transfer", "retrieval.store.s3", "tests.faults.pipeline.publishers"]
)


@dataclass(frozen=True)
class Death:
    """A publisher ends at its n-th call of the store (from 1): before it, or at some moment of it."""

    call: int
    during: bool = False


NEVER = Death(0)


class _MortalStore:
    """A store that kills its process."""

    def __init__(self, uri: str, death: Death) -> None:
        self._store, self._death, self.calls = open_store(uri), death, 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        if name not in STORE_CALLS:
            return real

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self._death.call:
                if not self._death.during:
                    _kill_myself()
                threading.Timer(random.uniform(0, CALL_LASTS_S), _kill_myself).start()
            return real(*arguments, **named)

        return call


def publish_folder(
    uri: str, folder: Path, interval_end: str, version: int, death: Death = NEVER, calls: list[int] | None = None
) -> Published:
    """What a nightly run does last: send a build, make it live. Raises as FolderKind.upload and publish."""
    with _mortal_store(uri, death, calls) as store:
        manifest = BUILD_FOLDERS.upload(store, folder)
        served = Served(manifest.build_id, manifest.model_id)
        by = f"nightly/{interval_end}/{manifest.build_id}"
        return publish(store, served, interval_end, {"products": version}, by)


def publish_hour(
    uri: str, folder: Path, interval_end: str, version: int, death: Death = NEVER, calls: list[int] | None = None
) -> Published:
    """What an hourly run does last: send a delta, lay it over its base."""
    with _mortal_store(uri, death, calls) as store:
        delta = DELTA_FOLDERS.upload(store, folder)
        deltas = {delta.base_build_id: delta.delta_id}
        return publish_deltas(store, deltas, interval_end, {"products": version}, f"hourly/{interval_end}")


def count_calls(publisher: Callable[..., Published], *arguments: Any) -> int:
    """Publish, and say how many calls of the store that took."""
    calls: list[int] = []
    publisher(*arguments, NEVER, calls)
    return calls[0]


@contextmanager
def _mortal_store(uri: str, death: Death, calls: list[int] | None) -> Iterator[Any]:
    store = _MortalStore(uri, death)
    yield store
    if calls is not None:
        calls.append(store.calls)


@contextmanager
def reader_of(store: S3Store) -> Iterator[list[Pointer]]:
    """Reads CURRENT again and again, as searchers do: what it saw."""
    seen: list[Pointer] = []
    stopping = threading.Event()

    def read() -> None:
        while not stopping.wait(READ_PAUSE_S):
            found = read_pointer(store)
            assert found is not None
            seen.append(found[0])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        stopping.set()
        reader.join()


def start_process(function: Any, *arguments: Any) -> BaseProcess:
    """A new process with this process's environment."""
    process = _processes.Process(target=_call, args=(dict(os.environ), function, arguments))
    process.start()
    return process


def queue() -> Any:
    return _processes.Queue()


def barrier(parties: int) -> Any:
    return _processes.Barrier(parties)


def _call(environment: dict[str, str], function: Any, arguments: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    function(*arguments)


def _kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
