"""Workers that start while CURRENT cannot be had, or is still fetched: they serve what their host served, or wait."""

import errno
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from online.config import SearcherConfig
from online.searcher import Searcher, assemble_searcher
from online.snapshots.host_cache import HostCache
from online.snapshots.snapshot import Snapshot, SnapshotLoader
from online.snapshots.watcher import Look
from retrieval.store.objects import FolderStore, StoredObject
from schemas.manifest import INDEX_FILE, build_key
from schemas.pointer import POINTER_KEY
from tests.online.running import PATIENCE_S, wait_until
from tests.online.snapshots.publishing import CAR, damage
from tests.online.tiny_shop import SHOP, MeanColourEncoder, point_at, put_build, put_delta


def start_worker(config: SearcherConfig) -> Searcher:
    """Another worker of the same host."""
    searcher = assemble_searcher(config, lambda folder: MeanColourEncoder())
    searcher.watcher.look()
    return searcher


def test_a_worker_that_starts_while_current_is_bad_serves_what_the_host_served(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    damage(store, build_key("b2", INDEX_FILE))
    point_at(store, "b2", 2)
    late = start_worker(config)
    assert late.snapshot().pointer.generation == 1
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b3")
    point_at(store, "b3", 3)
    assert late.watcher.look() is Look.SWAPPED


def test_a_worker_that_starts_while_the_store_is_gone_serves_from_disk(
    config: SearcherConfig, searcher: Searcher, store: FolderStore
) -> None:
    away = store.root.rename(store.root.with_name("away"))
    store.root.write_text("no folder")
    late = start_worker(config)
    assert late.snapshot().pointer.generation == 1
    store.root.unlink()
    away.rename(store.root)
    assert late.watcher.look() is Look.SWAPPED


def test_a_worker_that_starts_while_the_store_is_gone_serves_the_delta_too(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    delta_id = put_delta(store, tmp_path, [*SHOP[3:], CAR]).delta_id
    point_at(store, "b1", 2, delta_id=delta_id)
    assert searcher.watcher.look() is Look.SWAPPED
    store.root.rename(store.root.with_name("away"))
    store.root.write_text("no folder")
    late = start_worker(config).snapshot()
    assert (late.pointer.generation, late.pointer.live.delta_id, late.products) == (2, delta_id, 4)


def test_a_worker_that_starts_while_the_disk_cannot_be_written_serves_what_is_on_it(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a disk that was mounted anew for reading only, after an error of its own: even the lock cannot be taken."""

    def refuse(lock: FileLock) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    late = start_worker(config)
    assert late.snapshot().pointer.generation == 1
    point_at(store, "b1", 2)
    assert late.watcher.look() is Look.REFUSED
    assert late.snapshot().pointer.generation == 1
    monkeypatch.undo()
    point_at(store, "b1", 3)
    assert late.watcher.look() is Look.SWAPPED


def test_a_worker_that_starts_while_another_one_fetches_serves_what_the_host_served(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    point_at(store, "b2", 2)
    late = assemble_searcher(config, lambda folder: MeanColourEncoder(), others_answer=lambda: True)
    with HostCache(store, config.cache_folder, 2).locked():  # as long as a download takes
        late.watcher.start(first_look_wait_s=PATIENCE_S)
        assert late.snapshot().pointer.generation == 1
    wait_until(lambda: late.snapshot().pointer.generation == 2, "what CURRENT names is served")
    late.watcher.stop()


def test_a_host_that_starts_as_a_whole_shows_nothing_before_what_current_names(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other hosts may serve it already: what was deleted must not appear again."""
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    point_at(store, "b2", 2)
    late = assemble_searcher(config, lambda folder: MeanColourEncoder())
    served_while_it_loads, load = [], SnapshotLoader.load

    def load_and_look(self: SnapshotLoader, *arguments: Any) -> Snapshot:
        served_while_it_loads.append(late.live.current)
        return load(self, *arguments)

    monkeypatch.setattr(SnapshotLoader, "load", load_and_look)
    late.watcher.look()
    assert served_while_it_loads == [None]
    assert late.snapshot().pointer.generation == 2


def test_a_worker_that_starts_while_the_store_keeps_it_waiting_serves_from_disk(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where packets are lost nothing is refused, and each request takes minutes to fail."""
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    point_at(store, "b2", 2)
    answers, get = threading.Event(), FolderStore.get

    def get_late(self: FolderStore, key: str) -> StoredObject | None:
        assert answers.wait(PATIENCE_S)
        return get(self, key)

    monkeypatch.setattr(FolderStore, "get", get_late)
    monkeypatch.setattr("online.snapshots.watcher.SILENCE_S", 0.05)
    late = assemble_searcher(config, lambda folder: MeanColourEncoder())
    late.watcher.start(first_look_wait_s=PATIENCE_S)
    assert late.snapshot().pointer.generation == 1
    answers.set()
    wait_until(lambda: late.snapshot().pointer.generation == 2, "what CURRENT names is served")
    late.watcher.stop()


def test_a_host_that_was_off_for_longer_fetches_first(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    """What it served then may show products that are deleted everywhere else."""
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b3")
    coming = point_at(store, "b3", 3)
    loader = SnapshotLoader(HostCache(store, config.cache_folder, 2), lambda folder: MeanColourEncoder())
    assert loader.load_meanwhile(coming) is None
    assert loader.load_meanwhile(replace(coming, generation=2)) is not None


def test_what_was_served_from_another_store_is_not_taken(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    other = FolderStore(tmp_path / "other")
    other.put(POINTER_KEY, b"nonsense")
    assert start_worker(replace(config, store_uri=other.uri)).live.current is None
