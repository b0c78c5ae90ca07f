"""Where a row's photo links are found, and what relative ones are joined to."""

import pytest
from pyspark.sql import SparkSession

from schemas.mapping import ImageLinks
from spark_jobs.catalog.links import base_uri, found_links


def test_without_a_base_links_are_joined_to_the_catalog_folder() -> None:
    assert base_uri(ImageLinks(column="photo"), "file:///shop/") == "file:///shop/"


def test_a_base_without_a_scheme_is_a_folder_beside_the_catalog() -> None:
    assert base_uri(ImageLinks(column="photo", base="photos/"), "file:///shop/") == "file:///shop/photos/"
    assert base_uri(ImageLinks(column="photo", base="/mnt/big photos"), "file:///shop/") == "file:///mnt/big%20photos/"


def test_a_base_with_a_scheme_is_kept_and_ends_in_a_slash() -> None:
    assert base_uri(ImageLinks(column="photo", base="https://cdn.example/p"), None) == "https://cdn.example/p/"


def test_a_database_has_no_folder_to_join_to() -> None:
    assert base_uri(ImageLinks(column="photo", base="photos"), None) is None


@pytest.mark.full
def test_columns_of_links_may_be_templates(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("a", "b"), ("a", None), (None, None)], "front string, back string")
    links = found_links(ImageLinks(columns=("img/{front}.jpg", "img/{back}.jpg")))
    assert [row[0] for row in rows.select(links).collect()] == [["img/a.jpg", "img/b.jpg"], ["img/a.jpg"], []]
    links = found_links(ImageLinks(column="{front},{back}", separator=","))
    assert [row[0] for row in rows.select(links).collect()] == [["a", "b"], [], []]


@pytest.mark.full
def test_a_column_of_several_may_hold_a_gallery(spark: SparkSession) -> None:
    texts = [("m.jpg", '["g.jpg","h.jpg"]'), ("m.jpg", None), (None, "g.jpg,h|i.jpg"), (None, None)]
    rows = spark.createDataFrame(texts, "main string, gallery string")
    found = [row[0] for row in rows.select(found_links(ImageLinks(columns=("main", "gallery")))).collect()]
    assert found == [["m.jpg", "g.jpg", "h.jpg"], ["m.jpg"], ["g.jpg,h|i.jpg"], []]
    parted = found_links(ImageLinks(columns=("main", "gallery"), separator=","))
    assert [row[0] for row in rows.select(parted).collect()][2] == ["g.jpg", "h|i.jpg"]


@pytest.mark.full
def test_objects_are_no_links_and_a_file_may_begin_with_a_bracket(spark: SparkSession) -> None:
    texts = ['[{"url":"a.jpg"},"b.jpg"]', '{"url":"a.jpg"}', '[["a.jpg"]]', "[1].jpg", "{3F25}.jpg", ' ["a.jpg"] ']
    rows = spark.createDataFrame([(text,) for text in texts], "photo string")
    found = [row[0] for row in rows.select(found_links(ImageLinks(column="photo"))).collect()]
    assert found == [["b.jpg"], [], [], ["[1].jpg"], ["{3F25}.jpg"], ["a.jpg"]]
