"""A worker that is answering lets an idle one take a new connection first."""

import socket
from types import SimpleNamespace

import pytest
from gunicorn.workers.gthread import ThreadWorker

from online.worker import HEAD_START_S, ThreadedWorker


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What happens, in its order."""
    noted: list[object] = []
    monkeypatch.setattr("online.worker.time.sleep", noted.append)
    monkeypatch.setattr(ThreadWorker, "accept", lambda self, listener: noted.append("accepted"))
    monkeypatch.setattr(ThreadWorker, "enqueue_req", lambda self, conn: None)
    monkeypatch.setattr(ThreadWorker, "finish_request", lambda self, conn, fs: None)
    return noted


def worker_that_answers(requests: int) -> ThreadedWorker:
    busy = ThreadedWorker.__new__(ThreadedWorker)
    busy.cfg = SimpleNamespace(threads=4)
    for _ in range(requests):
        busy.enqueue_req(None)
    return busy


@pytest.mark.parametrize(("requests", "waits"), [(0, []), (1, [HEAD_START_S]), (9, [4 * HEAD_START_S])])
def test_the_more_it_answers_the_longer_it_leaves_a_connection_to_others(
    calls: list[object], requests: int, waits: list[float]
) -> None:
    worker_that_answers(requests).accept(socket.socket())
    assert calls == [*waits, "accepted"]


def test_it_is_idle_again_once_all_is_answered(calls: list[object]) -> None:
    idle = worker_that_answers(1)
    idle.finish_request(None, None)
    idle.accept(socket.socket())
    assert calls == ["accepted"]
