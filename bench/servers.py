"""A searcher that runs for a benchmark: gunicorn in the online environment on a free port, and what memory it takes."""

import http.client
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.large_index import LargeIndex
from bench.peers import PROJECT_ROOT

ONLINE_PYTHON = PROJECT_ROOT / ".venv" / "online" / "bin" / "python"
SEARCHER = "online.wsgi:app"
KNOWN_PHOTOS = "bench.known_photos:app"
MALLOC = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(16 << 20)}
"""As `online.serve` sets them."""

_START_LIMIT_S = 300.0
_POLL_S = 0.005


@dataclass(frozen=True)
class Server:
    """A running server: its port, and its master process."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def workers(self) -> list[int]:
        """The processes that answer: gunicorn's children, or the process itself."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child.pid for child in children] or [self.process.pid]

    def processor_seconds(self) -> float:
        """What its workers have computed so far."""
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in self.workers)


@dataclass(frozen=True)
class Memory:
    """One process, in MB: resident, its share where pages are shared, and what is its own alone."""

    resident: float
    proportional: float
    own: float


@contextmanager
def searcher(
    index: LargeIndex,
    app: str = SEARCHER,
    *,
    workers: int = 2,
    threads: int = 4,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """The searcher over an index, ready to answer."""
    environment = {
        **MALLOC, **os.environ, "SHOPLENS_STORE": str(index.store), "SHOPLENS_CACHE": str(index.cache),
        "SHOPLENS_WORKERS": str(workers), "SHOPLENS_THREADS": str(threads), "SHOPLENS_FIRST_LOOK_WAIT_S": "300",
        "SHOPLENS_TIMEOUT_S": "400", **(settings or {}),
    }  # fmt: skip
    environment.pop("OMP_NUM_THREADS", None)
    command = [str(ONLINE_PYTHON), "-m", "gunicorn", "-c", "python:online.gunicorn_conf", app]
    with running(command, environment, "SHOPLENS_BIND", "fd://{fd}", "/ready") as server:
        yield server


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], variable: str, binding: str, ready_path: str
) -> Iterator[Server]:
    """A server that is told by an environment variable where to listen, from its first good answer on `ready_path`.

    `{fd}` in `binding` stands for an open listener that it inherits, `{port}` for a free port.
    """
    words = tempfile.TemporaryFile()  # noqa: SIM115 - a line a request: a pipe that nobody reads would stop the server
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port, handed = listener.getsockname()[1], [listener.fileno()] if "{fd}" in binding else []
        if not handed:
            listener.close()
        told = {**environment, variable: binding.format(fd=handed[0] if handed else "", port=port)}
        arguments = [part.format(port=port) for part in command]
        process = subprocess.Popen(
            arguments, cwd=PROJECT_ROOT, env=told, pass_fds=handed, stdout=subprocess.DEVNULL, stderr=words
        )
    try:
        try:
            wait_until_ready(process, port, ready_path)
        except TimeoutError:
            process.kill()
            words.seek(0)
            last = (words.read().decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise SystemExit(f"the server did not get ready: {last}") from None
        yield Server(port, process)
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_until_ready(process: subprocess.Popen[bytes], port: int, path: str, poll_s: float = _POLL_S) -> None:
    """Raises TimeoutError where the server ends, or does not get ready in five minutes."""
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_LIMIT_S)
        try:
            connection.request("GET", path)
            if connection.getresponse().status < http.client.BAD_REQUEST:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(poll_s)
    raise TimeoutError


def memory_of(pid: int) -> Memory:
    """From /proc/PID/smaps_rollup."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    kb = {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    own = kb["Private_Clean"] + kb["Private_Dirty"]
    return Memory(kb["Rss"] / 1024, kb["Pss"] / 1024, own / 1024)


def forget_files(folder: Path) -> None:
    """Drop a folder's files from the page cache; what a process has mapped and touched stays."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached_mb(path: Path) -> float:
    """How much of a file lies in the page cache, in MB (by util-linux's fincore)."""
    done = subprocess.run(
        ["fincore", "--bytes", "--noheadings", "--output", "RES", str(path)], capture_output=True, text=True
    )
    return float(done.stdout.strip() or 0) / 1e6
