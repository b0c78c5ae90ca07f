"""Connections before their first words, between requests, and while an answer is written."""

import selectors
import socket
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.gthread import TConn, ThreadWorker

from online.client_socket import ClientSocket
from online.worker import ThreadedWorker, WorkLoads
from tests.online.worker.doubles import Asked, Connection, Corked, worker_that_answers


def waiting_room(worker: ThreadedWorker) -> None:
    """What gunicorn makes when a worker starts."""
    worker.cfg.keepalive, worker.poller = 15, selectors.DefaultSelector()
    worker.keepalived_conns, worker.pending_conns, worker.leaving = deque(), deque(), {}


def test_a_new_connection_waits_for_its_first_words_without_a_thread(calls: list[object]) -> None:
    ours, theirs = socket.socketpair()
    worker = worker_that_answers(0, place=0)
    waiting_room(worker)
    with ours, theirs:
        conn = TConn(worker.cfg, ours, None, None)
        worker.enqueue_req(conn)
        assert (worker.answering, list(worker.pending_conns)) == (0, [conn])
        theirs.sendall(b"GET")
        ((key, _),) = worker.poller.select(1)
        key.data(key.fileobj)
        assert (worker.answering, list(worker.pending_conns)) == (1, [])


def test_a_client_that_has_begun_may_not_fall_silent_for_ever(calls: list[object]) -> None:
    ours, theirs = socket.socketpair()
    worker = worker_that_answers(0, place=0)
    waiting_room(worker)
    with ours, theirs:
        theirs.sendall(b"POST /sea")
        conn = TConn(worker.cfg, ours, None, None)
        worker.enqueue_req(conn)
        assert isinstance(conn.sock, ClientSocket)
        assert not conn.sock.getblocking()  # as gunicorn left it; the thread that reads the request changes that
        same = conn.sock
        worker.enqueue_req(conn)
        assert conn.sock is same
        same.close()


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_new_connection_with_words_or_without_a_client_is_taken_at_once(calls: list[object], is_gone: bool) -> None:
    ours, theirs = socket.socketpair()
    worker = worker_that_answers(0, place=0)
    waiting_room(worker)
    with ours, theirs:
        if is_gone:
            theirs.close()
        else:
            theirs.sendall(b"GET")
        worker.enqueue_req(TConn(worker.cfg, ours, None, None))
        assert (worker.answering, list(worker.pending_conns)) == (1, [])


def test_a_worker_that_stops_does_not_wait_for_first_words(calls: list[object]) -> None:
    ours, theirs = socket.socketpair()
    worker = worker_that_answers(0, place=0, keeps=1)
    waiting_room(worker)
    with ours, theirs:
        worker.enqueue_req(TConn(worker.cfg, ours, None, None))
        worker._cap_keepalive(0.0)
        worker.murder_pending()
        assert (worker.nr_conns, list(worker.pending_conns)) == (0, [])
        assert theirs.recv(1) == b""


@pytest.mark.parametrize("closes", [True, False])
def test_a_kept_connection_that_its_client_closed_takes_no_thread(
    calls: list[object], loads: WorkLoads, monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    monkeypatch.setattr(ThreadWorker, "on_client_socket_readable", lambda self, conn, client: calls.append("read"))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"" if closes else b"POST")
        if closes:
            theirs.close()
        conn = SimpleNamespace(sock=ours, close=lambda: calls.append("closed"))
        worker = worker_that_answers(0, place=0, keeps=1)
        worker.keepalived_conns, worker.poller = deque([conn]), selectors.DefaultSelector()
        worker.poller.register(ours, selectors.EVENT_READ)
        worker.on_client_socket_readable(conn, ours)
        worker.poller.close()
    assert calls == (["closed"] if closes else ["read"])
    assert loads.least() == (0, 0 if closes else 1)
    assert len(worker.keepalived_conns) == (0 if closes else 1)


def test_an_answers_head_and_body_leave_together_and_nothing_waits_before_the_app_has_answered(
    calls: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def app(environ: dict[str, Any], start_response: object) -> list[bytes]:
        calls.append("asked")
        return [b"answer"]

    def handle(self: ThreadedWorker, req: object, conn: Any) -> None:
        calls.append(self.wsgi({"gunicorn.socket": conn.sock}, None))

    monkeypatch.setattr(ThreadedWorker, "running", None)
    monkeypatch.setattr(ThreadWorker, "load_wsgi", lambda self: setattr(self, "wsgi", app))
    monkeypatch.setattr(ThreadWorker, "handle_request", handle)
    worker = worker_that_answers(1, place=0)
    worker.load_wsgi()
    worker.handle_request(Asked(), Connection(sock=Corked(calls)))
    assert calls == ["asked", "held", [b"answer"], "sent"]
