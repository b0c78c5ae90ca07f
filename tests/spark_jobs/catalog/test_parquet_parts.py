"""A catalog in several Parquet files, which need not agree."""

from datetime import datetime
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
from spark_jobs.ingest_catalog import transform
from tests.spark_jobs.catalog.ingest_helpers import mapping_of
from tests.spark_jobs.catalog.source_helpers import COLUMNS

pytestmark = pytest.mark.full


def test_parquet_files_may_have_columns_that_others_lack(spark: SparkSession, tmp_path: Path) -> None:
    rows: dict[str, Any] = {"sku": ["1"], "name": ["Coat"], "photo": ["a.jpg"]}
    seen = pa.array([1769817600_123456999], pa.timestamp("ns"))
    pq.write_table(pa.table(rows), tmp_path / "1.parquet")
    pq.write_table(pa.table(rows | {"sku": ["2"], "cost": [9.5], "seen": seen}), tmp_path / "2.parquet")
    columns = {"product_id": "sku", "price": "cost", "created_at": "seen"}
    mapping = mapping_of("parquet", "*.parquet", columns=columns)
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping)
    found = transform(source, mapping, "https://shop.example/", Mode.SNAPSHOT)
    rows_of = found.select("product_id", "price", F.unix_micros("created_at")).collect()
    assert {tuple(row) for row in rows_of} == {("1", None, None), ("2", 9.5, 1769817600_123456)}


def test_parquet_parts_go_together_where_a_column_is_empty_in_one_or_whole_numbers_are_wider(
    spark: SparkSession, tmp_path: Path
) -> None:
    parts = [
        {"sku": pa.array([7], pa.int32()), "name": pa.array(["Coat"]), "cost": pa.nulls(1), "photo": ["a.jpg"]},
        {"sku": pa.array([8], pa.int64()), "name": pa.nulls(1), "cost": pa.array([1.5]), "photo": ["b.jpg"]},
        {"sku": pa.array([], pa.string()), "name": pa.array([], pa.string()), "photo": pa.array([], pa.string())},
    ]
    moment = pa.array([datetime(2026, 5, 1)], pa.timestamp("ns"))
    for number, part in enumerate(parts):
        when = {"seen": moment} if number == 0 else {}
        pq.write_table(pa.table({**part, **when}), tmp_path / f"part [{number}] a%20b.parquet")

    columns = {"columns": {"product_id": "sku", "title": "name", "price": "cost", "updated_at": "seen"}}
    found = read_source(spark, CatalogPlace(str(tmp_path)), mapping_of("parquet", "*.parquet", **columns))

    rows = {row["sku"]: (row["name"], row["cost"], row["photo"], row["seen"]) for row in found.collect()}
    assert rows == {"7": ("Coat", None, "a.jpg", "2026-05-01 00:00:00"), "8": (None, "1.5", "b.jpg", None)}


@pytest.mark.parametrize(
    "costs",
    [
        (pa.array([1]), pa.array(["one"])),
        (pa.array([1]), pa.array([1.5])),  # 1 of the one would be 1.0 of the other
        (pa.array([0], pa.timestamp("ns")), pa.array([0], pa.timestamp("us"))),  # as pandas wrote, and as it writes
    ],
)
def test_parquet_files_with_other_types_are_one_line(
    spark: SparkSession, tmp_path: Path, costs: tuple[pa.Array, pa.Array]
) -> None:
    for number, cost in enumerate(costs):
        table = pa.table({"sku": ["1"], "name": ["Coat"], "cost": cost, "photo": ["a.jpg"]})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    with pytest.raises(BadData, match="different types"):
        read_source(spark, CatalogPlace(str(tmp_path)), mapping_of("parquet", "*.parquet", **COLUMNS))
