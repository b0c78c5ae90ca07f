"""Parquet of any types, as pandas, Spark and Delta write it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from schemas.errors import BadData
from spark_jobs.catalog.moments import Mode
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.sources import read_source
from spark_jobs.ingest_catalog import Limits, ingest, transform
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.catalog.ingest_helpers import mapping_of
from tests.spark_jobs.catalog.model import interval_of_day
from tests.spark_jobs.catalog.source_helpers import COLUMNS, by_id, write

pytestmark = pytest.mark.full


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_parquet_times_in_nanoseconds_are_read_as_pandas_writes_them(
    spark: SparkSession, tmp_path: Path, zone: str | None
) -> None:
    moments = pa.array([1769817600_123456999, None, -1], pa.timestamp("ns", zone))
    table = {
        "sku": [1, 2, 3],
        "name": ["a"] * 3,
        "cost": [1] * 3,
        "photo": ["a.jpg"] * 3,
        "seen": moments,
        "other": moments,
    }
    pq.write_table(pa.table(table), tmp_path / "catalog.parquet")
    columns = {"product_id": "sku", "title": "name", "price": "cost", "created_at": "seen"}
    mapping = mapping_of("parquet", "catalog.parquet", columns=columns)
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping)
    rows = transform(source, mapping, "https://shop.example/", Mode.SNAPSHOT)
    found = {row[0]: row[1] for row in rows.select("product_id", F.unix_micros("created_at")).collect()}
    assert found == {"1": 1769817600_123456, "2": None, "3": -1}


def test_parquet_times_in_nanoseconds_may_be_the_first_and_the_last_there_are(
    spark: SparkSession, tmp_path: Path
) -> None:
    seen = pa.array([1 - 2**63, 2**63 - 1, -1001, -1000], pa.timestamp("ns"))
    pq.write_table(pa.table({"sku": list("1234"), "photo": ["a.jpg"] * 4, "seen": seen}), tmp_path / "c.parquet")
    mapping = mapping_of("parquet", "c.parquet", columns={"product_id": "sku", "created_at": "seen"})
    rows = transform(read_source(spark, CatalogPlace(str(tmp_path)), mapping), mapping, "https://a/", Mode.SNAPSHOT)
    found = {row[0]: row[1] for row in rows.select("product_id", F.unix_micros("created_at")).collect()}
    assert found == {"1": -9223372036854776, "2": 9223372036854775, "3": -2, "4": -1}


def test_whole_numbers_that_pandas_made_fractions_beside_a_null_are_whole(spark: SparkSession, tmp_path: Path) -> None:
    numbers = pa.array([123456789.0, 7.0, 0.5, float("nan"), None])
    rows: dict[str, Any] = {"sku": numbers, "name": ["a"] * 5, "cost": numbers, "photo": ["a.jpg"] * 5}
    pq.write_table(pa.table(rows), tmp_path / "catalog.parquet")
    mapping = mapping_of("parquet", "catalog.parquet", **COLUMNS)
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping)
    sifted = transform(source, mapping, "https://a/", Mode.SNAPSHOT).collect()
    assert {row["product_id"]: row["price"] for row in sifted if not row["faults"]} == {
        "123456789": 123456789.0, "7": 7.0, "0.5": 0.5,
    }  # fmt: skip
    assert sorted([fault["reason"] for fault in row["faults"]] for row in sifted if row["faults"]) == [
        ["no_product_id"], ["no_product_id", "price_not_a_number"],
    ]  # fmt: skip


def test_of_a_delta_table_only_the_rows_of_today_are_read(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("old", "new"):
        row = spark.sql(f"SELECT '1' AS sku, '{name}' AS name, 1 AS cost, 'a.jpg' AS photo")
        row.write.format("delta").mode("overwrite").save(str(tmp_path / "catalog"))
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping_of("parquet", "catalog", **COLUMNS))
    assert by_id(source) == {"1": ("new", "1", "a.jpg")}


def test_parquet_columns_of_any_type_are_read(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql(
        "SELECT 7 AS sku, 'Coat' AS name, CAST(9.50 AS DECIMAL(10,2)) AS cost, array('a.jpg', 'b.jpg') AS photo"
    ).write.parquet(str(tmp_path / "catalog.parquet"))
    mapping = mapping_of("parquet", "catalog.parquet", **COLUMNS)
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping)
    row = transform(source, mapping, "https://shop.example/", Mode.SNAPSHOT).collect()[0]
    assert (row["product_id"], row["price"]) == ("7", 9.5)
    assert row["image_urls"] == ["https://shop.example/a.jpg", "https://shop.example/b.jpg"]


@pytest.mark.parametrize("content", [b"not parquet at all", b"PAR1\x00\x00\x00\x00PAR1"])
def test_a_damaged_parquet_file_is_one_line(catalog_lake: Lake, tmp_path: Path, content: bytes) -> None:
    place = write(tmp_path, "catalog.parquet", content)
    mapping = mapping_of("parquet", "catalog.parquet", **COLUMNS)
    with pytest.raises(BadData) as raised:
        ingest(catalog_lake, place, mapping, interval_of_day(1, Mode.SNAPSHOT), Limits())
    assert "\n" not in str(raised.value)


def test_a_parquet_type_that_spark_does_not_know_is_one_line(spark: SparkSession, tmp_path: Path) -> None:
    numbers = pa.array([1], pa.decimal256(60, 2))
    for column in (pa.array([0], pa.time64("us")), numbers):
        table = pa.table({"sku": ["1"], "name": ["Coat"], "cost": [1], "photo": ["a.jpg"], "other": column})
        pq.write_table(table, tmp_path / "catalog.parquet")
        with pytest.raises(BadData, match="export it as text"):
            read_source(spark, CatalogPlace(str(tmp_path)), mapping_of("parquet", "catalog.parquet", **COLUMNS))
