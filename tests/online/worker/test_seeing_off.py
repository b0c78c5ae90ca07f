"""Clients that have had their last answer: waited for beside others, and not for ever."""

import selectors
import socket
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from online.worker import SEE_OFF_S, SEE_OFF_SILENCE_S, WorkLoads
from tests.online.worker.doubles import outcome, worker_that_answers


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
