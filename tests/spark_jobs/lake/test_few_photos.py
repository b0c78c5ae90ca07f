"""A few photos come with their bytes, and files that hold none of them are not read."""

from collections.abc import Iterable

import pytest
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.tables import IMAGES
from spark_jobs.lake.few_photos import only_files, take_photos
from spark_jobs.lake.tables import Lake

pytestmark = pytest.mark.full
NIGHTS = (("a", "b", "c"), ("d", "e"), ("f",))


@pytest.fixture
def images(lake: Lake) -> DataFrame:
    """Three nights' photos, each night in a file of its own; then a verdict of the first night was changed."""
    lake.ensure(IMAGES)
    for night in NIGHTS:
        rows = [(key, "accepted", key.encode()) for key in night]
        added = lake.spark.createDataFrame(rows, "content_sha256 string, verdict string, stored binary").coalesce(1)
        added.write.format("delta").mode("append").save(lake.path(IMAGES))
    DeltaTable.forPath(lake.spark, lake.path(IMAGES)).update("content_sha256 = 'b'", {"verdict": F.lit("rejected")})
    return lake.read(IMAGES)


def keys(spark: SparkSession, wanted: Iterable[str]) -> DataFrame:
    return spark.createDataFrame([(key,) for key in wanted], "content_sha256 string")


def found(photos: DataFrame) -> dict[str, tuple[str, bytes]]:
    rows = photos.select("content_sha256", "verdict", "stored").collect()
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: (row[1], bytes(row[2])) for row in rows}


def test_photos_come_with_their_bytes_from_the_files_that_hold_them_alone(
    spark: SparkSession, images: DataFrame
) -> None:
    photos = take_photos(images, keys(spark, ["f", "unknown"]), 2)
    assert found(photos) == {"f": ("accepted", b"f")}
    assert len(photos.inputFiles()) == 1 < len(images.inputFiles())


def test_a_row_that_was_written_anew_is_found_once_as_it_is_now(spark: SparkSession, images: DataFrame) -> None:
    photos = take_photos(images, keys(spark, "abd"), 3)
    assert found(photos) == {"a": ("accepted", b"a"), "b": ("rejected", b"b"), "d": ("accepted", b"d")}


def test_an_older_version_is_read_as_it_was(spark: SparkSession, images: DataFrame, lake: Lake) -> None:
    before_the_change = lake.read(IMAGES, lake.version(IMAGES) - 1)
    assert found(take_photos(before_the_change, keys(spark, "b"), 1)) == {"b": ("accepted", b"b")}


def test_where_nothing_is_there_nothing_is_found(spark: SparkSession, images: DataFrame) -> None:
    assert found(take_photos(images, keys(spark, ["unknown"]), 1)) == {}


def test_for_a_great_part_of_the_table_all_of_it_is_read(
    spark: SparkSession, images: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_jobs.lake.few_photos.BROADCAST_ROWS_MAX", 1)
    photos = take_photos(images, keys(spark, "ef"), 2)
    assert set(found(photos)) == {"e", "f"}
    assert len(photos.inputFiles()) == len(images.inputFiles())


def test_a_delta_whose_inside_differs_costs_no_rows(images: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(table: DataFrame, names: object) -> DataFrame:
        raise TypeError("'JavaPackage' object is not callable")

    monkeypatch.setattr("spark_jobs.lake.few_photos._read_files", changed)
    assert set(found(only_files(images, []))) == set("abcdef")
