"""The shop's web server: photos over HTTP/1.1, their faults, and counts of what was asked.

    python -m demo.server --root DIR --port 0

GET /photos/…          a photo (or its fault), with ETag and Last-Modified; 304 where the client has it
GET /catalog.csv       any other file of the catalog's folder
GET /stats             counts, by folder and by host (demo/traffic.py); /stats/paths by path
POST /stats/reset      start counting anew; POST /faults/reset lets what fails once fail again

A bare asyncio protocol and the standard library only, so that any environment can run it and a benchmark of downloads
measures the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote

import click

from demo.faults import read_faults
from demo.replies import TRUNCATED_SHARE, Reply, Request, fault_reply, file_reply, plain
from demo.shelf import DrawnShelf, FolderShelf, Stored
from demo.traffic import Traffic

HEAD_MAX_BYTES = 16_384
START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class ServerConfig:
    """latency_s: a pause before every reply; slow_s: before those of the fault "slow"."""

    root: Path
    host: str = "127.0.0.1"
    port: int = 0
    latency_s: float = 0.0
    slow_s: float = 300.0


class Shop:
    """What one server knows: its files, its faults and its counts."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.traffic = Traffic()
        self.folder = FolderShelf(config.root)
        self.faults = read_faults(config.root)
        self.failed_once: set[str] = set()
        self.drawn = _drawn_shelf(config.root)

    def answer(self, request: Request) -> Reply | None:
        """Return the reply, or None where a photo has to be drawn first."""
        if request.method not in ("GET", "HEAD", "POST"):
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, "", ("Allow", "GET, HEAD, POST"))
        if (reply := self._own_page(request)) is not None:
            return reply
        kind = self.faults.get(request.path[1:])
        if kind is not None:
            first = request.path not in self.failed_once
            self.failed_once.add(request.path)
            if (fault := fault_reply(kind, request.path, first_time=first)) is not None:
                return fault
        stored = self._stored(request.path[1:])
        if stored is not None:
            return self.file_or_fault(request, stored)
        return None if self.drawn else plain(HTTPStatus.NOT_FOUND)

    async def draw(self, request: Request) -> Reply:
        """Return the reply for a photo that is not drawn yet."""
        assert self.drawn is not None
        path = request.path[1:]
        known = self.drawn.etag_of(path)
        if known is not None and known in request.headers.get("if-none-match", ""):
            return Reply(HTTPStatus.NOT_MODIFIED, (("ETag", known),))
        stored = await self.drawn.draw(path)
        return plain(HTTPStatus.NOT_FOUND) if stored is None else self.file_or_fault(request, stored)

    def file_or_fault(self, request: Request, stored: Stored) -> Reply:
        """Return the file as it is sent: whole, late, or cut off."""
        reply = file_reply(request, stored)
        kind = self.faults.get(request.path[1:])
        if kind == "slow":
            return replace(reply, delay_s=self.config.slow_s)
        if kind == "truncated_body" and reply.status == HTTPStatus.OK:
            return replace(reply, sent_bytes=int(len(reply.body) * TRUNCATED_SHARE))
        return reply

    def _stored(self, path: str) -> Stored | None:
        if self.drawn is not None and (stored := self.drawn.find(path)) is not None:
            return stored
        return self.folder.find(path)

    def _own_page(self, request: Request) -> Reply | None:
        if request.path == "/stats/reset":
            self.traffic.reset()
            return Reply(HTTPStatus.NO_CONTENT)
        if request.path == "/faults/reset":
            self.failed_once.clear()
            return Reply(HTTPStatus.NO_CONTENT)
        pages: dict[str, Callable[[], object]] = {"/stats": self.traffic.summary, "/stats/paths": self.traffic.by_path}
        if request.path in pages:
            body = json.dumps(pages[request.path](), indent=1).encode() + b"\n"
            return Reply(HTTPStatus.OK, (("Content-Type", "application/json"), ("Cache-Control", "no-store")), body)
        if request.method == "POST":
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, "", ("Allow", "GET, HEAD"))
        return None


def _drawn_shelf(root: Path) -> DrawnShelf | None:
    """Return the shelf that draws, where the folder's catalog is a lazy one."""
    plan_file = root / "demo.json"
    if not plan_file.exists():
        return None
    plan = json.loads(plan_file.read_text(encoding="utf-8"))
    return DrawnShelf(plan["seed"], plan["fault_share"]) if plan["lazy"] else None


class Connection(asyncio.Protocol):
    """One client's connection; its requests are answered one after the other."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.loop = asyncio.get_running_loop()
        self.buffer = b""
        self.current: Request | None = None
        self.counted = False
        self.waiting: asyncio.TimerHandle | asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self._next_request()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
        if self.current is not None and self.counted:
            self.shop.traffic.end(self.current.host, self.current.path, None, 0, full=False)
        self.current = None

    def _next_request(self) -> None:
        while self.current is None and not self.transport.is_closing():
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                if len(self.buffer) > HEAD_MAX_BYTES:
                    self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
            self.buffer = rest
            request = parse_head(head)
            if request is None or request.headers.get("content-length", "0") != "0":
                self._refuse(HTTPStatus.BAD_REQUEST)
                return
            self._take(request)

    def _take(self, request: Request) -> None:
        self.current = request
        self.counted = not request.path.startswith(("/stats", "/faults"))
        if self.counted:
            self.shop.traffic.begin(request.host, request.path, time.monotonic())
        reply = self.shop.answer(request)
        if reply is None:
            self.waiting = self.loop.create_task(self._draw(request))
        else:
            self._send_later(reply)

    async def _draw(self, request: Request) -> None:
        try:
            reply = await self.shop.draw(request)
        except Exception as error:
            reply = plain(HTTPStatus.INTERNAL_SERVER_ERROR, f"cannot draw {request.path}: {error}")
        self._send_later(reply)
        self._next_request()

    def _send_later(self, reply: Reply) -> None:
        delay_s = reply.delay_s + (self.shop.config.latency_s if self.counted else 0.0)
        if delay_s > 0:
            self.waiting = self.loop.call_later(delay_s, self._send_and_go_on, reply)
        else:
            self._send(reply)

    def _send_and_go_on(self, reply: Reply) -> None:
        self._send(reply)
        self._next_request()

    def _send(self, reply: Reply) -> None:
        request = self.current
        assert request is not None
        self.waiting = self.current = None
        keep_alive = request.keeps_alive and not reply.breaks_off
        self.transport.write(reply.encoded(request.method, _http_date(int(time.time())), keep_alive=keep_alive))
        if self.counted:
            body_bytes = 0 if request.method == "HEAD" else len(reply.body[: reply.sent_bytes])
            full = reply.status == HTTPStatus.OK and request.method == "GET" and not reply.breaks_off
            self.shop.traffic.end(request.host, request.path, reply.status, body_bytes, full=full)
        if not keep_alive:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        self.transport.write(plain(status).encoded("GET", _http_date(int(time.time())), keep_alive=False))
        self.transport.close()


def parse_head(head: bytes) -> Request | None:
    """Return the request whose head (without the empty line) is given, None where it is not HTTP/1.x."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith("/"):
        return None
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if words[2] == "HTTP/1.0":
        headers["connection"] = "close"
    path, _, query = words[1].partition("?")
    return Request(words[0], unquote(path), query, headers)


_dates: dict[int, str] = {}


def _http_date(second: int) -> str:
    if second not in _dates:
        _dates.clear()
        _dates[second] = email.utils.formatdate(second, usegmt=True)
    return _dates[second]


async def run_server(config: ServerConfig, started: Callable[[str], None], *, until_stdin_closes: bool = False) -> None:
    """Serve until SIGTERM or SIGINT (or the end of standard input); `started` is given the base URL."""
    loop = asyncio.get_running_loop()
    shop = Shop(config)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), lambda: sys.stdin.buffer.read1() or stopped.set())
    server = await loop.create_server(lambda: Connection(shop), config.host, config.port, backlog=1024)
    name = "127.0.0.1" if config.host == "0.0.0.0" else config.host
    started(f"http://{name}:{server.sockets[0].getsockname()[1]}")
    try:
        await stopped.wait()
    finally:
        server.close()
        if shop.drawn is not None:
            shop.drawn.close()


@contextlib.contextmanager
def serve(
    root: Path, *, latency_s: float = 0.0, slow_s: float = 300.0, host: str = "127.0.0.1", port: int = 0
) -> Iterator[str]:
    """Serve a catalog's folder from a process of its own; yield the base URL. Raises RuntimeError if it does not start."""
    command = [sys.executable, "-m", "demo.server", "--root", str(root), "--host", host, "--port", str(port)]
    command += ["--until-stdin-closes"]
    command += ["--latency-s", str(latency_s), "--slow-s", str(slow_s)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            base_url = server.stdout.readline().strip()
            if not base_url.startswith("http://"):
                raise RuntimeError(
                    f"the demo server for {root} did not start: exit code {server.wait(START_TIMEOUT_S)}"
                )
            yield base_url
        finally:
            # The pipe's end also ends the server where this process is killed.
            server.stdin.close()
            server.wait(START_TIMEOUT_S)


@click.command(help="Serve a demo catalog's photos over HTTP.")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 answers to 127.0.0.2 and so on, too.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes a free one.")
@click.option("--port-file", type=click.Path(path_type=Path, dir_okay=False), help="Write the port here once up.")
@click.option("--latency-s", type=click.FloatRange(0), default=0.0, help="Seconds before every reply.")
@click.option("--slow-s", type=click.FloatRange(0), default=300.0, show_default=True, help="Seconds of a slow host.")
@click.option("--until-stdin-closes", is_flag=True, help="Stop when standard input ends.")
def main(port_file: Path | None, until_stdin_closes: bool, **options: object) -> None:
    """Print the server's address as one line, then serve."""

    def started(base_url: str) -> None:
        if port_file is not None:
            unfinished = port_file.with_suffix(".part")
            unfinished.write_text(base_url.rpartition(":")[2] + "\n", encoding="utf-8")
            unfinished.replace(port_file)
        click.echo(base_url)
        sys.stdout.flush()

    config = ServerConfig(**options)  # type: ignore[arg-type]
    try:
        asyncio.run(run_server(config, started, until_stdin_closes=until_stdin_closes))
    except OSError as error:
        click.echo(f"cannot listen on {config.host}:{config.port} ({error.strerror}): choose another --port", err=True)
        raise SystemExit(78) from error


if __name__ == "__main__":
    main()
