"""A small lake with the tables and receipts that `build_index` reads, as the jobs before it leave them."""

import copy
import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from retrieval.store.objects import FolderStore
from schemas.receipts import Receipt, receipt_key
from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCT_IMAGES, PRODUCTS, Table, embeddings
from spark_jobs.lake.tables import Lake
from spark_jobs.running.earlier_run import SHOWN_SINCE
from tests.spark_jobs.index_build.small_rows import small_rows

MODEL_ID = "tests-000000000000"
FINGERPRINT = "f" * 64
EMBEDDINGS = embeddings(MODEL_ID)
TABLES = (PRODUCTS, PRODUCT_IMAGES, IMAGE_FETCHES, IMAGES, EMBEDDINGS)
DAG = "tests"
DAY = datetime(2026, 1, 31, 2, tzinfo=UTC)


class SmallLake:
    """`products` products with two photos each, every one fetched, accepted and embedded.

    Receipts pin the versions of the tables, so that tests share one lake: one that writes does not disturb the others.
    """

    store: FolderStore

    def __init__(self, lake: Lake, products: int = 30) -> None:
        self.lake = lake
        self.vectors, items = small_rows(2 * products)
        self.rows = items.to_pylist()
        for row in self.rows:
            row["attributes"] = dict(row["attributes"])
        self.versions: dict[str, int] = {}
        self.write(*TABLES)

    def with_store(self, folder: Path) -> "SmallLake":
        """The same tables with an empty store and rows of one's own."""
        twin = copy.copy(self)
        twin.rows, twin.versions, twin.store = copy.deepcopy(self.rows), dict(self.versions), FolderStore(folder)
        return twin

    def write(self, *tables: Table) -> None:
        """Write these tables as they now stand in `rows` and `vectors`, and pin their new versions."""
        for table in tables:
            self._overwrite(table, list(self._content(table)))
            self.versions[table.path] = self.lake.version(table)

    def write_receipts(self, day: datetime = DAY, *, newest: bool = True, shown_since: int | None = None) -> None:
        """`shown_since`: the version of the ledger since which no link shows another photo, where a fetch says so."""
        facts: dict[str, dict[str, Any]] = {
            "ingest_catalog": {"newest": newest, "lake_id": self.lake.lake_id()},
            "fetch_images": {} if shown_since is None else {SHOWN_SINCE: shown_since},
            "embed_images": {"model_id": MODEL_ID, "fingerprint": FINGERPRINT, "runtime": "tests-fp32"},
        }
        for job, fact in facts.items():
            receipt = Receipt(DAG, job, "", interval_key(day), table_versions=self.versions, facts=fact)
            self.store.put(receipt_key(DAG, interval_key(day), job), receipt.to_json())

    def arguments(self, day: datetime = DAY, *more: str, after: datetime | None = None) -> list[str]:
        """For the interval that ends on a day; `after` another one, where it begins there."""
        start = after or day.replace(hour=1)
        return [
            "--lake", self.lake.root, "--store", str(self.store.root), "--dag", DAG,
            "--interval-start", start.isoformat(), "--interval-end", day.isoformat(), *more,
        ]  # fmt: skip

    def receipt(self, job: str, day: datetime = DAY) -> Receipt:
        found = self.store.get(receipt_key(DAG, interval_key(day), job))
        assert found is not None, f"{job} left no receipt"
        return Receipt.from_json(found.data)

    def _content(self, table: Table) -> Iterator[dict[str, Any]]:
        met: set[str] = set()
        for row, vector in zip(self.rows, self.vectors, strict=True):
            url, content, product_id = _url(row), row["image_id"], row["product_id"]
            values: dict[str, Any] = {
                PRODUCTS.path: {**row, "deleted": row.get("deleted", False), "created_at": None,
                           "first_seen": row["created_at"]},
                PRODUCT_IMAGES.path: {"product_id": product_id, "image_id": url[-16:], "url": url,
                                 "position": row["image_position"]},
                IMAGE_FETCHES.path: {"url": url, "status": row.get("status", "ok"), "attempts": 1, "failures_in_a_row": 0,
                                "content_sha256": content, "fetched_as_of": DAY},
                IMAGES.path: {"content_sha256": content, "verdict": row.get("verdict", "accepted"),
                         "stored": _photo(content)},
                EMBEDDINGS.path: {"content_sha256": content, "runtime": "tests-fp32", "vector": vector.tolist()},
            }[table.path]  # fmt: skip
            key = "|".join(str(values[name]) for name in table.key)
            if key not in met:
                met.add(key)
                yield values

    def _overwrite(self, table: Table, rows: list[dict[str, Any]]) -> None:
        self.lake.ensure(table)
        ddl = ", ".join(f"{column.name} {column.sql_type}" for column in table.columns)
        values = [tuple(row.get(name) for name in table.column_names) for row in rows]
        frame = self.lake.spark.createDataFrame(values, ddl)
        frame.write.format("delta").mode("overwrite").save(self.lake.path(table))


def interval_key(day: datetime) -> str:
    return day.strftime("%Y%m%dT%H%M%SZ")


def _url(row: dict[str, Any]) -> str:
    return f"http://shop.example/{hashlib.sha256((row['product_id'] + row['image_id']).encode()).hexdigest()[:16]}"


def _photo(content: str) -> bytes:
    pixels = np.random.default_rng(int(content[:8], 16)).integers(0, 255, (32, 24, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()
