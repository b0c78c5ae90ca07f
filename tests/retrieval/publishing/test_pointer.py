"""Swaps of CURRENT under trouble: lost answers, rivals, kills, readers."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from retrieval.publishing import pointer as pointer_module
from retrieval.publishing.publish import publish
from retrieval.store.objects import FolderStore, ObjectStore, StoredObject, open_store
from retrieval.store.s3 import S3Store
from schemas.errors import PointerMoved, StoreUnavailable
from schemas.pointer import POINTER_KEY, Served
from tests.retrieval.publishing.publishers import DAYS, current, publish_day, put_build


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.full)])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    return S3Store(request.getfixturevalue("s3_bucket"), "shop")


class LostAnswerStore(FolderStore):
    """Writes CURRENT, and then the answer is lost."""

    lose = 1

    def put(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        etag = super().put(key, data, if_match=if_match, if_none_match=if_none_match)
        if key == POINTER_KEY and self.lose:
            self.lose -= 1
            raise StoreUnavailable("no answer")
        return etag


class RivalStore(FolderStore):
    """Before every conditional write of CURRENT a rival moves it."""

    def put(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        if key == POINTER_KEY and (held := self.get(key)):
            fields = json.loads(held.data)
            super().put(key, json.dumps({**fields, "generation": fields["generation"] + 1}).encode())
        return super().put(key, data, if_match=if_match, if_none_match=if_none_match)


def test_a_publisher_whose_answer_was_lost_finds_that_it_won(tmp_path: Path) -> None:
    store = LostAnswerStore(tmp_path)
    outcome = publish_day(store, "a", 0)
    assert (outcome.moved, outcome.pointer.generation) == (True, 1)
    assert len(current(store).history) == 1


def test_a_publisher_that_loses_every_time_gives_up_and_says_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pointer_module, "_PAUSE_S", 0.0)
    publish_day(FolderStore(tmp_path), "z", 0)
    with pytest.raises(PointerMoved, match="run publish again"):
        publish_day(RivalStore(tmp_path), "a", 1)


def test_racing_threads_each_win_once_and_no_generation_is_lost(any_store: ObjectStore) -> None:
    publishers, rounds = 3, 100 if os.environ.get("SHOPLENS_SOAK") else 8
    moved: list[bool] = []

    def run(name: int) -> None:
        for number in range(rounds):
            served = put_build(any_store, f"{name}-{number}")
            while True:
                try:
                    moved.append(publish(any_store, served, DAYS[0], {"products": 0}, served.build_id).moved)
                    break
                except PointerMoved:
                    continue

    threads = [threading.Thread(target=run, args=(name,)) for name in range(publishers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pointer = current(any_store)
    assert moved == [True] * publishers * rounds
    assert pointer.generation == publishers * rounds
    newest_first = [line.generation for line in pointer.history]
    assert newest_first == list(range(pointer.generation, pointer.generation - len(newest_first), -1))
    assert len({line.publish_id for line in pointer.history}) == len(newest_first)


def publish_days(uri: str, name: str, days: list[int]) -> list[bool]:
    store = open_store(uri)
    return [publish(store, Served("a", "m"), DAYS[day], {"products": day}, f"{name}/{day}").moved for day in days]


@pytest.mark.full
def test_two_processes_that_race_over_the_same_days_publish_each_day_once(any_store: ObjectStore) -> None:
    put_build(any_store, "a")
    days = list(range(20))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        moved = pool.starmap(publish_days, [(any_store.uri, name, days) for name in ("x", "y")])
    pointer = current(any_store)
    assert pointer.interval_end == DAYS[19]
    assert pointer.generation == sum(moved[0]) + sum(moved[1])
    ends = [line.interval_end for line in reversed(pointer.history)]
    assert ends == sorted(ends)


KILLED_WRITER = """
    import os, signal, sys
    from pathlib import Path
    from retrieval.store import objects
    from retrieval.publishing.publish import publish
    from schemas.pointer import Served

    step = int(sys.argv[2])
    calls = 0

    def dies(real):
        def call(*arguments, **named):
            global calls
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)
        return call

    for name in ("replace", "fsync", "chmod", "fdopen"):
        setattr(objects.os, name, dies(getattr(os, name)))
    objects.tempfile.mkstemp = dies(objects.tempfile.mkstemp)
    publish(objects.FolderStore(Path(sys.argv[1])), Served("b", "m"), "20260102T020000Z", {"products": 1}, "second")
    print("published")
"""


@pytest.mark.full
def test_a_publisher_killed_at_any_step_leaves_the_old_pointer_or_the_new_one(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    put_build(store, "b")
    old = current(store)
    outcomes = []
    for step in range(1, 8):
        ended = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(KILLED_WRITER), str(store.root), str(step)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        now = current(store)
        assert now == old or (now.live.build_id, now.generation) == ("b", 2)
        outcomes.append((ended.returncode, now == old))
        if ended.returncode == 0:
            break
    assert outcomes[0] == (-signal.SIGKILL, True)
    assert outcomes[-1] == (0, False)
    again = publish(store, Served("b", "m"), DAYS[1], {"products": 1}, "second")
    assert (again.moved, current(store).generation) == (False, 2)


def test_a_reader_during_writes_sees_whole_pointers_only(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    stop = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(current(store).generation)

    reader = threading.Thread(target=read)
    reader.start()
    for day in range(1, 20):
        publish_day(store, "ab"[day % 2], day)
    stop.set()
    reader.join()
    assert seen == sorted(seen)
    assert isinstance(store.get(POINTER_KEY), StoredObject)
