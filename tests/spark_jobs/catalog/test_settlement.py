"""The Spark code against its model, row by row, and whole histories through Delta tables."""

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.tables import PRODUCT_IMAGES, PRODUCT_MENTIONS, PRODUCTS
from spark_jobs.catalog.moments import Mode, Recorded, Timeline
from spark_jobs.catalog.rows import CONTENT_COLUMNS
from spark_jobs.catalog.settlement import settle
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.catalog.ingest_helpers import Row, Shop, row
from tests.spark_jobs.catalog.model import (
    Known,
    Said,
    interval_of_day,
    random_history,
    settle_one,
    shelf_in_order,
)

pytestmark = pytest.mark.full
SOAK = os.environ.get("SHOPLENS_SOAK") == "1"


def a_moment_us(dice: random.Random) -> int:
    return interval_of_day(dice.randrange(1, 8), dice.choice(list(Mode))).moment_us


def random_state(dice: random.Random, timeline: Timeline) -> tuple[Known | None, Said | None]:
    """A product as it may stand. A live one is at least as new as the newest snapshot, but for its own columns."""
    said = Said(dice.choice("xy"), dice.random() < 0.3) if dice.random() < 0.7 else None
    if said and timeline.applied.mode is Mode.SNAPSHOT:
        said = replace(said, deleted=False)
    if dice.random() < 0.15:
        return None, said
    source_us = a_moment_us(dice)
    first_seen_us = interval_of_day(dice.randrange(0, 8), Mode.SNAPSHOT).end_us
    heard_us = a_moment_us(dice) if dice.random() < 0.4 else 0
    return Known(dice.choice("xy"), min(first_seen_us, source_us), source_us, dice.random() < 0.5, heard_us), said


def as_said(spark: SparkSession, said: dict[str, Said]) -> DataFrame:
    frame = spark.createDataFrame(
        [(product, row.content, row.deleted) for product, row in said.items()],
        "product_id string, content_hash string, deleted boolean",
    )
    types = {column.name: column.sql_type for column in PRODUCTS.columns}
    return frame.select(
        "product_id", *[F.lit(None).cast(types[name]).alias(name) for name in CONTENT_COLUMNS[1:]],
        "content_hash", "deleted",
    )  # fmt: skip


def as_known(spark: SparkSession, known: dict[str, Known]) -> DataFrame:
    frame = spark.createDataFrame(
        [(product, row.content, row.first_seen_us, row.source_us, row.deleted) for product, row in known.items()],
        "product_id string, content_hash string, first_seen bigint, source_interval bigint, deleted boolean",
    )
    return frame.withColumns({name: F.timestamp_micros(name) for name in ("first_seen", "source_interval")})


def as_mentions(spark: SparkSession, known: dict[str, Known]) -> DataFrame:
    frame = spark.createDataFrame(
        [(product, row.heard_us) for product, row in known.items() if row.heard_us],
        "product_id string, interval_end bigint",
    )
    return frame.withColumn("interval_end", F.timestamp_micros("interval_end"))


@pytest.mark.parametrize("seed", range(40 if SOAK else 6))
def test_spark_settles_every_product_as_the_model_does(spark: SparkSession, seed: int) -> None:
    dice = random.Random(seed)
    applied = interval_of_day(dice.randrange(2, 8), list(Mode)[seed % 2])
    taken = {interval_of_day(dice.randrange(1, 9), mode) for mode in dice.choices(list(Mode), k=3)}
    timeline = Timeline(applied, tuple(Recorded(other.end_us, str(other.mode), 0, 0, 0) for other in taken))
    states = {f"product {number:03}": random_state(dice, timeline) for number in range(300)}
    known = {product: state for product, (state, _) in states.items() if state}
    said = {product: row for product, (_, row) in states.items() if row}

    settled = settle(as_said(spark, said), as_known(spark, known), as_mentions(spark, known), timeline).select(
        "product_id", "action", "content_hash", F.unix_micros("first_seen").alias("first_seen"),
        F.unix_micros("source_interval").alias("source_interval"), "deleted",
    )  # fmt: skip
    found = {row["product_id"]: row for row in settled.collect()}

    for product, (before, row_said) in states.items():
        action, after = settle_one(before, row_said, timeline)
        got = found.get(product)
        assert (got["action"] if got else None) == action, (product, before, row_said)
        if got is None:
            continue
        if action == "delete":
            assert (got["deleted"], got["source_interval"]) == (True, after.source_us)
        elif action in ("insert", "update"):
            assert (got["content_hash"], got["deleted"]) == (after.content, after.deleted)
            assert (got["first_seen"], got["source_interval"]) == (after.first_seen_us, after.source_us)
        elif action == "antedate":
            assert got["first_seen"] == after.first_seen_us
        elif action == "mention":
            assert got["source_interval"] == after.heard_us


def rows_of(said: dict[str, Said]) -> list[Row]:
    return [
        row(sku, name=said.content, photo=f"{sku}-{said.content}.jpg", gone=said.deleted) for sku, said in said.items()
    ]


@pytest.mark.parametrize("seed", range(20 if SOAK else 2))
def test_random_intervals_in_random_order_give_the_tables_of_their_right_order(
    catalog_lake: Lake, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(1000 + seed)
    history = random_history(dice, intervals=6 if SOAK else 4)
    while not all(interval.rows for interval in history):
        history = random_history(dice, intervals=len(history))
    arriving = [*history, dice.choice(history)]
    dice.shuffle(arriving)
    shop = Shop(catalog_lake, tmp_path / "shop")
    for interval in arriving:
        shop.take(interval.day, rows_of(interval.rows), interval.mode)

    expected = shelf_in_order(history)
    found = {sku: (row["title"], row["first_seen"], row["deleted"]) for sku, row in shop.products().items()}
    assert found == expected
    photos = {(image[0], image[2], image[3]) for image in shop.rows(PRODUCT_IMAGES)}
    assert photos == {(sku, f"https://shop.example/{sku}-{row[0]}.jpg", 0) for sku, row in expected.items()}


def test_an_unchanged_row_in_changes_is_noted_beside_products_and_not_in_their_change_feed(
    catalog_lake: Lake, tmp_path: Path
) -> None:
    shop = Shop(catalog_lake, tmp_path / "shop")
    shop.take(1, [row("1"), row("2")])
    before = shop.versions(PRODUCTS, PRODUCT_IMAGES)
    shop.take(3, [row("1")], Mode.CHANGES)
    assert shop.versions(PRODUCTS, PRODUCT_IMAGES) == before
    assert [mention[0] for mention in shop.rows(PRODUCT_MENTIONS)] == ["1"]
    shop.take(2, [row("2")])
    assert shop.live() == {"1", "2"}
