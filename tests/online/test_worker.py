"""Workers that share a host's requests evenly: who takes a new connection first, and who lets a kept one go."""

import os
import selectors
import socket
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.gthread import TConn, ThreadWorker

from online.worker import (
    HEAD_START_S,
    SEE_OFF_S,
    SEE_OFF_SILENCE_S,
    SWITCH_INTERVAL_S,
    WORK_ASIDE,
    Load,
    ThreadedWorker,
    WorkLoads,
    work_aside,
)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> WorkLoads:
    fresh = WorkLoads()
    monkeypatch.setattr("online.worker.WORK_LOADS", fresh)
    return fresh


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, loads: WorkLoads) -> list[object]:
    """What happens, in its order."""
    noted: list[object] = []
    monkeypatch.setattr("online.worker.time.sleep", noted.append)
    monkeypatch.setattr(ThreadWorker, "accept", lambda self, listener: noted.append("accepted"))
    for name in ("enqueue_req", "finish_request", "handle_request", "set_accept_enabled"):
        monkeypatch.setattr(ThreadWorker, name, lambda self, *given: None)
    return noted


def worker_that_answers(requests: int, place: int, keeps: int = 0) -> ThreadedWorker:
    worker = ThreadedWorker.__new__(ThreadedWorker)
    worker.cfg, worker.place, worker.alive = SimpleNamespace(threads=4), place, True
    worker._accepting, worker.nr_conns, worker.answered = True, keeps, set()
    worker.set_accept_enabled(True)
    for _ in range(requests):
        worker.enqueue_req(SimpleNamespace(initialized=True))
    return worker


def outcome(is_kept: bool = True) -> Future[bool]:
    """Of a request, and whether its connection is kept."""
    done: Future[bool] = Future()
    done.set_result(is_kept)
    return done


class Corked:
    """A connection that notes when what is written to it is held back."""

    family = socket.AF_INET

    def __init__(self, noted: list[object]) -> None:
        self.noted = noted

    def setsockopt(self, _: int, option: int, value: bool) -> None:
        assert option == socket.TCP_CORK
        self.noted.append("held" if value else "sent")


class Asked:
    """What of gunicorn's request is used."""

    closes = False

    def force_close(self) -> None:
        self.closes = True


class Connection:
    """What of gunicorn's connection is used."""

    sock: Any
    initialized: bool

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)


def answer(worker: ThreadedWorker) -> bool:
    """Whether the connection is closed after the answer. As many are answered as before."""
    asked, connection = Asked(), Connection(sock=Corked([]), initialized=True)
    worker.handle_request(asked, connection)
    worker.finish_request(connection, outcome())
    worker.enqueue_req(connection)
    return asked.closes


@pytest.mark.parametrize(
    ("mine", "other", "waits"),
    [
        (0, 0, []),
        (1, 0, [HEAD_START_S]),
        (9, 0, [4 * HEAD_START_S]),
        (3, 2, [HEAD_START_S]),
        (2, 2, [HEAD_START_S / 2]),
        (0, 2, []),
    ],
)
def test_the_more_a_worker_answers_beyond_another_the_longer_it_leaves_it_a_new_connection(
    calls: list[object], mine: int, other: int, waits: list[float]
) -> None:
    worker_that_answers(other, place=0)
    worker_that_answers(mine, place=1).accept(socket.socket())
    assert calls == [*waits, "accepted"]


@pytest.mark.parametrize(
    ("mine", "other", "waits"), [((0, 2), (0, 1), [HEAD_START_S / 2]), ((0, 1), (0, 1), []), ((0, 9), (1, 1), [])]
)
def test_of_two_that_answer_as_much_the_one_that_keeps_fewer_connections_is_first(
    calls: list[object], mine: tuple[int, int], other: tuple[int, int], waits: list[float]
) -> None:
    worker_that_answers(other[0], 0, other[1])
    worker_that_answers(mine[0], 1, mine[1]).accept(socket.socket())
    assert calls == [*waits, "accepted"]


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


def test_a_worker_beyond_the_last_place_takes_connections_at_once_while_others_answer_more(calls: list[object]) -> None:
    worker_that_answers(2, place=0)
    worker_that_answers(1, place=10_000).accept(socket.socket())
    assert calls == ["accepted"]


def test_it_is_idle_again_once_all_is_answered(calls: list[object]) -> None:
    worker_that_answers(0, place=0)
    idle = worker_that_answers(1, place=1)
    idle.finish_request(None, outcome())
    idle.accept(socket.socket())
    assert calls == ["accepted"]


def test_it_is_idle_before_its_client_has_the_answer(calls: list[object], loads: WorkLoads) -> None:
    """Who has it may be at the door with another question before the main thread knows."""
    worker_that_answers(1, place=0)
    done, connection = worker_that_answers(0, place=1), Connection(initialized=True)
    done.enqueue_req(connection)
    seen: list[Load | None] = []
    connection.sock = Corked(seen)
    connection.sock.setsockopt = lambda *_: seen.append(loads.least())
    done.handle_request(Asked(), connection)
    assert seen == [Load(0, 0)]
    done.accept(socket.socket())
    done.finish_request(connection, outcome())
    assert (calls, loads.least()) == (["accepted"], Load(0, 0))


@pytest.mark.parametrize(("mine", "other", "closes"), [(2, 0, True), (3, 1, True), (2, 1, False), (1, 0, False)])
def test_a_kept_connection_is_let_go_where_another_worker_answers_two_fewer(
    calls: list[object], mine: int, other: int, closes: bool
) -> None:
    worker_that_answers(other, place=0)
    assert answer(worker_that_answers(mine, place=1)) is closes


def test_a_worker_that_makes_a_snapshot_sends_its_clients_to_one_that_does_not(
    calls: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_that_answers(0, place=0)
    making = worker_that_answers(1, place=1)
    monkeypatch.setattr(ThreadedWorker, "running", making)
    with work_aside():
        assert answer(making)
        making.accept(socket.socket())
    assert not answer(making)
    assert calls == [HEAD_START_S * (1 + WORK_ASIDE), "accepted"]


def test_a_worker_that_fails_to_make_a_snapshot_is_idle_again(
    calls: list[object], loads: WorkLoads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ThreadedWorker, "running", worker_that_answers(0, place=0))
    noted = []

    def fail() -> None:
        with work_aside():
            noted.append(loads.least())
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        fail()
    assert (noted, loads.least()) == ([Load(WORK_ASIDE, 0)], Load(0, 0))


def test_nobody_is_sent_away_where_all_workers_make_a_snapshot(
    calls: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_that_answers(0, place=0).load_aside(WORK_ASIDE)
    making = worker_that_answers(1, place=1)
    monkeypatch.setattr(ThreadedWorker, "running", making)
    with work_aside():
        assert not answer(making)


def test_a_snapshot_is_made_with_short_turns_of_the_interpreter_and_another_server_has_no_worker() -> None:
    assert ThreadedWorker.running is None
    before = sys.getswitchinterval()
    with work_aside():
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)
    assert sys.getswitchinterval() == pytest.approx(before)


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


class Leaving:
    """A worker that has given its last answer to a client; `theirs` is that client's end, `now_s` the time."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.sock, self.theirs = socket.socketpair()
        self.worker: Any = worker_that_answers(0, place=0, keeps=1)
        self.worker.leaving, self.worker.pending_conns = {}, deque()
        self.worker.poller, self.worker.answering = selectors.DefaultSelector(), 1

    def close(self) -> None:
        self.sock.close()

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.worker.wait_for_and_dispatch_events(timeout=0)
        self.worker.murder_pending()

    @property
    def is_gone(self) -> bool:
        return (self.worker.nr_conns, len(self.worker.leaving), self.sock.fileno()) == (0, 0, -1)


@pytest.fixture
def leaving(loads: WorkLoads, monkeypatch: pytest.MonkeyPatch) -> Iterator[Leaving]:
    client = Leaving()
    monkeypatch.setattr("online.worker.time.monotonic", lambda: client.now_s)
    client.worker.finish_request(client, outcome(is_kept=False))
    yield client
    client.theirs.close()
    client.worker.poller.close()


def test_a_client_is_told_that_nothing_more_comes_and_waited_for_beside_others(
    leaving: Leaving, loads: WorkLoads
) -> None:
    assert leaving.theirs.recv(1) == b""
    assert (leaving.is_gone, loads.least()) == (False, (0, 1))
    leaving.theirs.close()
    leaving.pass_time(0)
    assert (leaving.is_gone, loads.least()) == (True, (0, 0))


def test_a_client_that_neither_sends_nor_closes_is_let_go_soon(leaving: Leaving) -> None:
    leaving.pass_time(SEE_OFF_SILENCE_S - 0.1)
    assert not leaving.is_gone
    leaving.pass_time(0.2)
    assert leaving.is_gone


def test_a_client_that_still_sends_may_finish_but_not_for_ever(leaving: Leaving) -> None:
    for _ in range(int(SEE_OFF_S)):
        assert not leaving.is_gone
        leaving.theirs.sendall(b"more of the photo")
        leaving.pass_time(1)
    leaving.theirs.sendall(b"and more")
    leaving.pass_time(1)
    assert leaving.is_gone


def test_a_client_that_is_gone_already_is_not_waited_for(loads: WorkLoads) -> None:
    client = Leaving()
    client.sock.close()
    client.worker.finish_request(client, outcome(is_kept=False))
    assert client.is_gone


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


def test_a_worker_that_takes_no_more_or_is_gone_does_not_look_idle(calls: list[object], loads: WorkLoads) -> None:
    stopping, dead, busy = worker_that_answers(0, 0), worker_that_answers(0, 1), worker_that_answers(2, 2)
    stopping.alive, stopping._accepting, stopping.sockets = False, False, []
    stopping.set_accept_enabled(False)
    loads.write(dead.place, None)  # as the master does
    assert loads.least() == (2, 0)
    assert not answer(busy)


def test_what_it_still_answers_after_it_takes_no_more_counts_for_nobody(calls: list[object], loads: WorkLoads) -> None:
    stopping: Any = worker_that_answers(2, 0)
    stopping._accepting = False
    stopping.set_accept_enabled(False)
    stopping.finish_request(None, outcome())
    assert loads.least() is None


def test_a_child_writes_what_its_master_reads() -> None:
    loads = WorkLoads()
    if (child := os.fork()) == 0:
        loads.write(3, Load(7, 9))
        os._exit(0)
    os.waitpid(child, 0)
    assert loads.least() == Load(7, 9)


def test_the_least_busy_is_found_among_all() -> None:
    loads = WorkLoads()
    for place, load in enumerate([Load(2, 2), Load(0, 5), Load(1, 1), Load(0, 4)]):
        loads.write(place, load)
    assert loads.least() == Load(0, 4)


def test_more_workers_than_places_and_more_requests_than_it_can_write_do_no_harm() -> None:
    loads = WorkLoads()
    loads.write(10_000, Load(1, 1))
    assert loads.least() is None
    loads.write(0, Load(100_000, 100_000))
    assert loads.least() == Load(65_534, 65_534)
