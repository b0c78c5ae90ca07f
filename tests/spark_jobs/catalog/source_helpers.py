"""Catalogs in files, as tests write and read them."""

from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from schemas.mapping import CatalogMapping
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.sources import read_source
from tests.spark_jobs.catalog.ingest_helpers import mapping_of

COLUMNS = {"columns": {"product_id": "sku", "title": "name", "price": "cost"}}


def write(folder: Path, name: str, content: bytes) -> CatalogPlace:
    (folder / name).write_bytes(content)
    return CatalogPlace(str(folder))


def csv_mapping(**sections: Any) -> CatalogMapping:
    return mapping_of("csv", "catalog.csv", **COLUMNS, **sections)


def read_csv(spark: SparkSession, folder: Path, content: bytes) -> DataFrame:
    return read_source(spark, write(folder, "catalog.csv", content), csv_mapping())


def by_id(frame: DataFrame) -> dict[str, tuple[Any, ...]]:
    return {row["sku"]: (row["name"], row["cost"], row["photo"]) for row in frame.collect()}
