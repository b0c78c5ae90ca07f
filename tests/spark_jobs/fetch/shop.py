"""A small shop in a lake: products with links, and nights on which their photos are fetched."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from retrieval.store.objects import FolderStore
from schemas.intervals import DataInterval
from schemas.receipts import Receipt, receipt_key
from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCT_IMAGES, PRODUCTS, Table
from spark_jobs.fetch.ledger import cycle_day, day_has_come
from spark_jobs.fetch_images import JOB, main
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.fetch.fault_server import Exchange, FaultServer

FIRST_NIGHT = datetime(2026, 1, 2, 2, tzinfo=UTC)
ONE_DAY = timedelta(days=1)


@dataclass
class Shop:
    """`stock` takes links, product id → its links, and groups, product id → group where it has one."""

    lake: Lake
    folder: Path
    arguments: Sequence[str] = ("--allow-private", "--max-bad-share", "1", "--read-timeout", "1")

    def stock(
        self, links: Mapping[str, list[str]], *, night: int = 0, groups: Mapping[str, str] | None = None,
        deleted: Sequence[str] = (), nights: Mapping[str, int] | None = None, later: timedelta = timedelta(),
    ) -> None:  # fmt: skip
        """Let the catalog be these products, as a night's interval gave them; `nights` names the ones changed later, and
        `later` is how long after the end of the interval they are dated."""
        products = [
            {
                "product_id": product, "title": f"title of {product}", "group_id": (groups or {}).get(product, product),
                "source_interval": FIRST_NIGHT + (nights or {}).get(product, night) * ONE_DAY + later,
                "deleted": product in deleted,
            }
            for product in links
        ]  # fmt: skip
        images = [
            {"product_id": product, "image_id": f"{position}", "url": url, "position": position}
            for product, urls in links.items() for position, url in enumerate(urls)
        ]  # fmt: skip
        self._write(PRODUCTS, products)
        self._write(PRODUCT_IMAGES, images)

    def fetch(self, *more: str, night: int = 0) -> int:
        """Run the job for a night; its exit code."""
        end = FIRST_NIGHT + night * ONE_DAY
        return main(
            ["--lake", self.lake.root, "--store", str(self.folder / "store"), "--dag", "tests",
             "--interval-start", (end - ONE_DAY).isoformat(), "--interval-end", end.isoformat(), *self.arguments, *more]
        )  # fmt: skip

    def note_ingested(self, mode: str, night: int) -> None:
        """The receipt that ingest_catalog leaves, as far as the fetch reads it."""
        end = FIRST_NIGHT + night * ONE_DAY
        receipt = Receipt("tests", "ingest_catalog", (end - ONE_DAY).isoformat(), end.isoformat(), facts={"mode": mode})
        FolderStore(self.folder / "store").put(
            receipt_key("tests", DataInterval(end - ONE_DAY, end).key, "ingest_catalog"), receipt.to_json()
        )

    def counts(self, night: int = 0) -> dict[str, int]:
        """The receipt's counts."""
        return self.receipt(night).counts

    def receipt(self, night: int = 0) -> Receipt:
        end = FIRST_NIGHT + night * ONE_DAY
        key = receipt_key("tests", DataInterval(end - ONE_DAY, end).key, JOB)
        return Receipt(**json.loads((self.folder / "store" / key).read_text()))

    def ledger(self) -> dict[str, dict[str, Any]]:
        """url → its row."""
        return {row["url"]: row.asDict() for row in self.lake.read(IMAGE_FETCHES).collect()}

    def photos(self) -> dict[str, dict[str, Any]]:
        """content_sha256 → its row, without bytes."""
        return {row["content_sha256"]: row.asDict() for row in self.lake.read(IMAGES).drop("stored").collect()}

    def outcomes(self) -> dict[str, str | None]:
        """url → the reason why it has no usable photo, of the link or of the photo; None where it has one."""
        photos = self.photos()
        return {
            url: row["reason"] or photos[row["content_sha256"]]["reason"]
            if row["content_sha256"] or row["reason"]
            else "?"
            for url, row in self.ledger().items()
        }

    def _write(self, table: Table, rows: list[dict[str, Any]]) -> None:
        self.lake.ensure(table)
        schema = self.lake.spark.read.format("delta").load(self.lake.path(table)).schema
        frame = self.lake.spark.createDataFrame(rows, schema)
        frame.write.format("delta").mode("overwrite").save(self.lake.path(table))


def path_with_day(server: FaultServer, name: str, *, comes_on_first_day: bool) -> str:
    """A path whose link's day of the cycle comes on the second night, or long after it."""
    for number in range(10_000):
        day = cycle_day(server.url(f"/{name}-{number}.jpg"))
        comes = day_has_come(day, FIRST_NIGHT, FIRST_NIGHT + (1 if comes_on_first_day else 9) * ONE_DAY)
        if comes == comes_on_first_day:
            return f"/{name}-{number}.jpg"
    raise AssertionError("no such link")


async def busy(exchange: Exchange) -> None:
    await exchange.reply(429, b"", Retry_After="7200")
