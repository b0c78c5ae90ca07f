"""Values inside a column's objects and lists."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.catalog.nested import value_within
from tests.spark_jobs.catalog.nested_cases import CASES

pytestmark = pytest.mark.full


def test_a_way_leads_into_objects_and_lists(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(text,) for text, _, _ in CASES], "text string").coalesce(1)
    ways = list(dict.fromkeys(way for _, way, _ in CASES))
    found = rows.select("text", *[value_within(F.col("text"), way.split(".")).alias(f"way {way}") for way in ways])
    by_text = {row["text"]: row for row in found.collect()}
    assert [by_text[text][f"way {way}"] for text, way, _ in CASES] == [value for _, _, value in CASES]


def test_no_column_leads_nowhere(spark: SparkSession) -> None:
    row = spark.range(1).select(value_within(F.lit(None).cast("string"), ["src"]).alias("found")).collect()[0]
    assert row["found"] is None
