"""gunicorn's threaded worker, except that one that stops lets go of its port at once, and a busy one lets others go first.

gunicorn's own holds the port until its last request is answered, and the kernel goes on taking connections for it: they
would wait, and fail, for as long as that request runs. Here they are refused, or a worker that stays answers them.

All workers wake for a new connection, and the first to answer has it for as long as it is kept: two clients in one
worker, whose searches wait for one interpreter, beside another worker that has nothing to do. A worker that is answering
takes a new connection a moment later, so that an idle one is there first.
"""

import socket
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

HEAD_START_S = 0.001
"""For each request that a worker is answering, up to as many as it has threads, it leaves others so long to take a new
connection."""


class ThreadedWorker(ThreadWorker):  # type: ignore[misc]
    """Answers what it has accepted, and accepts no more, once it was told to stop or its master is gone."""

    alive: bool
    answering = 0  # changed by the main thread alone

    def accept(self, listener: socket.socket) -> None:
        if self.answering:
            time.sleep(HEAD_START_S * min(self.answering, self.cfg.threads))
        super().accept(listener)

    def enqueue_req(self, conn: Any) -> None:
        self.answering += 1
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        self.answering -= 1
        super().finish_request(conn, fs)

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()

    def is_parent_alive(self) -> bool:
        self.alive = self.alive and super().is_parent_alive()
        return self.alive
