"""A shop behind a server: its files, its faults, its counts, and what it answers to each request."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

from demo.faults import read_faults
from demo.replies import TRUNCATED_SHARE, Reply, Request, fault_reply, file_reply, plain
from demo.shelf import DrawnShelf, FolderShelf, Stored
from demo.traffic import Traffic


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
