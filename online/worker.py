"""gunicorn's threaded worker, except that one that stops lets go of its port at once.

gunicorn's own holds the port until its last request is answered, and the kernel goes on taking connections for it: they
would wait, and fail, for as long as that request runs. Here they are refused, or a worker that stays answers them.
"""

from gunicorn.workers.gthread import ThreadWorker


class ThreadedWorker(ThreadWorker):  # type: ignore[misc]
    """Answers what it has accepted, and accepts no more, once it was told to stop or its master is gone."""

    alive: bool

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()

    def is_parent_alive(self) -> bool:
        self.alive = self.alive and super().is_parent_alive()
        return self.alive
