"""Stopping and reloading under way: who is being answered is answered, and every line said is JSON."""

import json
import signal
import socket
import threading
from pathlib import Path

import pytest
import requests

from online.access.keys import KEYS_FILE, Scope, create_key
from retrieval.store.objects import FolderStore
from tests.online.query.test_hostile_photos import png_that_claims
from tests.online.running import PATIENCE_S, Running, run_gunicorn, wait_until

pytestmark = pytest.mark.full

BODY = b'{"text": "red", "k": 1}'
HEAD = b"POST /search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)


def connect(running: Running) -> socket.socket:
    port = int(running.url.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def accepted(running: Running) -> int:
    """Connections that workers hold."""
    return sum(each.status == "ESTABLISHED" for worker in running.workers() for each in worker.net_connections())


def test_a_body_that_was_on_its_way_is_answered_after_sigterm(store: FolderStore, tmp_path: Path) -> None:
    with run_gunicorn(store, tmp_path) as running, connect(running) as connection:
        connection.sendall(HEAD + BODY[:7])
        wait_until(lambda: accepted(running) > 0, "a worker took the connection")
        running.master.send_signal(signal.SIGTERM)
        wait_until(lambda: "Worker exiting" in running.log.read_text(), "the worker without a request is gone")
        connection.sendall(BODY[7:])
        answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"shirt-red" in answer
        assert running.master.wait(PATIENCE_S) == 0


def refuses(running: Running) -> bool:
    try:
        connect(running).close()
    except ConnectionRefusedError:
        return True
    return False


def test_nobody_waits_at_the_door_of_a_searcher_that_stops(store: FolderStore, tmp_path: Path) -> None:
    """Refused while an earlier request still runs: a caller tries the next host at once."""
    with run_gunicorn(store, tmp_path) as running, connect(running) as connection:
        connection.sendall(HEAD + BODY[:7])
        wait_until(lambda: accepted(running) > 0, "a worker took the connection")
        running.master.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(running), "new connections are refused")
        assert running.master.poll() is None
        connection.sendall(BODY[7:])
        assert read_all(connection).startswith(b"HTTP/1.1 200")
        assert running.master.wait(PATIENCE_S) == 0


def test_after_a_reload_new_workers_answer_while_an_old_one_finishes(store: FolderStore, tmp_path: Path) -> None:
    with run_gunicorn(store, tmp_path) as running, connect(running) as connection:
        connection.sendall(HEAD + BODY[:7])
        wait_until(lambda: accepted(running) > 0, "a worker took the connection")
        before = {worker.pid for worker in running.workers()}
        running.master.send_signal(signal.SIGHUP)
        wait_until(lambda: len(before & {worker.pid for worker in running.workers()}) == 1, "one old worker is left")
        assert {running.search().status_code for _ in range(20)} == {200}
        connection.sendall(BODY[7:])
        assert read_all(connection).startswith(b"HTTP/1.1 200")
        wait_until(lambda: not before & {worker.pid for worker in running.workers()}, "the old worker is gone")


def test_a_withdrawn_key_is_refused_after_a_reload_that_fails_no_request(store: FolderStore, tmp_path: Path) -> None:
    (kept, stored_kept), (withdrawn, stored_withdrawn) = (create_key([Scope.SEARCH, Scope.ADMIN]) for _ in range(2))
    keys = tmp_path / "keys"
    keys.write_text(f"{stored_kept.line}\n{stored_withdrawn.line}\n")
    headers = {"Authorization": f"Bearer {kept}"}
    with run_gunicorn(store, tmp_path, {KEYS_FILE: str(keys)}, headers=headers) as running:

        def status_with_withdrawn() -> int:
            asked = {"Authorization": f"Bearer {withdrawn}"}
            return requests.post(f"{running.url}/search", json={"text": "red"}, headers=asked, timeout=90).status_code

        assert status_with_withdrawn() == 200
        before = {worker.pid for worker in running.workers()}
        statuses: set[int] = set()
        stopping = threading.Event()

        def shop() -> None:
            while not stopping.is_set():
                statuses.add(running.search().status_code)

        shopper = threading.Thread(target=shop)
        shopper.start()
        keys.write_text(f"{stored_kept.line}\n")
        running.master.send_signal(signal.SIGHUP)
        wait_until(lambda: not before & {worker.pid for worker in running.workers()}, "the old workers are gone")
        assert {status_with_withdrawn() for _ in range(6)} == {401}
        stopping.set()
        shopper.join()
        assert statuses == {200}


def test_a_keys_file_that_is_wrong_leaves_the_keys_of_before_and_the_searcher_up(
    store: FolderStore, tmp_path: Path
) -> None:
    """A worker that fails to start ends gunicorn's master: a slip in an editor was the end of the searcher."""
    (first, stored_first), (second, stored_second) = (create_key([Scope.SEARCH, Scope.ADMIN]) for _ in range(2))
    keys = tmp_path / "keys"
    keys.write_text(stored_first.line)
    headers = {"Authorization": f"Bearer {second}"}
    with run_gunicorn(store, tmp_path, {KEYS_FILE: str(keys)}, headers={"X-API-Key": first}) as running:

        def reload(text: str) -> None:
            before = {worker.pid for worker in running.workers()}
            keys.write_text(text)
            running.master.send_signal(signal.SIGHUP)
            wait_until(lambda: not before & {worker.pid for worker in running.workers()}, "the old workers are gone")

        def status_with_second() -> int:
            return requests.post(f"{running.url}/search", json={"text": "red"}, headers=headers, timeout=90).status_code

        reload("cut o")
        assert running.search().status_code == 200
        assert "what was read before holds" in running.log.read_text()
        running.headers = headers
        reload(stored_second.line)
        assert status_with_second() == 200
        reload("")
        running.workers()[0].kill()
        wait_until(lambda: len(running.workers()) == 2, "the killed worker is replaced")
        assert {status_with_second() for _ in range(6)} == {200}
        withdrawn = requests.post(f"{running.url}/search", json={}, headers={"X-API-Key": first}, timeout=PATIENCE_S)
        assert withdrawn.status_code == 401
        assert str(keys) in running.log.read_text()
        assert stored_second.digest.hex() not in running.log.read_text()


def test_every_line_is_json_from_the_first_to_the_last(store: FolderStore, tmp_path: Path) -> None:
    with run_gunicorn(store, tmp_path) as running:
        running.search()
        large = {"image": ("large.png", png_that_claims(10_000, 10_000))}  # Pillow warns of it
        assert requests.post(f"{running.url}/search", files=large, timeout=PATIENCE_S).status_code == 422
        with connect(running) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            read_all(connection)
        running.workers()[0].kill()
        wait_until(lambda: running.figure("shoplens_snapshot_swaps_total") == 3, "the killed worker is replaced")
        running.stop()
        lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    assert {"request", "snapshot_live"} <= {line["message"] for line in lines}
    assert any("DecompressionBombWarning" in line["message"] for line in lines)
    assert all({"message", "level", "timestamp"} <= set(line) for line in lines)


def test_readiness_outlives_the_store(store: FolderStore, tmp_path: Path) -> None:
    with run_gunicorn(store, tmp_path) as running:
        store.root.rename(store.root.with_name("away"))
        wait_until(lambda: "nothing_published" in running.log.read_text(), "the store is missed")
        assert requests.get(f"{running.url}/ready", timeout=PATIENCE_S).status_code == 200
        assert running.search().status_code == 200
