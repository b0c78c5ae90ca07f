"""Rows that a quote nobody closed swallows, and text that only looks like it."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_jobs.catalog.moments import Mode
from spark_jobs.catalog.text import UNREADABLE
from spark_jobs.ingest_catalog import transform
from tests.spark_jobs.catalog.source_helpers import csv_mapping, read_csv

pytestmark = pytest.mark.full


def test_a_quote_that_is_never_closed_counts_as_all_the_rows_it_swallows(spark: SparkSession, tmp_path: Path) -> None:
    content = b'sku,name,cost,photo\n1,Coat,1,a.jpg\n2,"Hat,1,b.jpg\n3,Cap,1,c.jpg\n4,Bag,1,d.jpg\n'
    sifted = transform(read_csv(spark, tmp_path, content), csv_mapping(), None, Mode.CHANGES)
    assert {bool(row["faults"]): row["lines"] for row in sifted.collect() if row["faults"]} == {True: 3}


@pytest.mark.parametrize(
    ("rows", "good"),
    [
        ('1,Coat,1,a.jpg\n2,Hat,1,"b.jpg\n3,Cap,1,c.jpg\n4,Bag,1,d.jpg\n', {"1"}),  # to the end of the file
        ('1,Coat,1,a.jpg\n2,"Hat,1,b.jpg\n3,Cap,1,c.jpg\n4,"Bag",1,d.jpg\n5,Tie,1,e.jpg\n', {"1", "5"}),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_rows_that_an_open_quote_swallows_are_missed_where_the_fields_add_up(
    spark: SparkSession, tmp_path: Path, rows: str, good: set[str], line_end: str
) -> None:
    content = f"sku,name,cost,photo\n{rows}".replace("\n", line_end)
    sifted = transform(read_csv(spark, tmp_path, content.encode()), csv_mapping(), "https://a/", Mode.CHANGES).collect()
    assert {row["product_id"] for row in sifted if not row["faults"]} == good
    (bad,) = (row for row in sifted if row["faults"])
    assert ([fault["reason"] for fault in bad["faults"]], bad["lines"]) == (["row_unreadable"], 3)
    assert "\n3,Cap,1,c.jpg\n" in bad["raw"]


def test_text_with_line_breaks_and_quotes_is_not_taken_for_swallowed_rows(spark: SparkSession, tmp_path: Path) -> None:
    content = (
        b'sku,name,cost,photo\n1,"""Best"" coat,\nsoft",1,"a.jpg|\nb.jpg"\n2,TV 32" big,1,b.jpg\n3,"TV 32" big",1,c.jpg\n'
        b'4,"Hat, felt\n",1,"d.jpg\n"\n'
    )
    rows = read_csv(spark, tmp_path, content).collect()
    assert {row["sku"]: row[UNREADABLE] for row in rows} == dict.fromkeys("1234", False)
