"""Bodies as sockets see them, at a real gunicorn: what is too much is refused before it is sent."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from retrieval.store.objects import FolderStore
from tests.online.running import PATIENCE_S, Running, run_gunicorn, wait_until

pytestmark = pytest.mark.full

LIMIT_BYTES = 100_000


@pytest.fixture(scope="module")
def running(shop_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {"SHOPLENS_BODY_MAX_BYTES": str(LIMIT_BYTES)}
    with run_gunicorn(FolderStore(shop_template), tmp_path_factory.mktemp("bodies"), settings) as running:
        yield running


def connect(running: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2])), PATIENCE_S)


def talk(running: Running, *sent: bytes) -> bytes:
    """What is answered to these bytes; the sending side stays open, as that of a client that means to send more."""
    with connect(running) as connection:
        for part in sent:
            try:
                connection.sendall(part)
            except ConnectionError:  # it has answered and hung up: what it said may still be here
                break
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionError:
            pass
        return answer


def head(*headers: str, kind: str = "application/json") -> bytes:
    return "\r\n".join(["POST /search HTTP/1.1", "Host: x", f"Content-Type: {kind}", *headers, "", ""]).encode()


@pytest.mark.parametrize("length", [LIMIT_BYTES + 1, 50 << 30])
def test_a_body_that_is_announced_too_long_is_refused_before_it_comes(running: Running, length: int) -> None:
    answer = talk(running, head(f"Content-Length: {length}"))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"/problems/body-too-large" in answer


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_a_body_of_unknown_length_is_refused_once_it_is_over_the_limit(running: Running, kind: str) -> None:
    start = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n' if "multipart" in kind else b'{"text": "'
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (start, *[b"x" * 30_000] * 4)]
    answer = talk(running, head("Transfer-Encoding: chunked", kind=kind), *chunks)
    assert answer.startswith(b"HTTP/1.1 413"), answer


def test_a_body_of_unknown_length_within_the_limit_is_taken(running: Running) -> None:
    body = b'{"text": "red"}'
    answer = talk(running, head("Transfer-Encoding: chunked", "Connection: close") + b"f\r\n" + body + b"\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200"), answer


@pytest.mark.parametrize(
    "sent",
    [
        head("Content-Length: nonsense"),
        head("Content-Length: -1"),
        head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head("Transfer-Encoding: chunked") + b"zz\r\n",
        b"\x16\x03\x01\x02\x00" + bytes(100) + b"\r\n\r\n",
        b"POST /search HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    ],
    ids=["no number", "below 0", "two lengths", "no chunk", "TLS", "long header"],
)
def test_what_is_no_request_is_refused_and_the_worker_lives(running: Running, sent: bytes) -> None:
    workers = {worker.pid for worker in running.workers()}
    answer = talk(running, sent)
    assert answer == b"" or answer.split(b" ")[1].startswith((b"4", b"501"))
    if answer:
        top, _, body = answer.partition(b"\r\n\r\n")
        assert b"application/problem+json" in top
        assert json.loads(body)["status"] == int(answer.split(b" ")[1])
    assert running.search().status_code == 200
    assert {worker.pid for worker in running.workers()} == workers


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer secret-1\r\n\r\n",
        b"GET /search?user_id=secret-2 HTTP/9.9\r\n\r\n",
        head("Content-Length: 15") + b'{"text": "red"}' + b'{"text": "secret-3"}\r\n\r\n',
    ],
    ids=["no colon", "a query", "a body longer than it says"],
)
def test_what_is_no_request_is_told_apart_in_the_log_and_not_quoted(running: Running, sent: bytes) -> None:
    already = len(running.log.read_text())
    answer = talk(running, sent)
    assert b" 400 " in answer
    wait_until(
        lambda: "Invalid request from ip=127.0.0.1: Invalid" in running.log.read_text()[already:], "it is logged"
    )
    assert "secret" not in running.log.read_text()


def test_a_client_that_hangs_up_midway_has_asked_and_clicked_nothing(running: Running) -> None:
    body = b"request_id=1&position=0&product_id=shirt-red"
    with connect(running) as connection:
        connection.sendall(
            b"POST /click HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body[:-4])
        )
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")
    assert not any(b'"shirt"' in path.read_bytes() for path in running.spool.glob("*"))


def test_who_sends_all_of_a_body_that_is_too_long_can_read_why_it_was_refused(running: Running) -> None:
    """As a browser does: it reads no answer before its photo is sent."""
    for _ in range(5):
        with connect(running) as connection:
            connection.sendall(head(f"Content-Length: {16 << 20}") + bytes(16 << 20))
            assert connection.recv(65536).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(("length", "goes_on"), [(1_000, True), (LIMIT_BYTES, False)])
def test_a_connection_that_cannot_go_on_after_an_error_says_so(running: Running, length: int, goes_on: bool) -> None:
    """A client that was told nothing sends its next question on it, and is hung up on."""
    with requests.Session() as session:
        for _ in range(3):
            refused = session.post(f"{running.url}/search", data=b"x" * length, headers={"Content-Type": "text/plain"})
            assert refused.status_code == 415
            assert (refused.headers["Connection"] != "close") == goes_on
            assert session.post(f"{running.url}/search", json={"text": "red"}).status_code == 200


def test_after_a_wrong_chunk_the_connection_is_closed_with_a_word(running: Running) -> None:
    answer = talk(running, head("Transfer-Encoding: chunked") + b"zz\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"Connection: close" in answer
