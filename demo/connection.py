"""HTTP/1.1 as far as a shop's photos need it: one client's connection, its requests answered one after the other."""

from __future__ import annotations

import asyncio
import email.utils
import time
from http import HTTPStatus
from urllib.parse import unquote

from demo.replies import Reply, Request, plain
from demo.shop import Shop

HEAD_MAX_BYTES = 16_384


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
