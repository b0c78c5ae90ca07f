"""A lake of any size as a night leaves it, with ready-made vectors: no photo is fetched or embedded to fill it.

    python -m bench.synthetic_lake HOME --products 100000

Products come through ingest_catalog, as from a shop's export; the tables of links, photos and vectors are written as Delta
tables directly. Vectors lie around 1,000 centres. A product's photo is a file, which is there only for the products that
the bench changes later: the others are never looked at. Everything follows from product numbers.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from demo.nightly import Nightly, run_nightly
from retrieval.encoders.bundles import upload_bundle
from retrieval.store.objects import FolderStore
from schemas.intervals import DataInterval
from schemas.manifest import thumbnail_key
from schemas.receipts import Receipt, receipt_key
from schemas.tables import IMAGE_FETCHES, IMAGES, Table, embeddings

FIRST_NIGHT = DataInterval(datetime(2026, 1, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, 2, tzinfo=UTC))
CENTRES = 1_000
SIDE_PX = 160
CATEGORIES = 40
_BLOCK = 10_000

MAPPING = """
[source]
format = "parquet"
path = "catalog.parquet"
[columns]
product_id = "product_id"
title = "title"
brand = "brand"
category = "category"
colour = "colour"
price = "price"
currency = "currency"
in_stock = "in_stock"
created_at = "created_at"
deleted = "deleted"
[images]
columns = ["image"]
"""


@dataclass(frozen=True)
class Edits:
    """What becomes of some products: `dearer`, `removed`, `new_photo` and `added`, by number."""

    dearer: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()
    new_photo: frozenset[int] = frozenset()
    added: frozenset[int] = frozenset()

    @property
    def all(self) -> frozenset[int]:
        return self.dearer | self.removed | self.new_photo | self.added

    def __or__(self, other: "Edits") -> "Edits":
        return Edits(
            self.dearer | other.dearer, self.removed | other.removed, self.new_photo | other.new_photo,
            self.added | other.added,
        )  # fmt: skip


def percent_of(products: int, which: int) -> Edits:
    """One percent of the products, the `which`-th: of ten, eight change in price, one is removed, one gets another photo;
    a tenth as many are new."""
    chosen = range(which, products, 100)
    return Edits(
        dearer=frozenset(number for number in chosen if number // 100 % 10 < 8),
        removed=frozenset(number for number in chosen if number // 100 % 10 == 8),
        new_photo=frozenset(number for number in chosen if number // 100 % 10 == 9),
        added=frozenset(range(products + which * len(chosen), products + which * len(chosen) + len(chosen) // 10)),
    )


@dataclass(frozen=True)
class SyntheticShop:
    """Where everything of one bench lies."""

    home: Path
    products: int

    @property
    def nightly(self) -> Nightly:
        return Nightly(
            lake=self.home / "lake", store=self.home / "store", catalog=str(self.home / "first"),
            mapping=self.home / "mapping.toml", model=str(self.home / "model"), allowed_roots=(self.home,),
        )  # fmt: skip

    def url(self, number: int, *, new_photo: bool = False) -> str:
        return (self.home / "photos" / f"{number}{'-new' if new_photo else ''}.jpg").as_uri()

    def write_catalog(self, name: str, numbers: Iterable[int], edits: Edits) -> Path:
        """A Parquet export of these products as they are after the edits; removed ones say so. Returns its folder."""
        folder = self.home / name
        folder.mkdir(parents=True)
        ordered = sorted(numbers)
        with pq.ParquetWriter(folder / "catalog.parquet", self._rows(ordered[:1], edits).schema) as sink:
            for start in range(0, len(ordered), _BLOCK):
                sink.write_table(self._rows(ordered[start : start + _BLOCK], edits))
        return folder

    def write_photos(self, edits: Edits) -> None:
        """The files that a fetch looks at: of products whose row changes, of other photos, and of new products."""
        (self.home / "photos").mkdir(exist_ok=True)
        for number in edits.all:
            self._draw(number)
            if number in edits.new_photo:
                self._draw(number, new_photo=True)

    def _rows(self, numbers: Sequence[int], edits: Edits) -> pa.Table:
        created = [1_767_000_000 - number % 700 * 86_400 for number in numbers]
        return pa.table({
            "product_id": [f"P{number:07d}" for number in numbers],
            "title": [f"Plain thing {number % 9973} of kind {number % CATEGORIES}" for number in numbers],
            "brand": [f"brand {number % 300}" for number in numbers],
            "category": [f"kind {number % CATEGORIES}" for number in numbers],
            "colour": [("red", "blue", "green", "black")[number % 4] for number in numbers],
            "price": [10.0 + number % 90 + (5.0 if number in edits.dearer else 0.0) for number in numbers],
            "currency": ["EUR"] * len(numbers),
            "in_stock": [number % 7 > 0 for number in numbers],
            "created_at": [datetime.fromtimestamp(seconds, UTC).isoformat() for seconds in created],
            "deleted": [number in edits.removed for number in numbers],
            "image": [self.url(number, new_photo=number in edits.new_photo) for number in numbers],
        })  # fmt: skip

    def _draw(self, number: int, *, new_photo: bool = False) -> None:
        name = f"{number}{'-new' if new_photo else ''}"
        pixels = np.random.default_rng([number, new_photo]).integers(0, 255, (SIDE_PX // 8, SIDE_PX // 8, 3), np.uint8)
        photo = Image.fromarray(pixels).resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST)
        photo.save(self.home / "photos" / f"{name}.jpg", quality=80)


def fill(shop: SyntheticShop, drawn: Edits) -> None:
    """Products through the real ingest; the other tables as fetching and embedding would have left them."""
    shop.home.mkdir(parents=True, exist_ok=True)
    (shop.home / "mapping.toml").write_text(MAPPING)
    shop.write_photos(drawn)
    shop.write_catalog("first", range(shop.products), Edits())
    run_nightly(shop.nightly, FIRST_NIGHT, jobs=("ingest_catalog",))
    from spark_jobs.lake.tables import Lake
    from spark_jobs.running.session import open_session

    store = FolderStore(shop.nightly.store)
    bundle = upload_bundle(store, shop.home / "model")
    lake = Lake(open_session("synthetic lake"), str(shop.nightly.lake))
    for table, rows_of in (
        (IMAGE_FETCHES, _fetches), (IMAGES, _images), (embeddings(bundle.model_id), _vectors(bundle.dimension)),
    ):  # fmt: skip
        _write(lake, table, shop, rows_of)
    versions = {table.path: lake.version(table) for table in (IMAGE_FETCHES, IMAGES, embeddings(bundle.model_id))}
    facts = {"model_id": bundle.model_id, "fingerprint": bundle.fingerprint}
    for job in ("fetch_images", "embed_images"):
        receipt = Receipt("catalog_nightly", job, "", FIRST_NIGHT.key, table_versions=versions, facts=facts)
        store.put(receipt_key("catalog_nightly", FIRST_NIGHT.key, job), receipt.to_json())
    lake.spark.stop()


def touch_thumbnails(shop: SyntheticShop, contents: Iterable[str]) -> None:
    """Tiles of the first night, by name only: their bytes play no part here."""
    made: set[Path] = set()
    for content in contents:
        path = shop.nightly.store / thumbnail_key(content)
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        path.touch()


def content_of(shop: SyntheticShop, number: int) -> str:
    """The SHA-256 of a product's photo where it is a file, else of its URL."""
    path = shop.home / "photos" / f"{number}.jpg"
    return hashlib.sha256(path.read_bytes() if path.exists() else shop.url(number).encode()).hexdigest()


Rows = Callable[[SyntheticShop, Sequence[int]], dict[str, pa.Array]]


def _write(lake, table: Table, shop: SyntheticShop, rows_of: Rows) -> None:  # type: ignore[no-untyped-def]
    lake.ensure(table)
    ddl = ", ".join(f"{column.name} {column.sql_type}" for column in table.columns)
    schema = lake.read(table).limit(0).toArrow().schema

    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            numbers = batch.column(0).to_pylist()
            given = rows_of(shop, numbers)
            columns = [
                given[field.name].cast(field.type) if field.name in given else pa.nulls(len(numbers), field.type)
                for field in schema
            ]
            yield pa.RecordBatch.from_arrays(columns, names=schema.names)

    numbers = lake.spark.range(0, shop.products, numPartitions=max(4, shop.products // 50_000))
    numbers.mapInArrow(make, ddl).write.format("delta").mode("append").save(lake.path(table))


def _fetches(shop: SyntheticShop, numbers: Sequence[int]) -> dict[str, pa.Array]:
    count = len(numbers)
    return {
        "url": pa.array([shop.url(number) for number in numbers]), "status": pa.array(["ok"] * count),
        "attempts": pa.array([1] * count, pa.int32()), "failures_in_a_row": pa.array([0] * count, pa.int32()),
        "content_sha256": pa.array([content_of(shop, number) for number in numbers]),
        "fetched_as_of": pa.array([FIRST_NIGHT.end] * count, pa.timestamp("us", tz="UTC")),
    }  # fmt: skip


def _images(shop: SyntheticShop, numbers: Sequence[int]) -> dict[str, pa.Array]:
    count = len(numbers)
    stored = _grey_photo()
    return {
        "content_sha256": pa.array([content_of(shop, number) for number in numbers]),
        "verdict": pa.array(["accepted"] * count), "source_format": pa.array(["JPEG"] * count),
        "source_bytes": pa.array([len(stored)] * count, pa.int64()),
        "width": pa.array([SIDE_PX] * count, pa.int32()), "height": pa.array([SIDE_PX] * count, pa.int32()),
        "phash": pa.array([_phash(number) for number in numbers], pa.int64()),
        "sharpness": pa.array([500.0] * count), "stored": pa.array([stored] * count, pa.binary()),
    }  # fmt: skip


def _vectors(dimension: int) -> Rows:
    def rows(shop: SyntheticShop, numbers: Sequence[int]) -> dict[str, pa.Array]:
        centres = np.random.default_rng(1).standard_normal((CENTRES, dimension)).astype(np.float32)
        near = np.random.default_rng(numbers[0]).standard_normal((len(numbers), dimension)).astype(np.float32)
        found: NDArray[np.float32] = centres[np.array(numbers) % CENTRES] + 0.7 * near
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return {
            "content_sha256": pa.array([content_of(shop, number) for number in numbers]),
            "runtime": pa.array(["synthetic"] * len(numbers)),
            "vector": pa.array(list(found), pa.list_(pa.float32())),
        }

    return rows


def _phash(number: int) -> int:
    return int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:8], "big", signed=True)


def _grey_photo() -> bytes:
    out = io.BytesIO()
    Image.new("L", (SIDE_PX, SIDE_PX), 128).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def later(hours: int, span: timedelta = timedelta(hours=1)) -> DataInterval:
    """The interval that ends so many hours after the first night."""
    end = FIRST_NIGHT.end + timedelta(hours=hours)
    return DataInterval(end - span, end)


@click.command(help=__doc__)
@click.argument("home", type=click.Path(path_type=Path))
@click.option("--products", default=100_000, show_default=True)
def main(home: Path, products: int) -> None:
    shop = SyntheticShop(home.absolute(), products)
    fill(shop, percent_of(products, 1) | percent_of(products, 2))
    touch_thumbnails(shop, (content_of(shop, number) for number in range(products)))


if __name__ == "__main__":
    main()
