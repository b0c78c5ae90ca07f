"""Small catalogs for tests, and one call that ingests them in the test's own Spark session."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.mapping import CatalogMapping, parse_mapping
from schemas.tables import PRODUCT_BUSINESS_COLUMNS, PRODUCTS, Table
from spark_jobs.catalog.moments import Mode
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.ingest_catalog import Ingested, Limits, ingest
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.catalog.model import interval_of_day

Row = dict[str, Any]


def mapping_of(source_format: str = "jsonl", path: str = "catalog.jsonl", **sections: Any) -> CatalogMapping:
    """A mapping of the columns sku, name, cost, photo and gone; sections of the document may be replaced."""
    document: dict[str, Any] = {
        "source": {"format": source_format, "path": path},
        "columns": {"product_id": "sku", "title": "name", "price": "cost", "deleted": "gone"},
        "images": {"column": "photo", "base": "https://shop.example/"},
    }
    return parse_mapping(document | sections, "test.toml")


def row(sku: str | None, name: str = "Coat", cost: Any = 10, photo: str | None = "a.jpg", gone: Any = None) -> Row:
    return {"sku": sku, "name": name, "cost": cost, "photo": photo, "gone": gone}


@dataclass
class Shop:
    """A shop's catalog folder and the lake it goes to."""

    lake: Lake
    folder: Path
    mapping: CatalogMapping = field(default_factory=mapping_of)
    limits: Limits = field(default_factory=lambda: Limits(deleted_share=1.0, bad_share=1.0))

    def export(self, rows: Sequence[Row]) -> CatalogPlace:
        """Write the rows as the shop's catalog.jsonl."""
        self.folder.mkdir(exist_ok=True)
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        (self.folder / "catalog.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return CatalogPlace(str(self.folder))

    def take(self, day: int, rows: Sequence[Row], mode: Mode = Mode.SNAPSHOT, limits: Limits | None = None) -> Ingested:
        """Export the rows and ingest them for the interval that ends on `day`."""
        return ingest(self.lake, self.export(rows), self.mapping, interval_of_day(day, mode), limits or self.limits)

    def products(self) -> dict[str, dict[str, Any]]:
        """`products` by id, business columns only."""
        columns = [
            F.unix_micros(name).alias(name) if name == "first_seen" else name for name in PRODUCT_BUSINESS_COLUMNS
        ]
        rows = self.lake.read(PRODUCTS).select(*columns).collect()
        assert len(rows) == len({row["product_id"] for row in rows})
        return {row["product_id"]: row.asDict(recursive=True) for row in rows}

    def live(self) -> set[str]:
        return {product for product, columns in self.products().items() if not columns["deleted"]}

    def rows(self, table: Table) -> list[tuple[Any, ...]]:
        """A table's rows, sorted."""
        return sorted_rows(self.lake.read(table))

    def versions(self, *tables: Table) -> list[int]:
        return [self.lake.version(table) for table in tables]


def sorted_rows(frame: DataFrame) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in frame.collect()), key=repr)
