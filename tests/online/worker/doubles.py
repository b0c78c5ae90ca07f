"""A worker that answers nobody, and what it is given: enough of gunicorn for what a worker decides by itself."""

import socket
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from online.worker import ThreadedWorker


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
