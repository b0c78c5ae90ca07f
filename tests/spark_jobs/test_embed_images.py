"""embed_images as its DAG runs it: on a lake with products, links, a ledger and photos."""

import hashlib
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import DataFrame, SparkSession

from retrieval.encoders.bundles import upload_bundle
from retrieval.encoders.onnx import OnnxEncoder
from retrieval.photos.decoding import decode_photo, encode_stored
from retrieval.photos.preprocess import to_batch
from retrieval.store.objects import FolderStore
from schemas.bundle import BUNDLE_FILE, IMAGE_TOWER_FILE, TEXT_TOWER_FILE, WEIGHTS_FILE, Bundle
from schemas.receipts import Receipt, receipt_key
from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCT_IMAGES, PRODUCTS, Table, embeddings
from spark_jobs import embed_images
from spark_jobs.embed_images import partitions_for, pending_photos
from spark_jobs.lake.tables import Lake
from spark_jobs.running.earlier_run import SHOWN_SINCE
from tests.retrieval.encoders.tiny_model import tiny_bundle_folder

DAY = datetime(2026, 1, 31, 2, tzinfo=UTC)


def stored_photo(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    return encode_stored(Image.fromarray(pixels))


class PhotoLake:
    """Product p<n> shows photo <n>; tests say which of them are live, accepted and whole."""

    def __init__(self, lake: Lake, store: FolderStore) -> None:
        self.lake, self.store = lake, store

    def add(self, *numbers: int, deleted: bool = False, verdict: str = "accepted", stored: bytes | None = None) -> None:
        products, links, fetches, images = [], [], [], []
        for number in numbers:
            product_id, url, key = f"p{number}", f"http://shop/{number}", self.key(number)
            products.append({"product_id": product_id, "deleted": deleted})
            links.append({"product_id": product_id, "image_id": str(number), "url": url, "position": 0})
            fetches.append({"url": url, "status": "ok", "attempts": 1, "failures_in_a_row": 0,
                            "content_sha256": key, "fetched_as_of": DAY})  # fmt: skip
            images.append({"content_sha256": key, "verdict": verdict, "stored": stored or stored_photo(number)})
        self._append(PRODUCTS, products)
        self._append(PRODUCT_IMAGES, links)
        self._append(IMAGE_FETCHES, fetches)
        self._append(IMAGES, images)

    @staticmethod
    def key(number: int) -> str:
        return hashlib.sha256(str(number).encode()).hexdigest()

    def leave_receipts(self, interval_key: str) -> None:
        """Those of ingest and fetch, at the tables' present versions: nothing shows another photo since."""
        versions = {table.path: self.lake.version(table) for table in (PRODUCTS, PRODUCT_IMAGES, IMAGE_FETCHES, IMAGES)}
        facts = {"lake_id": self.lake.lake_id(), SHOWN_SINCE: versions[IMAGE_FETCHES.path]}
        for job in ("ingest_catalog", "fetch_images"):
            receipt = Receipt("tests", job, "", interval_key, table_versions=versions, facts=facts)
            self.store.put(receipt_key("tests", interval_key, job), receipt.to_json())

    def run(self, model: str, tmp_path: Path, *more: str) -> int:
        return embed_images.main([
            "--lake", self.lake.root, "--store", str(self.store.root), "--dag", "tests", "--model", model,
            "--cache", str(tmp_path / "cache"), "--interval-start", "2026-01-30T02:00:00+00:00",
            "--interval-end", DAY.isoformat(), *more,
        ])  # fmt: skip

    def receipt(self) -> Receipt:
        found = self.store.get(receipt_key("tests", "20260131T020000Z", "embed_images"))
        assert found is not None
        return Receipt.from_json(found.data)

    def vectors(self, model_id: str) -> dict[str, list[float]]:
        rows = self.lake.spark.read.format("delta").load(self.lake.path(embeddings(model_id))).collect()
        assert len({row["content_sha256"] for row in rows}) == len(rows)
        return {row["content_sha256"]: row["vector"] for row in rows}

    def _append(self, table: Table, rows: list[dict[str, Any]]) -> None:
        self.lake.ensure(table)
        ddl = ", ".join(f"{column.name} {column.sql_type}" for column in table.columns)
        values = [tuple(row.get(name) for name in table.column_names) for row in rows]
        frame = self.lake.spark.createDataFrame(values, ddl)
        frame.write.format("delta").mode("append").save(self.lake.path(table))


@pytest.fixture
def bundle_folder() -> Path:
    return tiny_bundle_folder()


@pytest.fixture
def photos(spark: SparkSession, tmp_path: Path) -> PhotoLake:
    return PhotoLake(Lake(spark, str(tmp_path / "lake")), FolderStore(tmp_path / "store"))


def read(folder: Path) -> Bundle:
    return Bundle.from_json((folder / "bundle.json").read_bytes())


@pytest.mark.full
def test_photos_are_embedded_once_as_the_encoder_alone_would_embed_them(
    photos: PhotoLake, bundle_folder: Path, tmp_path: Path
) -> None:
    bundle = read(bundle_folder)
    photos.add(1, 2, 3)
    assert photos.run(str(bundle_folder), tmp_path) == 0
    found = photos.vectors(bundle.model_id)
    expected = OnnxEncoder.load(bundle_folder).encode_pixels(
        to_batch([decode_photo(stored_photo(number)) for number in (1, 2, 3)], bundle.preprocessing)
    )
    np.testing.assert_allclose([found[photos.key(number)] for number in (1, 2, 3)], expected, atol=1e-5)
    receipt = photos.receipt()
    assert receipt.counts == {"embedded": 3, "skipped": 0}
    assert receipt.facts["model_id"] == bundle.model_id
    assert receipt.facts["runtime"].startswith("onnxruntime-")

    # The same again, by the id that the first run put into the store: no row, no commit.
    assert photos.run(bundle.model_id, tmp_path) == 0
    again = photos.receipt()
    assert again.counts == {"embedded": 0, "skipped": 0}
    assert again.table_versions == receipt.table_versions

    # One new photo: one new vector, the others untouched.
    photos.add(4)
    assert photos.run(bundle.model_id, tmp_path) == 0
    assert photos.receipt().counts == {"embedded": 1, "skipped": 0}
    assert photos.vectors(bundle.model_id) == found | {photos.key(4): photos.vectors(bundle.model_id)[photos.key(4)]}


@pytest.mark.full
def test_only_accepted_photos_of_live_products_are_embedded_and_a_bad_one_is_counted(
    photos: PhotoLake, bundle_folder: Path, tmp_path: Path
) -> None:
    photos.add(1)
    photos.add(2, deleted=True)
    photos.add(3, verdict="rejected")
    photos.add(4, stored=stored_photo(4)[:200])
    assert photos.run(str(bundle_folder), tmp_path) == 0
    assert set(photos.vectors(read(bundle_folder).model_id)) == {photos.key(1)}
    assert photos.receipt().counts == {"embedded": 1, "skipped": 1}


@pytest.mark.full
def test_a_run_reads_the_versions_that_its_earlier_jobs_left(
    photos: PhotoLake, bundle_folder: Path, tmp_path: Path
) -> None:
    photos.add(1)
    versions = {table.path: photos.lake.version(table) for table in (PRODUCTS, PRODUCT_IMAGES, IMAGE_FETCHES, IMAGES)}
    for job in ("ingest_catalog", "fetch_images"):
        receipt = Receipt("tests", job, "", "20260131T020000Z", table_versions=versions)
        photos.store.put(receipt_key("tests", "20260131T020000Z", job), receipt.to_json())
    photos.add(2)
    assert photos.run(str(bundle_folder), tmp_path) == 0
    assert set(photos.vectors(read(bundle_folder).model_id)) == {photos.key(1)}


NIGHT_AFTER = (
    "--interval-start", DAY.isoformat(), "--interval-end", (DAY + timedelta(days=1)).isoformat(),
)  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize(("between", "looks"), [("nothing", 1), ("vectors", 2), ("a photo", 2), ("a bad photo", 2)])
def test_photos_are_looked_for_where_anything_came_since_the_night_before_or_was_skipped_then(
    photos: PhotoLake, bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between: str, looks: int
) -> None:
    looked: list[object] = []

    def note(*tables: Any) -> DataFrame:
        looked.append(tables)
        return pending_photos(*tables)

    monkeypatch.setattr(embed_images, "pending_photos", note)
    photos.add(1)
    if between == "a bad photo":
        photos.add(2, stored=stored_photo(2)[:200])
    photos.leave_receipts("20260131T020000Z")
    assert photos.run(str(bundle_folder), tmp_path) == 0
    table = embeddings(read(bundle_folder).model_id)
    if between == "vectors":
        photos.lake.to_write(table).delete()
    if between == "a photo":
        photos.add(3)
    photos.leave_receipts("20260201T020000Z")
    assert photos.run(str(bundle_folder), tmp_path, *NIGHT_AFTER) == 0
    assert len(looked) == looks
    expected = {photos.key(1), photos.key(3)} if between == "a photo" else {photos.key(1)}
    assert set(photos.vectors(table.path.removeprefix("embeddings/"))) == expected
    second = Receipt.from_json(photos.store.get(receipt_key("tests", "20260201T020000Z", "embed_images")).data)  # type: ignore[union-attr]
    assert second.table_versions == {table.path: photos.lake.version(table)}


@pytest.mark.full
def test_a_model_that_no_worker_can_load_is_one_line_and_exit_78(
    photos: PhotoLake, bundle_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    photos.add(1)
    assert photos.run(str(bundle_folder), tmp_path, "--runtime", "onnx-int8") == 78
    lines = capfd.readouterr().err.splitlines()
    assert any(line.startswith("embed_images: ") and "int8" in line for line in lines)
    assert photos.vectors(read(bundle_folder).model_id) == {}


@pytest.mark.full
def test_a_model_that_is_found_damaged_by_a_worker_is_one_line_and_leaves_no_vector_and_no_receipt(
    photos: PhotoLake, bundle_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    photos.add(1)
    model_id = upload_bundle(photos.store, bundle_folder).model_id
    flip_a_bit(tmp_path / "store" / "models" / model_id / IMAGE_TOWER_FILE)
    assert photos.run(model_id, tmp_path) == 78
    line = only_line(capfd)
    assert "image.onnx is damaged: expected SHA-256" in line
    assert f"models/{model_id}/ and upload it again with `shoplens model export --store" in line
    assert photos.vectors(model_id) == {}
    assert photos.store.get(receipt_key("tests", "20260131T020000Z", "embed_images")) is None
    assert [path.name for path in (tmp_path / "cache" / model_id).glob("*.onnx")] == []


def run_without_spark(model: str, tmp_path: Path) -> int:
    """The job as its user starts it, where it must end before it opens a session."""
    code = embed_images.main([
        "--lake", str(tmp_path / "lake"), "--store", str(tmp_path / "store"), "--model", model,
        "--interval-start", "2026-01-30T02:00:00+00:00", "--interval-end", DAY.isoformat(), "--cache", str(tmp_path),
    ])  # fmt: skip
    assert not (tmp_path / "lake").exists()
    return code


def only_line(capfd: pytest.CaptureFixture[str]) -> str:
    error = capfd.readouterr().err
    assert "Traceback" not in error
    (line,) = [line for line in error.splitlines() if line.startswith("embed_images:")]
    return line


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def written_by_a_later_release(path: Path) -> None:
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))


DAMAGES = [
    (Path.unlink, IMAGE_TOWER_FILE, "image.onnx is damaged: expected"),
    (cut_short, TEXT_TOWER_FILE, "text.onnx is damaged: expected"),
    (cut_short, BUNDLE_FILE, "bundle.json is damaged: expected a model bundle"),
    (written_by_a_later_release, BUNDLE_FILE, "has schema version 2, this release knows 1: upgrade ShopLens"),
]


@pytest.mark.parametrize(("damage", "name", "says"), [*DAMAGES, (flip_a_bit, WEIGHTS_FILE, "expected SHA-256")])
def test_a_folder_that_is_no_whole_model_is_one_line_and_nothing_of_it_is_uploaded(
    bundle_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    damage: Callable[[Path], None], name: str, says: str,
) -> None:  # fmt: skip
    folder = tmp_path / "model"
    shutil.copytree(bundle_folder, folder)
    damage(folder / name)
    assert run_without_spark(str(folder), tmp_path) == 78
    line = only_line(capfd)
    assert says in line
    assert "upgrade" in says or f"make it again with `shoplens model export --out {folder}`" in line
    assert not (tmp_path / "store" / "models").exists()


@pytest.mark.parametrize("by", ["id", "folder"])
@pytest.mark.parametrize(("damage", "name", "says"), DAMAGES)
def test_a_model_that_is_not_whole_in_the_store_is_one_line_before_spark_starts(
    bundle_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    damage: Callable[[Path], None], name: str, says: str, by: str,
) -> None:  # fmt: skip
    model_id = upload_bundle(FolderStore(tmp_path / "store"), bundle_folder).model_id
    damage(tmp_path / "store" / "models" / model_id / name)
    assert run_without_spark(model_id if by == "id" else str(bundle_folder), tmp_path) == 78
    line = only_line(capfd)
    assert says in line
    assert "upgrade" in says or f"models/{model_id}/ and upload it again" in line


@pytest.mark.parametrize("model", ["no-such-model", "no/such/folder"])
def test_a_model_that_is_nowhere_is_exit_78_before_spark_starts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], model: str
) -> None:
    assert run_without_spark(model, tmp_path) == 78
    assert "with `shoplens model export" in only_line(capfd)


@pytest.mark.parametrize(
    ("photos", "cores", "partitions"), [(1, 2, 2), (4096, 2, 2), (4097, 2, 4), (12_000, 2, 6), (10, 16, 16)]
)
def test_partitions_are_a_multiple_of_the_cores_with_some_2048_photos_each(
    photos: int, cores: int, partitions: int
) -> None:
    assert partitions_for(photos, cores) == partitions
