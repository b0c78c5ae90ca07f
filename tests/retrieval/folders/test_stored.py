import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.search.segments import open_build
from retrieval.store.objects import FolderStore
from schemas.errors import BadData, Corrupt
from schemas.manifest import ITEMS_FILE, MANIFEST_FILE, VECTORS_FILE, build_key
from spark_jobs.index_build.assemble import assemble_build
from tests.spark_jobs.index_build.small_rows import small_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    vectors, items = small_rows(40)
    manifest = assemble_build(vectors, items, model_id="tests", fingerprint="f", out_folder=tmp_path / "made")
    return tmp_path / "made" / manifest.build_id


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


class RecordingStore(FolderStore):
    """A folder store that notes the order of its writes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.written: list[str] = []

    def upload(self, path: Path, key: str) -> None:
        super().upload(path, key)
        self.written.append(key.split("/")[-1])

    def put(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        etag = super().put(key, data, if_match=if_match, if_none_match=if_none_match)
        self.written.append(key.split("/")[-1])
        return etag


def test_what_is_sent_is_fetched_whole(folder: Path, store: FolderStore, tmp_path: Path) -> None:
    manifest = BUILD_FOLDERS.upload(store, folder)
    fetched = BUILD_FOLDERS.fetch(store, manifest.build_id, tmp_path / "cache")
    assert open_build(fetched).manifest == manifest
    assert [name for name, _ in BUILD_FOLDERS.verify(store, manifest.build_id)] == sorted(manifest.files)
    assert [build.manifest for build in BUILD_FOLDERS.list_all(store)] == [manifest]


def test_the_manifest_is_written_last(folder: Path, tmp_path: Path) -> None:
    store = RecordingStore(tmp_path / "store")
    BUILD_FOLDERS.upload(store, folder)
    assert store.written[-1] == MANIFEST_FILE
    assert len(store.written) == 5


def test_sending_a_build_again_changes_nothing_and_succeeds(folder: Path, tmp_path: Path) -> None:
    store = RecordingStore(tmp_path / "store")
    first = BUILD_FOLDERS.upload(store, folder)
    written = len(store.written)
    (folder / MANIFEST_FILE).write_bytes(replace(first, interval_end="20270101T000000Z").to_json())
    assert BUILD_FOLDERS.upload(store, folder) == first
    assert len(store.written) == written


def test_a_build_whose_file_went_missing_in_the_store_is_sent_again(folder: Path, store: FolderStore) -> None:
    manifest = BUILD_FOLDERS.upload(store, folder)
    store.delete(build_key(manifest.build_id, ITEMS_FILE))
    with pytest.raises(Corrupt, match=ITEMS_FILE):
        BUILD_FOLDERS.find(store, manifest.build_id)
    assert "is damaged" in str(BUILD_FOLDERS.list_all(store)[0].problem)
    BUILD_FOLDERS.upload(store, folder)
    assert BUILD_FOLDERS.find(store, manifest.build_id) == manifest


def test_a_damaged_folder_is_not_sent(folder: Path, store: FolderStore) -> None:
    (folder / VECTORS_FILE).write_bytes(b"x" * (folder / VECTORS_FILE).stat().st_size)
    with pytest.raises(Corrupt, match=VECTORS_FILE):
        BUILD_FOLDERS.upload(store, folder)
    assert list(store.keys("builds/")) == []


def test_an_unfinished_upload_is_no_build_and_says_so(folder: Path, store: FolderStore, tmp_path: Path) -> None:
    manifest = BUILD_FOLDERS.upload(store, folder)
    store.delete(build_key(manifest.build_id))
    assert BUILD_FOLDERS.find(store, manifest.build_id) is None
    assert BUILD_FOLDERS.list_all(store)[0].problem == "no manifest: its upload did not finish"
    with pytest.raises(BadData, match="there is no build"):
        BUILD_FOLDERS.fetch(store, manifest.build_id, tmp_path / "cache")


def test_a_build_damaged_in_the_store_never_reaches_the_cache(folder: Path, store: FolderStore, tmp_path: Path) -> None:
    manifest = BUILD_FOLDERS.upload(store, folder)
    key = build_key(manifest.build_id, VECTORS_FILE)
    data = bytearray(store.get(key).data)  # type: ignore[union-attr]
    data[7] ^= 4
    store.put(key, bytes(data))
    with pytest.raises(Corrupt, match=VECTORS_FILE):
        list(BUILD_FOLDERS.verify(store, manifest.build_id))
    with pytest.raises(Corrupt, match=VECTORS_FILE):
        BUILD_FOLDERS.fetch(store, manifest.build_id, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


def test_a_damaged_cache_is_fetched_again_and_leftovers_of_a_killed_download_go(
    folder: Path, store: FolderStore, tmp_path: Path
) -> None:
    manifest = BUILD_FOLDERS.upload(store, folder)
    cache = tmp_path / "cache"
    fetched = BUILD_FOLDERS.fetch(store, manifest.build_id, cache)
    (fetched / ITEMS_FILE).write_bytes(b"")
    leftover = cache / f".{manifest.build_id}.1.partial"
    shutil.copytree(fetched, leftover)
    assert open_build(BUILD_FOLDERS.fetch(store, manifest.build_id, cache)).manifest == manifest
    assert not leftover.exists()


def test_a_manifest_cannot_name_a_file_outside_its_folder(folder: Path, store: FolderStore, tmp_path: Path) -> None:
    manifest = BUILD_FOLDERS.upload(store, folder)
    files = {**manifest.files, "../../escaped": manifest.files["golden.json"]}
    store.put(build_key(manifest.build_id), replace(manifest, files=files).to_json())
    with pytest.raises(Corrupt, match="plain file names"):
        BUILD_FOLDERS.fetch(store, manifest.build_id, tmp_path / "cache")
    assert not (tmp_path / "escaped").exists()


@pytest.mark.full
def test_processes_that_share_a_cache_fetch_one_whole_copy(folder: Path, store: FolderStore, tmp_path: Path) -> None:
    manifest = BUILD_FOLDERS.upload(store, folder)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        fetched = pool.starmap(BUILD_FOLDERS.fetch, [(store, manifest.build_id, tmp_path / "cache")] * 3)
    assert len(set(fetched)) == 1
    assert open_build(fetched[0]).manifest == manifest
