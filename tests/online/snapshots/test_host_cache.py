"""Copies on the host's disk: made once, checked, the oldest removed."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from online.snapshots.catalog import Catalog
from online.snapshots.host_cache import LAST_GOOD_FILE, HostCache
from retrieval.search.segments import open_build
from retrieval.store.objects import FolderStore
from schemas.errors import Corrupt, StoreNotWritable
from schemas.manifest import ITEMS_FILE, VECTORS_FILE
from tests.online.tiny_shop import MODEL_ID, SHOP, point_at, put_build, put_delta


class CountingStore(FolderStore):
    downloads = 0

    def download(self, key: str, path: Path) -> bool:
        self.downloads += 1
        return super().download(key, path)


@pytest.fixture
def counting(store: FolderStore) -> CountingStore:
    return CountingStore(store.root)


def test_workers_of_one_host_download_a_build_once(counting: CountingStore, tmp_path: Path) -> None:
    for _ in range(3):
        cache = HostCache(counting, tmp_path / "cache", 2)
        with cache.locked():
            assert open_build(cache.build_folder("b1")).manifest.build_id == "b1"
    assert counting.downloads == 3  # index, vectors, items


def test_a_copy_that_changed_on_disk_is_fetched_again(counting: CountingStore, tmp_path: Path) -> None:
    cache = HostCache(counting, tmp_path / "cache", 2)
    with cache.locked():
        path = cache.build_folder("b1") / VECTORS_FILE
        sound = path.read_bytes()
        path.write_bytes(bytes(len(sound)))
        assert (cache.build_folder("b1") / VECTORS_FILE).read_bytes() == sound


def test_a_copy_that_lost_a_file_is_fetched_again(counting: CountingStore, tmp_path: Path) -> None:
    cache = HostCache(counting, tmp_path / "cache", 2)
    with cache.locked():
        (cache.build_folder("b1") / ITEMS_FILE).unlink()
        open_build(cache.build_folder("b1"))


def test_the_last_two_builds_stay_on_disk(store: FolderStore, tmp_path: Path) -> None:
    cache = HostCache(store, tmp_path / "cache", 2)
    with cache.locked():
        for build_id in ("b2", "b3"):
            put_build(store, tmp_path / "scratch", build_id=build_id, thumbnails=False)
        for build_id in ("b1", "b2", "b1", "b3"):
            cache.build_folder(build_id)
        cache.model_folder(MODEL_ID)
        assert cache.remove_old() == ["b2"]
    assert sorted(path.name for path in (tmp_path / "cache" / "builds").iterdir() if path.is_dir()) == ["b1", "b3"]


def test_deltas_stay_with_their_builds(store: FolderStore, tmp_path: Path) -> None:
    """Two of each build that stays; those of a removed one go with it."""
    cache = HostCache(store, tmp_path / "cache", 2)
    for build_id in ("b2", "b3"):
        put_build(store, tmp_path / "scratch", build_id=build_id, thumbnails=False)

    def put(build_id: str, *gone: int) -> str:
        return put_delta(
            store, tmp_path / "made", [SHOP[row] for row in range(6) if row not in gone], build_id
        ).delta_id

    old, of_b2, older, newer, newest = put("b1"), put("b2", 1), put("b3", 1), put("b3", 2), put("b3", 3)
    with cache.locked():
        for build_id, delta_id in (("b1", old), ("b2", of_b2), ("b3", older), ("b3", newer), ("b3", newest)):
            cache.build_folder(build_id)
            cache.delta_folder(delta_id)
        assert set(cache.remove_old()) == {"b1", old, older}
    kept = [path.name for path in (tmp_path / "cache" / "deltas").iterdir() if path.is_dir()]
    assert sorted(kept) == sorted([of_b2, newer, newest])


def test_what_killed_downloads_left_is_removed(store: FolderStore, tmp_path: Path) -> None:
    cache = HostCache(store, tmp_path / "cache", 2)
    builds = tmp_path / "cache" / "builds"
    with cache.locked():
        for name in (".b0.123.partial", "b9"):  # cut short; whole, but killed before it was sealed
            (builds / name).mkdir(parents=True)
            (builds / name / VECTORS_FILE).write_bytes(b"half")
        (builds / ".b9.lock").touch()
    with cache.locked():
        cache.build_folder("b1")
        cache.remove_old()
    assert sorted(path.name for path in builds.iterdir()) == [".b1.lock", "b1", "b1.verified"]


def test_a_disk_without_room_is_said_before_the_download(
    counting: CountingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = HostCache(counting, tmp_path / "cache", 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with cache.locked(), pytest.raises(StoreNotWritable, match=r"no room for builds/b1.* free 0\.0 MB more"):
        cache.build_folder("b1")
    assert counting.downloads == 0


def test_a_disk_that_is_full_keeps_nothing_from_being_served(store: FolderStore, tmp_path: Path) -> None:
    cache = HostCache(store, tmp_path / "cache", 2)
    (tmp_path / "cache" / f".{LAST_GOOD_FILE}.partial").mkdir(parents=True)  # cannot be written to
    with cache.locked():
        cache.remember(point_at(store, "b1", 1))
    assert cache.recall() is None


def test_an_open_build_answers_after_its_copy_was_removed(store: FolderStore, tmp_path: Path) -> None:
    cache = HostCache(store, tmp_path / "cache", 1)
    put_build(store, tmp_path / "scratch", build_id="b2", thumbnails=False)
    with cache.locked():
        segment = open_build(cache.build_folder("b1"))
        cache.build_folder("b2")
        assert cache.remove_old() == ["b1"]
    _, rows = segment.search(segment.vector_of(3)[np.newaxis], 1)
    assert rows[0, 0] == 3
    assert segment.items.column("product_id")[3].as_py() == SHOP[3].product_id


def test_an_id_that_would_leave_the_cache_is_refused(store: FolderStore, tmp_path: Path) -> None:
    cache = HostCache(store, tmp_path / "cache", 2)
    for name in ("../b1", "a/b", ".hidden", ""):
        with pytest.raises(Corrupt):
            cache.build_folder(name)


def test_a_cache_that_cannot_be_made_says_so(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = HostCache(store, tmp_path / "file" / "cache", 2)
    with pytest.raises(StoreNotWritable, match="cannot write to the cache"), cache.locked():
        pass


def test_products_without_a_group_are_groups_of_their_own(store: FolderStore, tmp_path: Path) -> None:
    cache = HostCache(store, tmp_path / "cache", 2)
    with cache.locked():
        catalog = Catalog.of(open_build(cache.build_folder("b1")).items)
    assert catalog.columns.group_count == 4
    assert catalog.columns.groups[0] == catalog.columns.groups[1] == catalog.columns.groups[2]
    rows = catalog.rows_of_products(["shirt-red", "hat-yellow", "gone"])
    assert {name: found.tolist() for name, found in rows.items()} == {"shirt-red": [0, 1], "hat-yellow": [4]}
