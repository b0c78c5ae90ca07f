"""A reverse proxy that answers for its server with 5xx: toxiproxy knows bytes, not HTTP.

Half of the failures come before the request was passed on and half after: a client cannot know which.
"""

import http.client
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_BODY = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>a test says so</Message></Error>"
_FAILURES = ((500, b"InternalError"), (503, b"SlowDown"))
_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "expect"}


class FailingGateway(ThreadingHTTPServer):
    """`share` of all requests fail; `asked` counts requests, `failed` those that were answered 5xx."""

    daemon_threads = True

    def __init__(self, upstream: str, seed: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _PassOn)
        self.upstream, self.share = upstream, 0.0
        self.asked = self.failed = 0
        self._random, self._lock = random.Random(seed), threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def draw(self) -> tuple[bool, bool, tuple[int, bytes]]:
        """Whether this request fails, whether its server hears of it, and with what status."""
        with self._lock:
            fails = self._random.random() < self.share
            self.asked += 1
            self.failed += fails
            return fails, not fails or self._random.random() < 0.5, self._random.choice(_FAILURES)


class _PassOn(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FailingGateway

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fails, heard, (status, code) = self.server.draw()
        answer = self._ask(body) if heard else None
        if fails or answer is None:
            self._reply(status, {"Content-Type": "application/xml"}, _BODY % code)
        else:
            self._reply(*answer)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass_on  # noqa: N815

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # the Host that was signed among them
                if name.lower() not in _NOT_PASSED_ON:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {*_NOT_PASSED_ON, "content-length"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def run_failing_gateway(upstream: str) -> Iterator[FailingGateway]:
    """A gateway before `host:port`."""
    with FailingGateway(upstream) as gateway:
        serving = threading.Thread(target=gateway.serve_forever, daemon=True)
        serving.start()
        yield gateway
        gateway.shutdown()
        serving.join()
