"""The spool: whole lines, closed files, no user ids, and never a failed search."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from online.searcher import Searcher
from online.telemetry.events import EventSpool, hash_user
from schemas.events import ClickEvent

CLICK = ClickEvent("e", "r", "2026-01-02T00:00:00+00:00", None, "p", 0)


def spool_in(folder: Path, **options: Any) -> EventSpool:
    return EventSpool(folder, **{"file_max_bytes": 1 << 20, "file_max_age_s": 300.0, **options})


def closed_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]


def test_a_search_and_its_click_are_spooled(client: FlaskClient, searcher: Searcher) -> None:
    answer = client.post("/search", json={"text": "secret words", "k": 2, "user_id": "ann@example.com"}).get_json()
    click = {"request_id": answer["request_id"], "product_id": "shirt-red", "position": 0, "user_id": "ann@example.com"}
    assert client.post("/click", json=click).status_code == 204
    searcher.spool.close()
    impression, clicked = closed_lines(searcher.config.spool_folder)
    assert impression["product_ids"] == [result["product_id"] for result in answer["results"]]
    assert (impression["kind"], impression["generation"], impression["build_id"]) == ("impression", 1, "b1")
    assert impression["query"] == {"kind": "text", "parts": ["text"], "k": 2}
    assert (clicked["kind"], clicked["request_id"], clicked["action"]) == ("click", answer["request_id"], "click")
    assert impression["user_hash"] == clicked["user_hash"] == hash_user("ann@example.com", b"a key")


def test_neither_words_nor_user_ids_are_written_anywhere(
    client: FlaskClient, searcher: Searcher, capfd: pytest.CaptureFixture[str]
) -> None:
    client.post("/search", json={"text": "secret words", "user_id": "ann@example.com"})
    searcher.spool.close()
    spooled = b"".join(path.read_bytes() for path in searcher.config.spool_folder.iterdir())
    written = spooled.decode() + "".join(capfd.readouterr())
    assert spooled
    assert "secret" not in written
    assert "ann@example.com" not in written


def test_a_user_is_hashed_with_the_key_or_not_kept_at_all() -> None:
    assert hash_user("ann", b"one") != hash_user("ann", b"two")
    assert hash_user("ann", b"one") != hash_user("bob", b"one")
    assert hash_user("ann", None) is None
    assert hash_user(None, b"one") is None


@pytest.mark.parametrize(
    ("click", "field"),
    [
        ({"product_id": "p", "position": 0}, "request_id"),
        ({"request_id": "a b", "product_id": "p", "position": 0}, "request_id"),
        ({"request_id": "r", "product_id": "p", "position": -1}, "position"),
        ({"request_id": "r", "product_id": "p", "position": 0, "action": "stare"}, "action"),
        ({"request_id": "r", "product_id": "p", "position": 0, "price": 1}, "price"),
    ],
)
def test_a_wrong_click_names_its_field(client: FlaskClient, click: dict[str, object], field: str) -> None:
    answer = client.post("/click", json=click)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.get_json()["errors"]] == [field]


def test_a_file_is_readable_only_once_it_is_closed(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.append(CLICK)
    assert closed_lines(tmp_path) == []
    spool.close()
    assert len(closed_lines(tmp_path)) == 1
    assert list(tmp_path.glob("*.part")) == []


def test_a_full_file_is_closed_and_the_next_begun(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, file_max_bytes=500)
    for _ in range(20):
        assert spool.append(CLICK)
    spool.close()
    files = list(tmp_path.glob("*.jsonl"))
    assert len(files) > 1
    assert all(path.stat().st_size <= 500 for path in files)
    assert len(closed_lines(tmp_path)) == 20


def test_an_old_file_is_closed_though_nothing_more_happens(tmp_path: Path) -> None:
    now = [0.0]
    spool = spool_in(tmp_path, file_max_age_s=10.0, clock=lambda: now[0])
    spool.append(CLICK)
    spool.close_if_due()
    assert closed_lines(tmp_path) == []
    now[0] = 11.0
    spool.close_if_due()
    assert len(closed_lines(tmp_path)) == 1


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, file_max_bytes=4_000)
    threads = [threading.Thread(target=lambda: [spool.append(CLICK) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool.close()
    assert len(closed_lines(tmp_path)) == 400


def test_a_file_whose_writer_was_killed_is_closed_by_the_next(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from online.telemetry.events import EventSpool\n"
        "from schemas.events import ClickEvent\n"
        "spool = EventSpool(Path(sys.argv[1]), file_max_bytes=1 << 20, file_max_age_s=300.0)\n"
        "spool.append(ClickEvent('e', 'r', 't', None, 'p', 0)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert closed_lines(tmp_path) == []
    assert spool_in(tmp_path).close_orphans() == 1
    assert len(closed_lines(tmp_path)) == 1


def test_a_file_that_is_being_written_is_nobodys_orphan(tmp_path: Path) -> None:
    writing = spool_in(tmp_path)
    writing.append(CLICK)
    assert spool_in(tmp_path).close_orphans() == 0
    assert writing.append(CLICK)
    writing.close()
    assert len(closed_lines(tmp_path)) == 2


def test_a_folder_that_is_swept_away_is_made_again(tmp_path: Path) -> None:
    spool = spool_in(tmp_path / "spool")
    spool.append(CLICK)
    for path in (tmp_path / "spool").iterdir():
        path.unlink()
    os.rmdir(tmp_path / "spool")
    assert spool.append(CLICK)
    spool.close()
    assert len(closed_lines(tmp_path / "spool")) == 1


def test_a_search_answers_though_its_event_cannot_be_written(client: FlaskClient, searcher: Searcher) -> None:
    searcher.config.spool_folder.write_text("a file where the folder should be")
    assert client.post("/search", json={"text": "red"}).status_code == 200
    assert "shoplens_events_lost_total 1.0" in client.get("/metrics").text


def test_a_line_that_the_disk_cuts_short_is_taken_back(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: the kernel writes what fits."""
    lost: list[None] = []
    spool = spool_in(tmp_path, on_lost=lambda: lost.append(None))
    spool.append(CLICK)
    one_line = next(tmp_path.glob("*.part")).stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (one_line + 10, limits[1]))
        assert not spool.append(CLICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert len(lost) == 1
    assert spool.append(CLICK), "the disk has room again"
    spool.close()
    assert len(closed_lines(tmp_path)) == 2
