"""Clients that fall silent in the middle of a request or of its answer: their thread is free again."""

import socket
from collections.abc import Iterator

import pytest

from online.client_socket import ClientSocket

SILENCE_S = 0.05


@pytest.fixture
def ends() -> Iterator[tuple[ClientSocket, socket.socket]]:
    """Ours, and the client's."""
    accepted, theirs = socket.socketpair()
    with ClientSocket.of(accepted, SILENCE_S) as ours, theirs:
        assert accepted.fileno() == -1
        yield ours, theirs


def test_what_comes_in_time_is_read(ends: tuple[ClientSocket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"half of a photo")
    assert ours.recv(100) == b"half of a photo"
    theirs.shutdown(socket.SHUT_WR)
    assert ours.recv(100) == b""


def test_a_client_that_says_no_more_is_as_one_that_is_gone(ends: tuple[ClientSocket, socket.socket]) -> None:
    """gunicorn closes its connection without a word in the log, and Werkzeug takes its body for cut off."""
    with pytest.raises(ConnectionResetError, match="the client fell silent"):
        ends[0].recv(100)


def test_so_is_one_that_reads_no_more_of_its_answer(ends: tuple[ClientSocket, socket.socket]) -> None:
    with pytest.raises(ConnectionResetError, match="the client fell silent"):
        ends[0].sendall(bytes(50 << 20))


def test_a_socket_that_does_not_block_says_that_nothing_is_there_yet(
    ends: tuple[ClientSocket, socket.socket],
) -> None:
    ends[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        ends[0].recv(100)


def test_a_time_of_its_own_is_kept_as_of_any_socket(ends: tuple[ClientSocket, socket.socket]) -> None:
    ends[0].settimeout(0.01)
    with pytest.raises(TimeoutError):
        ends[0].recv(100)
