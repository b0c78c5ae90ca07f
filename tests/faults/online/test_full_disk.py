"""A disk without space for builds or events: searches go on, a line says so, and nobody has to help once there is space."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from online.app import create_app
from online.searcher import Searcher
from online.snapshots.watcher import Look
from tests.faults.online.changing_shop import ChangingShop, generation_of
from tests.faults.online.conftest import searcher_config
from tests.faults.small_disk import SmallDisk, mount_small_disk
from tests.online.running import Running, run_gunicorn, wait_until
from tests.online.tiny_shop import MeanColourEncoder

pytestmark = pytest.mark.full

DISK_BYTES = 400_000
LOST = "shoplens_events_lost_total"
REFUSED = 'shoplens_snapshot_load_failures_total{error="StoreNotWritable"}'


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with mount_small_disk(tmp_path / "disk", DISK_BYTES) as disk:
        yield disk


@pytest.fixture
def searcher(folder_shop: ChangingShop, disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Searcher:
    """Its cache lies on the small disk. Any look comes long after the one before."""
    config = replace(searcher_config(folder_shop.store.uri, tmp_path), cache_folder=disk.folder / "cache")
    searcher: Searcher = create_app(config, lambda folder: MeanColourEncoder(), watch=False).extensions["searcher"]
    monkeypatch.setattr(searcher.watcher, "_clock", count(step=10_000).__next__)
    assert searcher.watcher.look() is Look.SWAPPED
    return searcher


def test_however_little_space_is_left_a_build_goes_live_whole_or_waits_for_space(
    searcher: Searcher, folder_shop: ChangingShop, disk: SmallDisk
) -> None:
    looks = []
    for pages_left in range(9):
        generation = 2 + pages_left
        disk.fill(pages_left)
        folder_shop.publish(generation)
        looks.append(searcher.watcher.look())
        if looks[-1] is Look.REFUSED:
            assert searcher.snapshot().pointer.generation < generation
            assert f"the cache {disk.folder}/cache" in searcher.live.reason
            assert "; free " in searcher.live.reason
        disk.free()
        searcher.watcher.look()
        assert searcher.snapshot().pointer.generation == generation
        assert list((disk.folder / "cache" / "builds").glob("*.partial")) == []
    assert looks[0] is Look.REFUSED
    assert looks[-1] is Look.SWAPPED


def lines_of(running: Running, event: str) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in running.log.read_text().splitlines() if f'"{event}"' in line]
    return [line for line in lines if line["message"] == event]


def test_searches_go_on_while_neither_builds_nor_events_find_space(
    folder_shop: ChangingShop, disk: SmallDisk, tmp_path: Path
) -> None:
    settings = {"SHOPLENS_CACHE": str(disk.folder / "cache"), "SHOPLENS_SPOOL": str(disk.folder / "spool")}
    with run_gunicorn(folder_shop.store, tmp_path, settings) as running:
        disk.fill()
        folder_shop.publish(2)
        wait_until(lambda: running.figure(REFUSED) >= 2, "both workers refused it")
        answers = 0
        while not running.figure(LOST):
            assert generation_of(running.search("white").json()) == 1
            answers += 1
        assert {line["advice"] for line in lines_of(running, "event_lost")} == {"free space, or fix the folder"}
        assert all("; free " in line["detail"] for line in lines_of(running, "snapshot_refused"))

        disk.free()
        folder_shop.publish(3)  # does not wait for the next try of the second
        wait_until(lambda: running.figure("shoplens_generation") == 3, "the next build is live")
        lost = running.figure(LOST)
        for _ in range(10):
            assert generation_of(running.search("white").json()) == 3
            answers += 1
        assert running.figure(LOST) == lost
        assert running.stop() == 0
    events = [
        json.loads(line) for path in (disk.folder / "spool").glob("*.jsonl") for line in path.read_bytes().splitlines()
    ]
    assert len(events) == answers - lost
