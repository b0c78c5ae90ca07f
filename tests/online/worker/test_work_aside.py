"""A worker that makes a snapshot: others answer meanwhile, and it is idle again afterwards."""

import socket
import sys

import pytest

from online.worker import HEAD_START_S, SWITCH_INTERVAL_S, WORK_ASIDE, Load, ThreadedWorker, WorkLoads, work_aside
from tests.online.worker.doubles import answer, worker_that_answers


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
