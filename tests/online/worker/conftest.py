"""Loads that only one test sees, and what its workers do."""

import pytest
from gunicorn.workers.gthread import ThreadWorker

from online.worker import WorkLoads


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
