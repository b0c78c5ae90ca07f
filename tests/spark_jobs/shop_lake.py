"""The tables of an edited shop, written by their difference as the jobs write them, so that the change feeds mean something."""

import copy
import io
import shutil
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.publishing.pointer import read_pointer
from retrieval.publishing.publish import publish
from retrieval.search.deltas import open_delta
from retrieval.search.segments import Segment
from retrieval.search.view import View
from retrieval.store.objects import FolderStore
from schemas.pointer import Pointer, Served
from schemas.receipts import Receipt, receipt_key
from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCT_IMAGES, PRODUCTS, Table, embeddings
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.index_delta.bases import open_base
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.index_delta.edited_shop import CREATED, Shop, vector_of

DAG = "tests"
HOUR = datetime(2026, 1, 31, 3, tzinfo=UTC)
EMBEDDINGS = embeddings("m")
TABLES = (PRODUCTS, PRODUCT_IMAGES, IMAGE_FETCHES, IMAGES, EMBEDDINGS)


class ShopLake:
    """A lake and a store that hold a shop. `versions` are those after the last `write`."""

    def __init__(self, lake: Lake, store: FolderStore) -> None:
        self.lake, self.store = lake, store
        self._written: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}

    def copy(self, folder: Path) -> "ShopLake":
        """The same tables and store in another folder."""
        shutil.copytree(self.lake.root, folder / "lake")
        shutil.copytree(self.store.root, folder / "store")
        twin = ShopLake(Lake(self.lake.spark, str(folder / "lake")), FolderStore(folder / "store"))
        twin._written = copy.deepcopy(self._written)
        return twin

    @property
    def versions(self) -> dict[str, int]:
        return {table.path: self.lake.version(table) for table in TABLES}

    def write(self, shop: Shop) -> None:
        """Make the tables say what the shop is: a commit for each table that differs."""
        for table in TABLES:
            self._merge(table, _rows_of(table, shop))

    def build_base(self, shop: Shop, folder: Path, interval_end: str = "20260131T020000Z") -> str:
        """Build the shop at the present versions, without Spark, and send it. Returns its id."""
        vectors, items = shop.rows()
        made = assemble_build(
            vectors, items, model_id="m", fingerprint="f", out_folder=folder, source_versions=self.versions,
            interval_end=interval_end,
        )  # fmt: skip
        BUILD_FOLDERS.upload(self.store, folder / made.build_id)
        return made.build_id

    def publish_base(self, shop: Shop, folder: Path, interval_end: str = "20260131T020000Z") -> str:
        build_id = self.build_base(shop, folder, interval_end)
        publish(self.store, Served(build_id, "m"), interval_end, self.versions, build_id)
        return build_id

    def build_passed(self, build_id: str, night: datetime) -> None:
        """Leave the receipts of a night that built at the present versions and whose gate passed it."""
        for job in ("build_index", "evaluate_index"):
            facts = {"build_id": build_id, "model_id": "m", "passed": True, "lake_id": self.lake.lake_id()}
            receipt = Receipt(DAG, job, "", key_of(night), table_versions=self.versions, facts=facts)
            self.store.put(receipt_key(DAG, key_of(night), job), receipt.to_json())

    def write_receipts(self, hour: datetime = HOUR) -> None:
        for job in ("ingest_catalog", "fetch_images", "embed_images"):
            facts = {"model_id": "m", "fingerprint": "f", "newest": True, "lake_id": self.lake.lake_id()}
            receipt = Receipt(DAG, job, "", key_of(hour), table_versions=self.versions, facts=facts)
            self.store.put(receipt_key(DAG, key_of(hour), job), receipt.to_json())

    def arguments(self, hour: datetime = HOUR, *more: str) -> list[str]:
        return [
            "--lake", self.lake.root, "--store", str(self.store.root), "--dag", DAG,
            "--interval-start", (hour - timedelta(hours=1)).isoformat(), "--interval-end", hour.isoformat(), *more,
        ]  # fmt: skip

    def receipt(self, job: str, hour: datetime = HOUR) -> Receipt:
        found = self.store.get(receipt_key(DAG, key_of(hour), job))
        assert found is not None, f"{job} left no receipt"
        return Receipt.from_json(found.data)

    def pointer(self) -> Pointer:
        found = read_pointer(self.store)
        assert found is not None
        return found[0]

    def view(self, served: Served, cache_folder: Path) -> View:
        """What a searcher would serve."""
        base: Segment = open_base(self.store, served.build_id, cache_folder)
        if served.delta_id is None:
            return View.of(base)
        return View.of(base, open_delta(DELTA_FOLDERS.fetch(self.store, served.delta_id, cache_folder), base.manifest))

    def _merge(self, table: Table, rows: list[dict[str, Any]]) -> None:
        """Only what differs from the last write. Only links go; products are marked, photos and vectors stay."""
        now = {tuple(row[name] for name in table.key): row for row in copy.deepcopy(rows)}
        before = self._written.get(table.path, {})
        gone = [{**row, "gone": True} for key, row in before.items() if key not in now and table is PRODUCT_IMAGES]
        differing = {key: {**row, "gone": False} for key, row in now.items() if row != before.get(key)}
        self._written[table.path] = now if table is PRODUCT_IMAGES else before | now
        self.lake.ensure(table)
        if not gone and not differing:
            return
        ddl = ", ".join([*(f"{column.name} {column.sql_type}" for column in table.columns), "gone BOOLEAN"])
        names = (*table.column_names, "gone")
        new = self.lake.spark.createDataFrame(
            [tuple(row.get(name) for name in names) for row in (*gone, *differing.values())], ddl
        )
        if not gone and differing.keys().isdisjoint(before):
            new.drop("gone").write.format("delta").mode("append").save(self.lake.path(table))
            return
        columns = {name: f"new.{name}" for name in table.column_names}
        same_key = " AND ".join(f"held.{name} = new.{name}" for name in table.key)
        merge = self.lake.to_write(table).alias("held").merge(new.alias("new"), same_key).whenMatchedDelete("new.gone")
        merge.whenMatchedUpdate(set=columns).whenNotMatchedInsert(values=columns).execute()  # type: ignore[arg-type]


def key_of(hour: datetime) -> str:
    return hour.strftime("%Y%m%dT%H%M%SZ")


def _rows_of(table: Table, shop: Shop) -> list[dict[str, Any]]:
    contents = sorted({*shop.contents.values(), *shop.rejected})
    if table is PRODUCTS:
        return [{**product, "first_seen": CREATED} for product in shop.products.values()]
    if table is PRODUCT_IMAGES:
        return [
            {"product_id": product_id, "image_id": url[-16:], "url": url, "position": position}
            for (product_id, url), position in shop.links.items()
        ]
    if table is IMAGE_FETCHES:
        return [
            {"url": url, "status": "gave_up" if url in shop.given_up else "ok", "attempts": 1, "failures_in_a_row": 0,
             "content_sha256": content, "fetched_as_of": CREATED}
            for url, content in shop.contents.items()
        ]  # fmt: skip
    if table is IMAGES:
        return [
            {"content_sha256": content, "verdict": "rejected" if content in shop.rejected else "accepted",
             "stored": _photo(content[:8])}
            for content in contents
        ]  # fmt: skip
    return [
        {"content_sha256": content, "runtime": "tests", "vector": vector_of(content).tolist()} for content in contents
    ]


@cache
def _photo(seed: str) -> bytes:
    pixels = np.random.default_rng(int(seed, 16)).integers(0, 255, (12, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()
