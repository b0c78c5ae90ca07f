"""Clean-up of real stores: what a survey finds, and what is left after it."""

import copy
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.publishing.sweep import Survey, remove, survey
from retrieval.search.segments import open_build
from retrieval.store.objects import FolderStore, ObjectStore
from retrieval.store.s3 import S3Store
from schemas.delta import delta_key
from schemas.errors import Corrupt, Misconfigured
from schemas.manifest import ITEMS_FILE, build_key, thumbnail_key
from schemas.pointer import POINTER_KEY, Pointer, Served
from schemas.receipts import Receipt, receipt_key
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.index_delta.assemble import assemble_delta
from tests.spark_jobs.index_build.small_rows import small_rows

NOW = datetime.now(UTC)
VECTORS, ITEMS = small_rows(20)
PHOTOS = ITEMS.column("image_id").to_pylist()
STRANGER = "f" * 64


class Shop:
    """Two builds, of the first ten rows and of the next six; a delta of the second that adds the last four."""

    def __init__(self, store: ObjectStore, scratch: Path) -> None:
        self.store = store
        self.old = self._build(scratch, slice(0, 10))
        self.live = self._build(scratch, slice(10, 16))
        base = open_build(scratch / self.live)
        made = assemble_delta(base, VECTORS[10:], ITEMS.slice(10), out_folder=scratch / "deltas")
        self.delta = DELTA_FOLDERS.upload(store, scratch / "deltas" / made.delta_id).delta_id
        for photo in [*PHOTOS, STRANGER]:
            store.put(thumbnail_key(photo), b"a tile")
        self.publish(Served(self.live, "m", self.delta))

    def _build(self, scratch: Path, rows: slice) -> str:
        items = ITEMS.slice(rows.start, rows.stop - rows.start)
        made = assemble_build(VECTORS[rows], items, model_id="m", fingerprint="f", out_folder=scratch)
        return BUILD_FOLDERS.upload(self.store, scratch / made.build_id).build_id

    def publish(self, live: Served, **more: Served) -> None:
        pointer = Pointer(1, "20260228T020000Z", {}, live, **more)  # type: ignore[arg-type]
        self.store.put(POINTER_KEY, pointer.to_json())


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    made = Shop(FolderStore(folder / "store"), folder / "scratch")
    age(made.store, "", 30)
    return made


@pytest.fixture
def shop(made_once: Shop, tmp_path: Path) -> Shop:
    """Everything in it is thirty days old."""
    assert isinstance(made_once.store, FolderStore)
    twin = copy.copy(made_once)
    shutil.copytree(made_once.store.root, tmp_path / "store")
    twin.store = FolderStore(tmp_path / "store")
    return twin


def age(store: ObjectStore, prefix: str, days: float) -> None:
    """Let the objects under a prefix of a folder store be so old."""
    assert isinstance(store, FolderStore)
    moment = (NOW - timedelta(days=days)).timestamp()
    for key in store.keys(prefix):
        os.utime(store.root / key, (moment, moment))


def described(found: Survey) -> list[str]:
    return [f"{removal.kind} {removal.name}" for removal in found.removals]


def tiles(store: ObjectStore) -> set[str]:
    return {key.rsplit("/", 1)[1].removesuffix(".jpg") for key in store.keys("images/")}


def test_an_unnamed_build_goes_with_the_tiles_that_only_it_names(shop: Shop) -> None:
    found = survey(shop.store, NOW)
    assert described(found) == [f"build {shop.old}"]
    assert found.counts() == {"build": 1, "thumbnail": 11}
    assert list(shop.store.keys(f"builds/{shop.old}/")), "a survey removes nothing"
    assert remove(shop.store, found) == {"build": 1, "thumbnail": 11}
    assert list(shop.store.keys(f"builds/{shop.old}/")) == []
    assert tiles(shop.store) == set(PHOTOS[10:]), "the live build's and its delta's"
    assert BUILD_FOLDERS.find(shop.store, shop.live) is not None


def test_a_second_clean_up_finds_nothing(shop: Shop) -> None:
    remove(shop.store, survey(shop.store, NOW))
    again = survey(shop.store, NOW)
    assert (described(again), again.thumbnails, again.bytes, again.notes) == ([], [], 0, [])


def test_a_young_build_keeps_its_tiles_and_its_model(shop: Shop) -> None:
    shop.store.put("models/m/bundle.json", b"{}")
    shop.store.put("models/other/bundle.json", b"{}")
    age(shop.store, "models/", 30)
    age(shop.store, f"builds/{shop.old}/", 6)
    shop.publish(Served(shop.live, "n", shop.delta))
    found = survey(shop.store, NOW)
    assert described(found) == ["model other"]
    assert [entry.key for entry in found.thumbnails] == [thumbnail_key(STRANGER)]


def test_the_base_of_a_young_delta_stays(shop: Shop) -> None:
    age(shop.store, f"deltas/{shop.delta}/", 1)
    shop.publish(Served(shop.old, "m"))
    assert described(survey(shop.store, NOW)) == []
    age(shop.store, f"deltas/{shop.delta}/", 8)
    assert described(survey(shop.store, NOW)) == [f"build {shop.live}", f"delta {shop.delta}"]


def test_a_build_that_a_young_receipt_names_is_about_to_be_published(shop: Shop) -> None:
    receipt = Receipt("nightly", "build_index", "", "20260301T020000Z", facts={"build_id": shop.old})
    key = receipt_key("nightly", "20260301T020000Z", "build_index")
    shop.store.put(key, receipt.to_json())
    assert described(survey(shop.store, NOW)) == []
    age(shop.store, key, 8)
    assert described(survey(shop.store, NOW)) == [f"build {shop.old}"]


def test_tiles_wait_while_an_upload_has_no_manifest(shop: Shop) -> None:
    shop.store.put(build_key("coming", ITEMS_FILE), b"half")
    found = survey(shop.store, NOW)
    assert (described(found), found.thumbnails) == ([f"build {shop.old}"], [])
    assert "no manifest yet" in found.notes[0]


def test_tiles_wait_while_a_build_that_stays_cannot_be_read(shop: Shop) -> None:
    key = delta_key(shop.delta, ITEMS_FILE)
    shop.store.put(key, b"x" * shop.store.size(key))  # type: ignore[operator]
    age(shop.store, "deltas/", 30)
    found = survey(shop.store, NOW)
    assert (described(found), found.thumbnails) == ([f"build {shop.old}"], [])
    assert f"{key} is damaged" in found.notes[0]


def test_what_current_names_by_the_time_of_removal_stays(shop: Shop) -> None:
    found = survey(shop.store, NOW)
    shop.publish(Served(shop.old, "m"))
    assert remove(shop.store, found)["build"] == 0
    assert BUILD_FOLDERS.find(shop.store, shop.old) is not None


def test_tiles_stay_when_a_build_was_made_since_the_survey(shop: Shop, tmp_path: Path) -> None:
    found = survey(shop.store, NOW)
    made = assemble_build(VECTORS[:12], ITEMS.slice(0, 12), model_id="m", fingerprint="f", out_folder=tmp_path / "new")
    BUILD_FOLDERS.upload(shop.store, tmp_path / "new" / made.build_id)
    assert remove(shop.store, found)["thumbnail"] == 0
    assert tiles(shop.store) == {*PHOTOS, STRANGER}


def test_without_current_builds_and_tiles_are_left_alone(shop: Shop) -> None:
    shop.store.delete(POINTER_KEY)
    found = survey(shop.store, NOW)
    assert found.counts() == {}
    assert "has no CURRENT" in found.notes[0]


def test_a_damaged_current_stops_everything(shop: Shop) -> None:
    shop.store.put(POINTER_KEY, b"{")
    with pytest.raises(Corrupt):
        survey(shop.store, NOW)


def test_a_moment_that_has_not_come_would_make_everything_old(shop: Shop) -> None:
    with pytest.raises(Misconfigured, match="has not come yet"):
        survey(shop.store, NOW + timedelta(days=8))


def test_what_dead_writers_left_goes(shop: Shop) -> None:
    assert isinstance(shop.store, FolderStore)
    left = shop.store.root / f"builds/{shop.live}/.vectors.f16.17.partial"
    left.write_bytes(b"ha")
    assert survey(shop.store, NOW).uploads == []
    os.utime(left, ((NOW - timedelta(days=8)).timestamp(),) * 2)
    assert remove(shop.store, survey(shop.store, NOW))["unfinished upload"] == 1
    assert not left.exists()


class LaterStore(S3Store):
    """A bucket seen ten days from now: nobody can age its objects."""

    def clock(self) -> datetime:
        return super().clock() + timedelta(days=10)


@pytest.mark.full
def test_a_bucket_is_cleaned_as_a_folder_is(s3_bucket: str, tmp_path: Path) -> None:
    shop = Shop(LaterStore(s3_bucket, "shop"), tmp_path)
    found = survey(shop.store, NOW + timedelta(days=9))
    assert found.counts() == {"build": 1, "thumbnail": 11}
    assert remove(shop.store, found) == {"build": 1, "thumbnail": 11}
    assert tiles(shop.store) == set(PHOTOS[10:])
    assert survey(shop.store, NOW + timedelta(days=9)).counts() == {}
