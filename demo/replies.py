"""What the shop's server answers: photos with validators, and the faults of faults.csv as they look on the wire."""

from __future__ import annotations

import email.utils
from dataclasses import dataclass
from http import HTTPStatus

from demo.shelf import Stored

RETRY_AFTER_S = 1
TRUNCATED_SHARE = 0.6


@dataclass(frozen=True)
class Request:
    """One request's head; header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]

    @property
    def host(self) -> str:
        return self.headers.get("host", "")

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


@dataclass(frozen=True)
class Reply:
    """One answer. sent_bytes: how much of the body goes out; less than its length means that the connection breaks."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    sent_bytes: int | None = None
    delay_s: float = 0.0

    @property
    def breaks_off(self) -> bool:
        return self.sent_bytes is not None and self.sent_bytes < len(self.body)

    def encoded(self, method: str, date: str, *, keep_alive: bool) -> bytes:
        """Return the reply's bytes; Content-Length is the whole body's, also where less is sent."""
        head = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", f"Date: {date}"]
        head += [f"{name}: {value}" for name, value in self.headers]
        if self.status != HTTPStatus.NOT_MODIFIED:
            head.append(f"Content-Length: {len(self.body)}")
        if not keep_alive:
            head.append("Connection: close")
        text = "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"
        if method == "HEAD":
            return text
        return text + (self.body if self.sent_bytes is None else self.body[: self.sent_bytes])


def plain(status: int, text: str = "", *headers: tuple[str, str]) -> Reply:
    """Return a short answer in plain text."""
    body = (text or HTTPStatus(status).phrase).encode() + b"\n"
    return Reply(status, (("Content-Type", "text/plain; charset=utf-8"), *headers), body)


def file_reply(request: Request, stored: Stored) -> Reply:
    """Return the file, or 304 where the client has it."""
    validators = (("ETag", stored.etag), ("Last-Modified", stored.last_modified), ("Cache-Control", "max-age=0"))
    if _client_has(request, stored):
        return Reply(HTTPStatus.NOT_MODIFIED, validators)
    return Reply(HTTPStatus.OK, (("Content-Type", stored.content_type), *validators), stored.body)


def _client_has(request: Request, stored: Stored) -> bool:
    """Compare validators; a date counts only where no ETag was sent (RFC 9110, section 13.2.2)."""
    if (tags := request.headers.get("if-none-match")) is not None:
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return "*" in known or stored.etag in known
    if (since := request.headers.get("if-modified-since")) is not None:
        try:
            return int(stored.modified_s) <= email.utils.parsedate_to_datetime(since).timestamp()
        except ValueError:
            return False
    return False


def fault_reply(kind: str, path: str, *, first_time: bool) -> Reply | None:
    """Return what a faulty path answers instead of its file, None where the file (itself maybe faulty) is served."""
    if kind == "dead":
        return plain(HTTPStatus.NOT_FOUND)
    if kind == "gone":
        return plain(HTTPStatus.GONE)
    if kind == "moved":
        return plain(HTTPStatus.MOVED_PERMANENTLY, "", ("Location", path.replace(".jpg", "-moved.jpg")))
    if kind == "redirect_loop":
        return plain(HTTPStatus.FOUND, "", ("Location", path))
    if kind == "unavailable_once" and first_time:
        return plain(HTTPStatus.SERVICE_UNAVAILABLE, "", ("Retry-After", str(RETRY_AFTER_S)))
    if kind == "busy_once" and first_time:
        return plain(HTTPStatus.TOO_MANY_REQUESTS, "", ("Retry-After", str(RETRY_AFTER_S)))
    return None
