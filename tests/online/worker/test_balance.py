"""Workers that share a host's requests evenly: who takes a new connection first, and who lets a kept one go."""

import socket
from typing import Any

import pytest

from online.worker import HEAD_START_S, Load, WorkLoads
from tests.online.worker.doubles import Asked, Connection, Corked, answer, outcome, worker_that_answers


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
