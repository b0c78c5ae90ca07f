"""Values inside a column's objects and lists, and names that lead to them."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from schemas.errors import MappingInvalid
from schemas.mapping import CatalogMapping
from spark_jobs.catalog.nested import value_within
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.rows import judge_rows
from spark_jobs.catalog.sources import read_source
from tests.spark_jobs.catalog.ingest_helpers import mapping_of
from tests.spark_jobs.catalog.nested_cases import CASES
from tests.spark_jobs.catalog.source_helpers import write

pytestmark = pytest.mark.full

NESTED = {
    "columns": {"product_id": "node.id", "title": "{maker.name} {name}", "price": "variants.0.price"},
    "images": {"column": "images.src", "base": "https://shop.example/"},
}
NESTED_ROW = {
    "node": {"id": 7}, "maker": {"name": "Loom"}, "name": "Coat",
    "variants": [{"price": "12.50"}, {"price": "14.00"}], "images": [{"src": "a.jpg"}, {"src": "b.jpg"}],
}  # fmt: skip


def nested_product(spark: SparkSession, place: CatalogPlace, by: CatalogMapping) -> tuple[Any, ...]:
    (row,) = judge_rows(read_source(spark, place, by), by, "https://shop.example/").collect()
    assert not row["faults"]
    return row["product_id"], row["title"], row["price"], row["image_urls"]


def test_a_way_leads_into_objects_and_lists(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(text,) for text, _, _ in CASES], "text string").coalesce(1)
    ways = list(dict.fromkeys(way for _, way, _ in CASES))
    found = rows.select("text", *[value_within(F.col("text"), way.split(".")).alias(f"way {way}") for way in ways])
    by_text = {row["text"]: row for row in found.collect()}
    assert [by_text[text][f"way {way}"] for text, way, _ in CASES] == [value for _, _, value in CASES]


def test_no_column_leads_nowhere(spark: SparkSession) -> None:
    row = spark.range(1).select(value_within(F.lit(None).cast("string"), ["src"]).alias("found")).collect()[0]
    assert row["found"] is None


@pytest.mark.parametrize("source_format", ["jsonl", "parquet", "csv"])
def test_names_with_dots_lead_into_objects_and_lists(spark: SparkSession, tmp_path: Path, source_format: str) -> None:
    by = mapping_of(source_format, f"catalog.{source_format}", **NESTED)
    if source_format == "jsonl":
        (tmp_path / "catalog.jsonl").write_text(json.dumps(NESTED_ROW))
    elif source_format == "parquet":
        pq.write_table(pa.Table.from_pylist([NESTED_ROW]), tmp_path / "catalog.parquet")
    else:
        with (tmp_path / "catalog.csv").open("w", newline="") as file:
            fields = {
                name: value if isinstance(value, str) else json.dumps(value) for name, value in NESTED_ROW.items()
            }
            writer = csv.DictWriter(file, fields)
            writer.writeheader()
            writer.writerow(fields)
    links = ["https://shop.example/a.jpg", "https://shop.example/b.jpg"]
    assert nested_product(spark, CatalogPlace(str(tmp_path)), by) == ("7", "Loom Coat", 12.5, links)


@pytest.mark.parametrize("source_format", ["jsonl", "parquet"])
def test_a_column_with_dots_in_its_own_name_goes_before(
    spark: SparkSession, tmp_path: Path, source_format: str
) -> None:
    by = mapping_of(source_format, f"catalog.{source_format}", **NESTED)
    row = NESTED_ROW | {"maker.name": "Weft"}
    if source_format == "jsonl":
        (tmp_path / "catalog.jsonl").write_text(json.dumps(row))
    else:
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / "catalog.parquet")
    assert nested_product(spark, CatalogPlace(str(tmp_path)), by)[1] == "Weft Coat"


def test_a_name_that_leads_into_no_column_is_a_mistake(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = write(tmp_path, "catalog.jsonl", b'{"nod":{"id":1},"photo":"a.jpg"}\n')
    with pytest.raises(MappingInvalid, match=r"'node\.id'"):
        read_source(spark, place, mapping_of(**NESTED))
    place = write(tmp_path, "catalog.csv", b"node.id,maker,name,variants,pictures\n")
    with pytest.raises(MappingInvalid, match=r"'images\.src'"):
        read_source(spark, place, mapping_of("csv", "catalog.csv", **NESTED))
    place = write(tmp_path, "catalog.jsonl", b'{"node":{"id":1},"name":"Coat","images":[{"src":"a.jpg"}]}\n')
    read_source(spark, place, mapping_of(**NESTED))
    assert [record.args[0] for record in caplog.records if isinstance(record.args, tuple)] == [
        "maker.name",
        "variants.0.price",
    ]
