"""gunicorn's threaded worker, except that one that stops lets go of its port at once, and a busy one lets others go first.

gunicorn's own holds the port until its last request is answered, and the kernel goes on taking connections for it: they
would wait, and fail, for as long as that request runs. Here they are refused, or a worker that stays answers them.

All workers wake for a new connection, and the first to answer has it for as long as it is kept: two clients in one
worker, whose searches wait for one interpreter, beside another worker that has nothing to do. Here the workers of a host
see each other's load (`WorkLoads`). One with more of it than another takes a new connection a moment later, so that the
other is there first, and one that answers at least two requests more closes a kept connection after its answer, as HTTP
lets it: the client comes back to an idle one. So it does with a worker that makes a new snapshot (`work_aside`). A request
counts until its answer is whole: a client that closes its connection then and opens another finds its worker idle.

gunicorn has a thread wait, up to 5 s, for the first words of a new connection. Browsers open some ahead, and balancers to
see whether somebody is there: as many as there are threads, and nobody is answered. Here they wait beside the kept ones,
and one that has begun may not fall silent for long (`ClientSocket`).

gunicorn waits for the client of a connection that it closes to close it too, up to 2 s, in the thread that takes
connections: one that is slow to go would stop all others. Here nobody waits for it, and what it still sends is dropped
for as long as it sends, so that a shopper whose photo is too large reads that rather than a reset.
"""

import json
import mmap
import selectors
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

from gunicorn import util
from gunicorn.workers.gthread import ThreadWorker

from online.client_socket import ClientSocket
from online.config import SearcherConfig

HEAD_START_S = 0.001
"""For each request that a worker answers more than another, up to as many as it has threads, it leaves others so long to
take a new connection; half as long where it answers as many, or only keeps more connections."""

WORK_ASIDE = 2
"""As how many requests counts what a worker does beside them: enough for it to close a kept connection."""

SWITCH_INTERVAL_S = 0.0005
"""How long such work keeps the interpreter from a request that waits for it; Python's own is ten times as much."""

SEE_OFF_S, SEE_OFF_SILENCE_S = 30.0, 2.0
"""How long a client may take to close a connection after us: while it still sends, and while it sends nothing."""

_PLACES, _LARGEST = 256, 0xFFFE
_DROPPED_BYTES = 1 << 16


class Load(NamedTuple):
    """What one worker has: the requests that it is answering, and the connections that it keeps, these among them."""

    answering: int
    connections: int


class WorkLoads:
    """The load of each worker of a master: a page of memory that all of them share after the fork.

    Two numbers for each place, each one more than it says, and 0 where no worker takes requests. A worker writes its
    own place alone.
    """

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, 4 * _PLACES)).cast("I")

    def write(self, place: int, load: Load | None) -> None:
        """None: it takes no requests. A place beyond the last is not kept: it balances nothing, and costs nothing."""
        if place < _PLACES:
            answering, connections = (0, 0) if load is None else (min(number, _LARGEST) + 1 for number in load)
            self._numbers[place] = answering << 16 | connections

    def least(self) -> Load | None:
        """Of the least busy worker; None where no worker takes requests."""
        least = min(filter(None, self._numbers.tolist()), default=None)
        return None if least is None else Load((least >> 16) - 1, (least & 0xFFFF) - 1)


WORK_LOADS = WorkLoads()
_telling = threading.Lock()


def _start(start_response: Any, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
    """gunicorn leaves out what an app says of the connection; that it closes must be told to its own answer."""
    if ("Connection", "close") in headers:
        start_response.__self__.force_close()
    return start_response(status, headers, exc_info)


class ThreadedWorker(ThreadWorker):  # type: ignore[misc]
    """Answers what it has accepted, and accepts no more, once it was told to stop or its master is gone."""

    alive: bool
    nr_conns: int
    wsgi: Any
    place = _PLACES  # among the workers of its master; given before the fork
    answering = 0  # until the main thread knows of the end; changed by it alone
    aside = 0  # work beside requests, counted as so many; changed by the thread that does it
    config: SearcherConfig | None = None  # as the master read it last; given before the fork
    running: "ThreadedWorker | None" = None  # the worker that this process is

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leaving: dict[Any, float] = {}  # connections that only their clients have to close, and until when
        self.answered: set[Any] = set()  # connections whose answer is whole, though the main thread does not know yet

    def accept(self, listener: socket.socket) -> None:
        least, own = WORK_LOADS.least(), self._load()
        if least is not None and own >= least and (own.answering or own > least):
            more = min(own.answering - least.answering, self.cfg.threads)
            time.sleep(HEAD_START_S * (more or 0.5))
        super().accept(listener)

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """A kept connection that its client closed needs no thread, and no time as one that is being answered: the same
        client may be at the door."""
        if not _is_closed(client):
            super().on_client_socket_readable(conn, client)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self.nr_conns -= 1
        self._tell()
        conn.close()

    def enqueue_req(self, conn: Any) -> None:
        if not conn.initialized and not isinstance(conn.sock, ClientSocket):
            blocks = conn.sock.getblocking()
            conn.sock = ClientSocket.of(conn.sock)
            conn.sock.setblocking(blocks)
        if not (conn.initialized or conn.data_ready or _can_be_read(conn.sock)):
            self._await_words(conn)
            return
        self.answering += 1
        self._tell()
        super().enqueue_req(conn)

    def _await_words(self, conn: Any) -> None:
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))
        self._tell()

    def _cap_keepalive(self, deadline: float) -> None:
        """One that stops waits no longer for a first request than for another."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def finish_request(self, conn: Any, fs: Any) -> None:
        self.answered.discard(conn)
        self.answering -= 1
        if fs.cancelled() or fs.exception() is not None or not fs.result():
            self._see_off(conn)
        else:
            super().finish_request(conn, fs)
        self._tell()

    def on_leaving_socket_readable(self, conn: Any, client: socket.socket) -> None:
        try:
            sent = client.recv(_DROPPED_BYTES)
        except BlockingIOError:
            return
        except OSError:
            sent = b""
        if sent:
            conn.timeout = time.monotonic() + SEE_OFF_SILENCE_S
        else:
            self._let_go(conn)

    def murder_pending(self) -> None:
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, until in self.leaving.items() if now > min(until, conn.timeout)]:
            self._let_go(conn)

    def _see_off(self, conn: Any) -> None:
        """Say that nothing more comes. Closed at once, with bytes of the client unread, it would lose our last ones."""
        now = time.monotonic()
        self.leaving[conn], conn.timeout = now + SEE_OFF_S, now + SEE_OFF_SILENCE_S
        try:
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_leaving_socket_readable, conn))
            conn.sock.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):  # the client is gone
            self._let_go(conn)

    def _let_go(self, conn: Any) -> None:
        with suppress(KeyError, ValueError):
            self.poller.unregister(conn.sock)
        del self.leaving[conn]
        self.nr_conns -= 1
        self._tell()
        conn.close()

    def handle_request(self, req: Any, conn: Any) -> Any:
        least = WORK_LOADS.least()
        if least is not None and self._load().answering > least.answering + 1:
            req.force_close()
        try:
            return super().handle_request(req, conn)
        finally:
            # Before the client has its answer: it may be at the door with another question at once.
            self.answered.add(conn)
            self._tell()
            _cork(conn.sock, False)

    def load_wsgi(self) -> None:
        """gunicorn sends an answer's head and its body apart: two packets, and two turns of the client. Here they wait
        for each other; not before the app has answered, as a client may wait for leave to send the rest of its body.
        """
        ThreadedWorker.running = self
        util.write_error = write_problem  # gunicorn's own is HTML, and no setting says otherwise
        super().load_wsgi()
        app = self.wsgi

        def answer(environ: dict[str, Any], start_response: Any) -> Any:
            answered = app(environ, partial(_start, start_response))
            _cork(environ["gunicorn.socket"], True)
            return answered

        self.wsgi = answer

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        self._tell()
        if not self.alive:
            for listener in self.sockets:
                listener.close()

    def is_parent_alive(self) -> bool:
        self.alive = self.alive and super().is_parent_alive()
        return self.alive

    def load_aside(self, requests: int) -> None:
        """Count work beside requests as so many more of them (fewer, below 0)."""
        self.aside += requests
        self._tell()

    def _load(self) -> Load:
        return Load(self.answering - len(self.answered) + self.aside, self.nr_conns)

    def _tell(self) -> None:
        with _telling:  # two threads may: what is older must not be written last
            WORK_LOADS.write(self.place, self._load() if self._accepting else None)


def write_problem(client: socket.socket, status: int, reason: str, detail: str) -> None:
    """Answer what is no sound HTTP request, which no app sees, as the app answers a request that it cannot read."""
    from online.api.problems import BAD_REQUEST, INTERNAL, MIMETYPE  # not in the master: it has no use for an app

    kind = INTERNAL if status == 500 else BAD_REQUEST
    said = {"type": kind.uri, "title": kind.title, "status": status, "detail": f"{reason}: {detail}"[:500]}
    body = json.dumps(said | {"request_id": ""}).encode()
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: {MIMETYPE}\r\nContent-Length: {len(body)}\r\n"
    util.write_nonblock(client, head.encode() + b"\r\n" + body)


def config_of_master() -> SearcherConfig | None:
    """What this worker was given to go by; None under another server."""
    return None if ThreadedWorker.running is None else ThreadedWorker.running.config


def others_answer() -> bool:
    """Whether other workers of this one's master take requests, before it does itself."""
    return WORK_LOADS.least() is not None


@contextmanager
def work_aside() -> Iterator[None]:
    """What this worker does meanwhile counts as requests that it answers, and lets go of the interpreter more often."""
    interval_s, worker = sys.getswitchinterval(), ThreadedWorker.running
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    if worker is not None:  # else another server's
        worker.load_aside(WORK_ASIDE)
    try:
        yield
    finally:
        if worker is not None:
            worker.load_aside(-WORK_ASIDE)
        sys.setswitchinterval(interval_s)


def _can_be_read(connection: socket.socket) -> bool:
    """Whether something came, or the client is gone."""
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _is_closed(connection: socket.socket) -> bool:
    """Of one that can be read without waiting: whether there is nothing more to come."""
    if isinstance(connection, ssl.SSLSocket):  # it cannot look ahead
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return False


def _cork(connection: socket.socket, shut: bool) -> None:
    if connection.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_CORK"):
        with suppress(OSError):  # the client is gone
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, shut)
