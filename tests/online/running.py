"""A real gunicorn over the tiny shop, for tests."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil
import requests

from online.serve import take_port
from retrieval.store.objects import ObjectStore

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90
SWAPS = "shoplens_snapshot_swaps_total"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


@dataclass
class Running:
    """A gunicorn over the tiny shop."""

    url: str
    master: subprocess.Popen[bytes]
    held: Path
    spool: Path
    log: Path
    headers: Mapping[str, str]

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.master.pid).children()

    def figure(self, name: str) -> float:
        """A figure of /metrics; 0 where it is not there yet, or nobody answers yet."""
        try:
            text = requests.get(f"{self.url}/metrics", headers=self.headers, timeout=PATIENCE_S).text
        except requests.ConnectionError:
            return 0.0
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)

    def search(self, words: str = "red") -> requests.Response:
        question = {"text": words, "k": 3}
        return requests.post(f"{self.url}/search", json=question, headers=self.headers, timeout=PATIENCE_S)

    def stop(self) -> int:
        self.master.terminate()
        return self.master.wait(PATIENCE_S)


@contextmanager
def run_gunicorn(
    store: ObjectStore,
    folder: Path,
    settings: Mapping[str, str] | None = None,
    *,
    host: str = "127.0.0.1",
    headers: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Two workers, both serving, with more `settings` of the environment; `headers` are sent with every request."""
    listener = take_port(host, 0)
    held = folder / "held"
    held.mkdir()
    environment = {
        **os.environ,
        "SHOPLENS_STORE": store.uri,
        "SHOPLENS_CACHE": str(folder / "cache"),
        "SHOPLENS_BIND": f"fd://{listener.fileno()}",
        "SHOPLENS_POLL_INTERVAL_S": "0.1",
        "TINY_HELD": str(held),
        **(settings or {}),
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "python:online.gunicorn_conf", "tests.online.tiny_wsgi:app"]
    log = folder / "searcher.log"
    with log.open("wb") as sink:
        master = subprocess.Popen(
            command, cwd=ROOT, env=environment, pass_fds=[listener.fileno()], stdout=sink, stderr=sink
        )
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    running = Running(url, master, held, folder / "cache" / "spool", log, headers or {})
    try:
        wait_until(lambda: running.figure(SWAPS) == 2, "both workers serve")
        yield running
    finally:
        (held / "go").touch()
        if master.poll() is None:
            running.stop()
        print(log.read_text())


@dataclass
class Crowd:
    """Three threads that `shop` until the block ends, and keep what they were answered."""

    running: Running
    generations: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.stopping = threading.Event()
        self._threads = [threading.Thread(target=self.shop) for _ in range(3)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join()

    def shop(self) -> None:
        raise NotImplementedError
