"""JSON Lines as shops export them, and what is none."""

import gzip
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from schemas.errors import BadData
from spark_jobs.catalog.sources import read_source
from spark_jobs.catalog.text import RAW, UNREADABLE
from tests.spark_jobs.catalog.ingest_helpers import mapping_of
from tests.spark_jobs.catalog.source_helpers import COLUMNS, write

pytestmark = pytest.mark.full


def test_jsonl_reads_numbers_lists_and_nulls_and_finds_broken_lines(spark: SparkSession, tmp_path: Path) -> None:
    lines = b'\xef\xbb\xbf{"sku":1,"cost":12.5,"photo":["a","b"],"name":null}\n\n{"sku":"2","name":\n[1]\n{"sku":"3"}\n'
    frame = read_source(spark, write(tmp_path, "catalog.jsonl", lines), mapping_of(**COLUMNS))
    rows = frame.collect()
    good = {row["sku"]: (row["name"], row["cost"], row["photo"]) for row in rows if not row[UNREADABLE]}
    assert good == {"1": (None, "12.5", '["a","b"]'), "3": (None, None, None)}
    assert sorted(row[RAW] for row in rows if row[UNREADABLE]) == ["[1]", '{"sku":"2","name":']


def test_a_key_that_no_early_line_of_jsonl_has_is_said_and_lines_that_are_no_json_are_rows(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = write(tmp_path, "catalog.jsonl", b'{"sku":"1","nmae":"Coat","cost":1,"photo":"a.jpg"}\n')
    columns = {**COLUMNS["columns"], "deleted": "gone"}
    read_source(spark, place, mapping_of(columns=columns))
    assert [record.args[0] for record in caplog.records if record.name == "shoplens"] == ["name"]  # type: ignore[index]
    place = write(tmp_path, "catalog.jsonl", b'{"sku":"1","name":"a\tb","photo":"a.jpg"}\n')  # a tab must be escaped
    assert [row[UNREADABLE] for row in read_source(spark, place, mapping_of(**COLUMNS)).collect()] == [True]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'\xef\xbb\xbf[{"sku":"1","photo":"a.jpg"},{"sku":"2","photo":"b.jpg"}]', "write an object a line"),
        (b'[\n  {\n    "sku": "1",\n    "photo": "a.jpg"\n  }\n]\n', "write an object a line"),
        (b'{\n  "sku": "1",\n  "photo": "a.jpg"\n}\n', "write each on one"),
        ('{"sku":"1","photo":"a.jpg"}\n'.encode("utf-16"), "JSON Lines are UTF-8"),
        (b"PK\x03\x04\x14\0\x06\0catalog.jsonl\n", "unpack it"),
        (gzip.compress(b'{"sku":"1","photo":"a.jpg"}\n'), "name it .jsonl.gz"),
    ],
)
def test_what_is_no_jsonl_says_what_it_is(spark: SparkSession, tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(BadData, match=says):
        read_source(spark, write(tmp_path, "catalog.jsonl", content), mapping_of(**COLUMNS))


def test_an_object_a_line_between_brackets_is_read(spark: SparkSession, tmp_path: Path) -> None:
    content = b'[\n{"sku":"1","photo":"a.jpg"},\n{"sku":"2","photo":"b.jpg"}\n]\n'
    frame = read_source(spark, write(tmp_path, "catalog.jsonl", content), mapping_of(**COLUMNS))
    assert {row["sku"] for row in frame.collect() if not row[UNREADABLE]} == {"1", "2"}


def test_of_two_objects_on_one_line_none_is_lost(spark: SparkSession, tmp_path: Path) -> None:
    lines = [
        b'{"sku":"1","photo":"a"} {"sku":"2"}',
        b'[{"sku":"3"},{"sku":"4"}]',
        b'{"sku":"5"} or so',
        b'{"sku":"6"},',
    ]
    frame = read_source(spark, write(tmp_path, "catalog.jsonl", b"\n".join(lines)), mapping_of(**COLUMNS))
    found = {row[RAW]: row["sku"] for row in frame.collect() if not row[UNREADABLE]}
    assert found == {'{"sku":"6"},': "6"}
    assert frame.where(UNREADABLE).count() == 3
