"""A web server whose answers a test writes byte by byte, and which counts what it is asked."""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Script = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request and the connection that it came by."""

    path: str
    headers: dict[str, str]
    number: int  # how often this path was asked, from 1
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer with its length."""
        await self.send(head(status, Content_Length=str(len(body)), **headers) + body)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_the_client_leaves(self) -> None:
        await self.reader.read()

    def hang_up(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()


@dataclass
class Seen:
    """What the server was asked. Times are its own monotonic seconds."""

    requests: Counter[str] = field(default_factory=Counter)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    in_flight: int = 0
    in_flight_max: int = 0
    recent: deque[float] = field(default_factory=deque)
    per_second_max: int = 0

    def begin(self, path: str, headers: dict[str, str]) -> int:
        self.requests[path] += 1
        self.headers[path] = headers
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        now = time.monotonic()
        self.recent.append(now)
        while self.recent[0] <= now - 1.0:
            self.recent.popleft()
        self.per_second_max = max(self.per_second_max, len(self.recent))
        return self.requests[path]


def head(status: int, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Said"] + [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class FaultServer:
    """Runs in a thread of its own on 127.0.0.1 (or another loopback address); 404 where no script is given."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.scripts: dict[str, Script] = {}
        self.seen = Seen()
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "FaultServer":
        self._thread.start()
        starting = asyncio.start_server(self._serve, self._host, 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def url(self, path: str) -> str:
        return f"http://{self._host}:{self.port}{path}"

    def on(self, path: str, script: Script) -> str:
        """Answer a path by a script; its URL."""
        self.scripts[path] = script
        return self.url(path)

    def on_photo(self, path: str, data: bytes, **headers: str) -> str:
        """Answer a path with a photo; 304 to a client that has its ETag."""

        async def script(exchange: Exchange) -> None:
            if "ETag" in headers and exchange.headers.get("if-none-match") == headers["ETag"]:
                await exchange.reply(304, b"", **headers)
            else:
                await exchange.reply(200, data, Content_Type="image/jpeg", **headers)

        return self.on(path, script)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = text.strip().split("\r\n")
                path = first.split(" ")[1]
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                exchange = Exchange(path, headers, self.seen.begin(path, headers), reader, writer)
                try:
                    await self.scripts.get(path, _not_found)(exchange)
                finally:
                    self.seen.in_flight -= 1
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


async def _not_found(exchange: Exchange) -> None:
    await exchange.reply(404)


async def silent(exchange: Exchange) -> None:
    """Takes the request and says nothing."""
    await exchange.until_the_client_leaves()


def redirect_to(location: str, status: int = 302) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.reply(status, b"", Location=location)

    return script
