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
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.folders.evaluations import write_evaluation
from retrieval.publishing import pointer as publishing
from retrieval.publishing.pointer import Published, publish, publish_deltas, read_pointer, release, rollback
from retrieval.store.objects import FolderStore, ObjectStore, StoredObject, open_store
from retrieval.store.s3 import S3Store
from schemas.delta import DeltaEvaluation, DeltaManifest, delta_key
from schemas.errors import BadData, PointerMoved, PublishingHeld, StoreUnavailable
from schemas.manifest import Manifest, SearchParameters, build_key
from schemas.pointer import HISTORY_LENGTH, POINTER_KEY, Pointer, Served

DAYS = tuple(f"202601{day:02d}T020000Z" for day in range(1, 29))


def put_build(store: ObjectStore, build_id: str) -> Served:
    manifest = Manifest(
        build_id=build_id, model_id="m", model_fingerprint="f", dimension=2, rows=0, products=0, index_kind="exact",
        factory="SQfp16", photo_search=SearchParameters(), text_search=SearchParameters(), source_versions={},
        interval_end=DAYS[0], files={},
    )  # fmt: skip
    store.put(build_key(build_id), manifest.to_json())
    return Served(build_id, "m")


def publish_day(
    store: ObjectStore, build_id: str, day: int, version: int | None = None, by: str = "nightly"
) -> Published:
    versions = {"products": day if version is None else version}
    return publish(store, put_build(store, build_id), DAYS[day], versions, f"{by}/{day}/{build_id}")


def current(store: ObjectStore) -> Pointer:
    found = read_pointer(store)
    assert found is not None
    return found[0]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.full)])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    return S3Store(request.getfixturevalue("s3_bucket"), "shop")


def test_each_publish_is_a_generation_and_remembers_the_one_before(store: FolderStore) -> None:
    assert read_pointer(store) is None
    first = publish_day(store, "a", 0)
    second = publish_day(store, "b", 1)
    assert (first.pointer.generation, second.pointer.generation) == (1, 2)
    assert second.pointer.live == Served("b", "m")
    assert second.pointer.previous == Served("a", "m")
    assert [line.generation for line in second.pointer.history] == [2, 1]
    assert current(store) == second.pointer


def test_publishing_the_same_thing_again_moves_nothing(store: FolderStore) -> None:
    first = publish_day(store, "a", 0)
    again = publish_day(store, "a", 0)
    other_id = publish_day(store, "a", 0, by="somebody else")
    assert (again.moved, other_id.moved) == (False, False)
    assert (again.reason, other_id.reason) == ("this publish made generation 1 before", "nothing changed")
    assert current(store) == first.pointer


def test_the_same_build_for_a_later_interval_keeps_previous(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    publish_day(store, "b", 1)
    pointer = publish_day(store, "b", 2).pointer
    assert (pointer.generation, pointer.interval_end, pointer.previous) == (3, DAYS[2], Served("a", "m"))


def test_an_older_interval_or_older_tables_leave_current_alone(store: FolderStore) -> None:
    standing = publish_day(store, "new", 5).pointer
    older = publish_day(store, "old", 4)
    older_tables = publish_day(store, "old", 6, version=3)
    assert (older.moved, older_tables.moved) == (False, False)
    assert "older than 20260106T020000Z" in str(older.reason)
    assert "products at version 3 is older than 5" in str(older_tables.reason)
    assert current(store) == standing
    anew = publish(store, Served("old", "m"), DAYS[6], {"products": 0}, "anew", new_lake=True)
    assert anew.moved


def test_a_build_that_is_not_in_the_store_cannot_go_live(store: FolderStore) -> None:
    with pytest.raises(BadData, match="no whole build ghost"):
        publish(store, Served("ghost", "m"), DAYS[0], {}, "x")
    assert read_pointer(store) is None


def put_delta(
    store: ObjectStore, build_id: str, delta_id: str, versions: dict[str, int], *, passed: bool = True
) -> str:
    manifest = DeltaManifest(
        delta_id=delta_id, base_build_id=build_id, model_id="m", model_fingerprint="f", dimension=2, base_rows=0,
        rows=0, tombstones=0, changed=0, index_kind="exact", source_versions=versions, interval_end=DAYS[0], files={},
    )  # fmt: skip
    store.put(delta_key(delta_id), manifest.to_json())
    write_evaluation(store, DeltaEvaluation(delta_id, build_id, passed, versions, DAYS[0]))
    return delta_id


def test_rollback_goes_to_the_previous_build_and_holds_until_release(store: FolderStore) -> None:
    publish_day(store, "a", 0, version=1)
    publish_day(store, "b", 1)
    pointer = rollback(store, by="ann", reason="odd results")
    assert (pointer.generation, pointer.live.build_id) == (3, "a")
    assert (pointer.interval_end, pointer.source_versions) == (DAYS[1], {"products": 1})
    assert pointer.previous == Served("b", "m")
    with pytest.raises(PublishingHeld, match=r"odd results, by ann.*shoplens index release"):
        publish_day(store, "c", 2)
    assert release(store).hold is None
    assert release(store).generation == 3
    assert publish_day(store, "c", 2).pointer.generation == 4


def test_rollback_goes_to_a_named_build_or_generation(store: FolderStore) -> None:
    for day, build_id in enumerate("abcd"):
        publish_day(store, build_id, day, version=1)
    assert rollback(store, "b", by="ann").live.build_id == "b"
    assert rollback(store, "3", by="ann").live.build_id == "c"
    assert rollback(store, 1, by="ann").live.build_id == "a"
    with pytest.raises(BadData, match="no build or generation zzz"):
        rollback(store, "zzz", by="ann")
    store.delete(build_key("d"))
    with pytest.raises(BadData, match="no whole build d"):
        rollback(store, "d", by="ann")


def test_rollback_takes_the_newest_delta_so_that_deleted_products_stay_deleted(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    publish_day(store, "b", 1)
    with pytest.raises(BadData, match=r"what was deleted since: run `python -m spark_jobs.build_delta --base a"):
        rollback(store, by="ann")
    put_delta(store, "a", "too-old", {"products": 0})
    put_delta(store, "a", "failed", {"products": 2}, passed=False)
    with pytest.raises(BadData, match="build_delta"):
        rollback(store, by="ann")
    put_delta(store, "a", "a1", {"products": 1, "embeddings/m": 4})
    assert rollback(store, by="ann").live == Served("a", "m", "a1")


def test_what_was_live_becomes_previous_with_the_delta_that_the_publish_brings(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    put_delta(store, "a", "a1", {"products": 1})
    served = put_build(store, "b")
    pointer = publish(store, served, DAYS[1], {"products": 1}, "night 1", deltas={"a": "a1"}).pointer
    assert (pointer.live, pointer.previous) == (served, Served("a", "m", "a1"))
    assert rollback(store, by="ann").live == Served("a", "m", "a1")
    with pytest.raises(BadData, match="no whole delta ghost of build a"):
        publish(store, served, DAYS[2], {"products": 2}, "night 2", deltas={"a": "ghost"})


@pytest.fixture
def two_bases(store: FolderStore) -> FolderStore:
    """b is live, a previous; each has a delta at version 2 in the store."""
    publish_day(store, "a", 0)
    publish_day(store, "b", 1)
    for build_id in "ab":
        put_delta(store, build_id, f"{build_id}2", {"products": 2})
    return store


def test_an_hour_lays_a_delta_over_every_base_and_moves_none(two_bases: FolderStore) -> None:
    before = current(two_bases)
    done = publish_deltas(two_bases, {"a": "a2", "b": "b2"}, "20260102T030000Z", {"products": 2}, "hour 3")
    pointer = current(two_bases)
    assert (done.moved, done.pointer) == (True, pointer)
    assert (pointer.live, pointer.previous) == (Served("b", "m", "b2"), Served("a", "m", "a2"))
    assert (pointer.generation, pointer.interval_end) == (before.generation + 1, "20260102T030000Z")
    assert (pointer.source_versions, pointer.history[0].live) == ({"products": 2}, pointer.live)
    again = publish_deltas(two_bases, {"a": "a2", "b": "b2"}, "20260102T030000Z", {"products": 2}, "hour 3")
    assert (again.moved, again.reason) == (False, "this publish made generation 3 before")
    other = publish_deltas(two_bases, {"a": "a2", "b": "b2"}, "20260102T030000Z", {"products": 2}, "other")
    assert (other.moved, other.reason) == (False, "nothing changed")


def test_an_older_hour_keeps_the_newer_interval_and_older_tables_are_not_published(two_bases: FolderStore) -> None:
    late = publish_deltas(two_bases, {"a": "a2", "b": "b2"}, DAYS[0], {"products": 2}, "late, with more in it")
    assert (late.moved, late.pointer.interval_end) == (True, DAYS[1])
    older = publish_deltas(two_bases, {"a": None, "b": None}, DAYS[5], {"products": 1}, "older tables")
    assert (older.moved, older.reason) == (
        False, "products at version 1 is older than 2, which CURRENT covers",
    )  # fmt: skip
    assert current(two_bases) == late.pointer


def test_a_base_published_meanwhile_makes_the_hour_try_again(two_bases: FolderStore) -> None:
    publish_day(two_bases, "c", 2, version=1)
    standing = current(two_bases)
    with pytest.raises(PointerMoved, match="names base c, published meanwhile: run build_delta again"):
        publish_deltas(two_bases, {"a": "a2", "b": "b2"}, DAYS[2], {"products": 2}, "hour")
    assert current(two_bases) == standing


def test_an_hour_obeys_a_hold_and_needs_a_first_publish_and_whole_deltas(two_bases: FolderStore) -> None:
    with pytest.raises(BadData, match="no whole delta b2 of build a"):
        publish_deltas(two_bases, {"a": "b2", "b": "b2"}, DAYS[2], {"products": 2}, "the wrong base's")
    publish_deltas(two_bases, {"a": "a2", "b": "b2"}, DAYS[1], {"products": 2}, "hour 1")
    rollback(two_bases, by="ann")
    assert current(two_bases).live == Served("a", "m", "a2")
    with pytest.raises(PublishingHeld):
        publish_deltas(two_bases, {"a": None, "b": None}, DAYS[3], {"products": 3}, "hour 2")
    release(two_bases)
    assert publish_deltas(two_bases, {"a": None, "b": None}, DAYS[3], {"products": 3}, "hour 2").moved
    with pytest.raises(BadData, match="nothing was published"):
        publish_deltas(FolderStore(two_bases.root / "empty"), {}, DAYS[0], {}, "x")


def test_there_is_nothing_to_roll_back_to_at_first(store: FolderStore) -> None:
    with pytest.raises(BadData, match="nothing was published"):
        rollback(store, by="ann")
    publish_day(store, "a", 0)
    with pytest.raises(BadData, match="no previous build"):
        rollback(store, by="ann")


def test_a_publisher_changes_only_its_own_section(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    fields = json.loads(store.get(POINTER_KEY).data)  # type: ignore[union-attr]
    fields |= {
        "candidate": {"build_id": "x", "model_id": "n", "delta_id": None},
        "traffic": {"live": 0.9, "candidate": 0.1},
    }
    store.put(POINTER_KEY, json.dumps(fields).encode())
    pointer = publish_day(store, "b", 1).pointer
    assert pointer.candidate == Served("x", "n")
    assert pointer.traffic == {"live": 0.9, "candidate": 0.1}


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
    monkeypatch.setattr(publishing, "_PAUSE_S", 0.0)
    publish_day(FolderStore(tmp_path), "z", 0)
    with pytest.raises(PointerMoved, match="run publish again"):
        publish_day(RivalStore(tmp_path), "a", 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 9)), max_size=25))
def test_whatever_is_published_in_whatever_order_current_only_goes_forward(
    tmp_path_factory: pytest.TempPathFactory, publishes: list[tuple[str, int, int]]
) -> None:
    store = FolderStore(tmp_path_factory.mktemp("store"))
    before: Pointer | None = None
    for build_id, day, version in publishes:
        outcome = publish_day(store, build_id, day, version)
        now = current(store)
        assert outcome.pointer == now
        if before:
            assert now.interval_end >= before.interval_end
            assert now.source_versions["products"] >= before.source_versions["products"]
            assert now.generation == before.generation + outcome.moved
        assert len(now.history) == min(now.generation, HISTORY_LENGTH)
        before = now


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
    from retrieval.publishing.pointer import publish
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
