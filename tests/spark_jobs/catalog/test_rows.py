"""Rows become ours, or say why not. One frame of literals, one Spark job for each question."""

from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.mapping import CatalogMapping, parse_mapping
from spark_jobs.catalog.duplicates import sift_duplicates
from spark_jobs.catalog.links import base_uri
from spark_jobs.catalog.rows import judge_rows
from spark_jobs.catalog.text import RAW, UNREADABLE

pytestmark = pytest.mark.full

COLUMNS = {
    "product_id": "sku",
    "title": "{name} {size}",
    "price": "cost",
    "in_stock": "stock",
    "created_at": "added",
    "updated_at": "changed",
    "deleted": "gone",
}
GOOD = {"sku": "1", "name": "Coat", "cost": "10", "photo": "a.jpg"}


def mapping(**sections: Any) -> CatalogMapping:
    document: dict[str, Any] = {
        "source": {},
        "columns": COLUMNS,
        "images": {"column": "photo"},
        "attributes": {"fabric": "cloth", "b": "fit"},
        "defaults": {"currency": "eur"},
    }
    return parse_mapping(document | sections, "test.toml")


def judged(spark: SparkSession, rows: list[dict[str, Any]], by: CatalogMapping | None = None) -> DataFrame:
    by = by or mapping()
    names = [*by.source_columns, RAW, UNREADABLE]
    values = [[{RAW: str(row), UNREADABLE: False, **row}.get(name) for name in names] for row in rows]
    types = ", ".join(f"`{name}` {'boolean' if name == UNREADABLE else 'string'}" for name in names)
    return judge_rows(spark.createDataFrame(values, types), by, "https://shop.example/photos/")


def faults_of(spark: SparkSession, changes: list[dict[str, Any]]) -> list[list[tuple[str, str]]]:
    """Faults as (reason, field), for each change to a good row."""
    rows = [GOOD | change for change in changes]
    return [[tuple(fault) for fault in row["faults"]] for row in judged(spark, rows).select("faults").collect()]


def test_each_fault_has_its_reason_and_its_field(spark: SparkSession) -> None:
    expected: list[tuple[dict[str, Any], str | None, str | None]] = [
        ({}, None, None),
        ({"sku": None}, "no_product_id", "product_id"),
        ({"sku": " \u00a0 "}, "no_product_id", "product_id"),
        ({"photo": None}, "no_image", "image_urls"),
        ({"photo": " | "}, "no_image", "image_urls"),
        ({"cost": "1.299,00"}, "price_not_a_number", "price"),
        ({"cost": "1,299.00"}, "price_not_a_number", "price"),
        ({"cost": "N/A"}, "price_not_a_number", "price"),
        ({"cost": "NaN"}, "price_not_a_number", "price"),
        ({"cost": "1e999"}, "price_not_a_number", "price"),
        ({"cost": "12d"}, "price_not_a_number", "price"),
        ({"cost": "-1"}, "price_negative", "price"),
        ({"cost": ""}, None, None),
        ({"cost": None}, None, None),
        ({"stock": "maybe"}, "stock_not_a_flag", "in_stock"),
        ({"gone": "perhaps"}, "deleted_not_a_flag", "deleted"),
        ({"gone": "-1"}, "deleted_not_a_flag", "deleted"),
        ({"added": "yesterday"}, "timestamp_invalid", "created_at"),
        ({"added": "12:30"}, "timestamp_invalid", "created_at"),
        ({"changed": "2026-02-30"}, "timestamp_invalid", "updated_at"),
        ({"added": "9999-12-31T23:59:59-05:00"}, "timestamp_invalid", "created_at"),
        ({"added": "0001-01-01T00:00:00+14:00"}, "timestamp_invalid", "created_at"),
        ({"added": "9999-12-31T23:59:59.999999"}, None, None),
        ({"added": "0001-01-01"}, None, None),
        ({"name": "caf\ufffd"}, "encoding_invalid", "title"),
        ({"cost": "1\ufffd"}, "encoding_invalid", "price"),
        ({"cloth": "fl\ufffdx"}, "encoding_invalid", "attributes.fabric"),
        ({"photo": "caf\ufffd.jpg"}, "encoding_invalid", "image_urls"),
        ({"sku": "x" * 257}, "field_too_long", "product_id"),
        ({"cloth": "x" * 1025}, "field_too_long", "attributes.fabric"),
        ({"photo": "x" * 4097}, "field_too_long", "image_urls"),
        ({UNREADABLE: True, "sku": None}, "row_unreadable", None),
    ]
    found = faults_of(spark, [change for change, _, _ in expected])
    for (change, reason, field), faults in zip(expected, found, strict=True):
        assert faults == ([(reason, field)] if reason else []), change


def test_stock_is_a_word_of_a_feed_or_a_count(spark: SparkSession) -> None:
    yes = ["In Stock", "in-stock", "https://schema.org/InStock", "2.5", "1e3", "Y"]
    no = ["out-of-stock", "http://schema.org/OutOfStock", "preorder", "-3", "0.0", "Sold Out"]
    found = judged(spark, [GOOD | {"sku": f"{place:02}", "stock": text} for place, text in enumerate([*yes, *no])])
    flags = [row["in_stock"] for row in found.orderBy("product_id").collect()]
    assert flags == [True] * len(yes) + [False] * len(no)


def test_a_price_may_come_with_its_currency_as_feeds_write_it(spark: SparkSession) -> None:
    prices = ["12.99 EUR", "USD 7", "5gbp", "8", "-0 CHF", "12,99 EUR", "EUR 5 USD", "12.99 €", "1e3 EUR"]
    rows = [GOOD | {"cost": price} for price in prices]
    found = judged(spark, rows).select("price", "currency").collect()
    assert [tuple(row) for row in found[:5]] == [(12.99, "EUR"), (7, "USD"), (5, "GBP"), (8, "EUR"), (0, "CHF")]
    assert [row["price"] for row in found[5:]] == [None] * 4


def test_prices_with_a_decimal_comma_are_read_where_the_mapping_says_so(spark: SparkSession) -> None:
    by = mapping(source={"decimal": ","}, defaults={"currency": "eur", "price": 0.5})
    expected: dict[str, float | str] = {
        "19,99": 19.99, "1.299,00": 1299, "1.299.000": 1_299_000, "1 299,5": 1299.5, "1\u00a0299": 1299, "7": 7, "7,": 7,
        ",5": 0.5, "-0": 0, "1,299": 1.299, "1,2e3": 1200, "12,99 EUR": 12.99, "EUR 1.299,00": 1299, "": 0.5,
        "1.299": "price_ambiguous", "1.299 EUR": "price_ambiguous", "USD12.000": "price_ambiguous",
        "12.99": "price_not_a_number", "1,299.00": "price_not_a_number", "1.29,00": "price_not_a_number",
        "0.123,45": "price_not_a_number", "1.299 000,00": "price_not_a_number", "1.2345": "price_not_a_number",
        "1e999": "price_not_a_number", "12,99 \u20ac": "price_not_a_number", "-1,5": "price_negative",
    }  # fmt: skip
    found = judged(spark, [GOOD | {"cost": text} for text in expected], by).select("price", "faults").collect()
    read = dict(zip(expected, found, strict=True))
    assert {
        text: row["faults"][0]["reason"] if row["faults"] else row["price"] for text, row in read.items()
    } == expected
    assert all(row["price"] is None for text, row in read.items() if row["faults"] and text != "-1,5")


def test_a_count_is_some_or_none_whichever_sign_its_decimals_have(spark: SparkSession) -> None:
    rows = [GOOD | {"sku": f"{place:02}", "stock": text} for place, text in enumerate(["2,5", "1.000", "0,000", "0.0"])]
    found = judged(spark, rows, mapping(source={"decimal": ","})).orderBy("product_id").collect()
    assert [row["in_stock"] for row in found] == [True, True, False, False]
    assert not any(row["faults"] for row in found)


def test_a_price_in_another_currency_than_its_row_names_is_none(spark: SparkSession) -> None:
    by = mapping(columns={**COLUMNS, "currency": "money"})
    rows = [
        GOOD | {"cost": price, "money": money} for price, money in (("12 EUR", "eur"), ("12 EUR", "USD"), ("12", "USD"))
    ]
    found = judged(spark, rows, by).select("price", "currency", "faults").collect()
    assert [(row["price"], row["currency"]) for row in found] == [(12, "EUR"), (None, "USD"), (12, "USD")]
    assert [tuple(fault) for fault in found[1]["faults"]] == [("price_not_a_number", "price")]


def test_a_row_with_two_faults_names_both(spark: SparkSession) -> None:
    assert faults_of(spark, [{"cost": "N/A", "photo": None}]) == [
        [("price_not_a_number", "price"), ("no_image", "image_urls")]
    ]


def test_a_row_that_deletes_its_product_needs_only_an_id(spark: SparkSession) -> None:
    found = faults_of(spark, [{"gone": "yes", "photo": None, "cost": "N/A"}, {"gone": "yes", "sku": None}])
    assert found == [[], [("no_product_id", "product_id")]]


def test_values_are_read_as_shops_write_them(spark: SparkSession) -> None:
    rows = [
        GOOD | {"sku": " 1\u00a0", "name": "cafe\u0301", "size": "M", "cloth": " wool ", "added": "2026-01-31"},
        GOOD | {"sku": "2", "cost": "1299.50", "stock": "Out of Stock", "added": "2026-01-31T02:00:00+02:00"},
        GOOD | {"sku": "3", "cost": "-0", "stock": "37", "name": None},
        GOOD | {"sku": "4", "cost": "1e3", "stock": "0"},
    ]
    found = (
        judged(spark, rows).withColumn("created_at", F.col("created_at").cast("string")).orderBy("product_id").collect()
    )
    assert [row["product_id"] for row in found] == ["1", "2", "3", "4"]
    assert [row["title"] for row in found] == ["caf\u00e9 M", "Coat", None, "Coat"]
    assert [row["price"] for row in found] == [10.0, 1299.5, 0.0, 1000.0]
    assert str(found[2]["price"]) == "0.0"
    assert [row["in_stock"] for row in found] == [None, False, True, False]
    assert [row["created_at"] for row in found] == ["2026-01-31 00:00:00", "2026-01-31 00:00:00", None, None]
    assert [row["attributes"] for row in found] == [{"fabric": "wool"}, {}, {}, {}]
    assert {row["currency"] for row in found} == {"EUR"}
    assert [row["group_id"] for row in found] == ["1", "2", "3", "4"]


def test_links_are_made_absolute_and_kept_in_order(spark: SparkSession) -> None:
    expected = {
        "b.jpg|a.jpg|b.jpg": ["https://shop.example/photos/b.jpg", "https://shop.example/photos/a.jpg"],
        '["x y.jpg", ""]': ["https://shop.example/photos/x%20y.jpg"],
        "/top.jpg": ["https://shop.example/top.jpg"],
        "./sub\\c.jpg": ["https://shop.example/photos/sub/c.jpg"],
        "//cdn.example/d.jpg": ["https://cdn.example/d.jpg"],
        "http://other.example/e.jpg|s3://bucket/f.jpg": ["http://other.example/e.jpg", "s3://bucket/f.jpg"],
    }
    rows = [GOOD | {"sku": photo, "photo": photo} for photo in expected]
    found = {row["product_id"]: row["image_urls"] for row in judged(spark, rows).collect()}
    assert found == expected


def test_a_file_name_is_percent_encoded_whole(spark: SparkSession) -> None:
    by = mapping(images={"template": "images/{photo}.jpg"})
    source = judged(spark, [], by).sparkSession.createDataFrame(
        [("1", "Größe 100% #1", "raw", False)], f"sku string, photo string, {RAW} string, {UNREADABLE} boolean"
    )
    for name in set(by.source_columns) - {"sku", "photo"}:
        source = source.withColumn(name, F.lit(None).cast("string"))
    urls = judge_rows(source, by, "file:///shop%20one/").select("image_urls").collect()[0][0]
    assert urls == ["file:///shop%20one/images/Gr%C3%B6%C3%9Fe%20100%25%20%231.jpg"]


def test_a_relative_link_without_a_base_is_no_link(spark: SparkSession) -> None:
    assert base_uri(mapping().images, None) is None
    names = [*mapping().source_columns, RAW, UNREADABLE]
    values = [[{**GOOD, RAW: "r", UNREADABLE: False}.get(name) for name in names]]
    types = ", ".join(f"{name} {'boolean' if name == UNREADABLE else 'string'}" for name in names)
    row = judge_rows(spark.createDataFrame(values, types), mapping(), None).collect()[0]
    assert [tuple(fault) for fault in row["faults"]] == [("no_image", "image_urls")]


def test_the_content_hash_covers_what_is_shown_and_nothing_else(spark: SparkSession) -> None:
    same = [GOOD, GOOD | {"sku": "1 ", "cost": "10.00", "gone": "no", RAW: "other"}]
    others = [
        GOOD | change for change in ({"cost": None}, {"stock": "1"}, {"cloth": "10"}, {"fit": "10"}, {"photo": "b"})
    ]
    hashes = [row[0] for row in judged(spark, [*same, *others]).select("content_hash").collect()]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 1 + len(others)


def test_the_newest_of_contradicting_rows_speaks_and_the_others_are_duplicates(spark: SparkSession) -> None:
    rows = [
        GOOD | {"name": "Old", "changed": "2026-01-01"},
        GOOD | {"name": "New", "changed": "2026-01-02"},
        GOOD | {"name": "New", "changed": "2026-01-02", RAW: "said twice"},
        GOOD | {"cost": "N/A", "changed": "2026-01-03"},
        GOOD | {"sku": "2"},
    ]
    for order in (rows, rows[::-1]):
        sifted = sift_duplicates(judged(spark, order), snapshot=False).collect()
        assert sorted((row["product_id"], row["title"]) for row in sifted if row["kept"]) == [
            ("1", "New"),
            ("2", "Coat"),
        ]
        faults = sorted((row["title"], row["faults"][0]["reason"]) for row in sifted if row["faults"])
        assert faults == [("Coat", "price_not_a_number"), ("Old", "duplicate_id")]


def test_a_deleted_row_of_a_snapshot_contests_nothing(spark: SparkSession) -> None:
    sifted = sift_duplicates(judged(spark, [GOOD, GOOD | {"gone": "true"}]), snapshot=True).collect()
    assert [row["deleted"] for row in sifted if row["kept"]] == [False]
    assert not any(row["faults"] for row in sifted)
