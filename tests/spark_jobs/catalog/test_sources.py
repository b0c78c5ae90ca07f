"""What all kinds of sources have in common: names, places, encodings, and files that cannot be read."""

import gzip
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from schemas.errors import BadData, CatalogMissing, MappingInvalid, Misconfigured
from spark_jobs.catalog.moments import Mode
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.sources import read_source
from spark_jobs.ingest_catalog import Limits, ingest, transform
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.catalog.ingest_helpers import mapping_of
from tests.spark_jobs.catalog.model import interval_of_day
from tests.spark_jobs.catalog.source_helpers import COLUMNS, by_id, csv_mapping, read_csv, write

pytestmark = pytest.mark.full


def test_columns_may_have_the_names_that_ingest_gives_its_own(spark: SparkSession, tmp_path: Path) -> None:
    place = write(tmp_path, "catalog.csv", b"_raw,_corrupt,cost,photo\n1,Coat,1,a.jpg\n")
    columns = {"product_id": "_raw", "title": "_corrupt", "price": "cost"}
    mapping = mapping_of("csv", "catalog.csv", columns=columns)
    (row,) = transform(read_source(spark, place, mapping), mapping, None, Mode.SNAPSHOT).collect()
    assert (row["product_id"], row["title"]) == ("1", "Coat")


def test_bytes_in_another_encoding_are_found_in_csv_and_jsonl(spark: SparkSession, tmp_path: Path) -> None:
    csv = b"sku,name,cost,photo\n1,caf\xe9,1,a.jpg\n2,caf\xc3\xa9,1,b.jpg\n"
    jsonl = b'{"sku":"1","name":"caf\xe9","photo":"a"}\n{"sku":"2","name":"caf\xc3\xa9","photo":"b"}\n'
    sources = [
        (read_csv(spark, tmp_path, csv), csv_mapping()),
        (read_source(spark, write(tmp_path, "catalog.jsonl", jsonl), mapping_of(**COLUMNS)), mapping_of(**COLUMNS)),
    ]
    for source, mapping in sources:
        sifted = transform(source, mapping, "https://shop.example/", Mode.SNAPSHOT).collect()
        reasons = {row["product_id"]: [fault["reason"] for fault in row["faults"]] for row in sifted}
        assert reasons == {"1": ["encoding_invalid"], "2": []}


def test_an_encoding_that_nobody_knows_is_refused_by_name(spark: SparkSession, tmp_path: Path) -> None:
    place = write(tmp_path, "catalog.csv", b"sku,name,cost,photo\n")
    for source_format in ("csv", "jsonl"):
        mapping = mapping_of(source={"format": source_format, "path": "catalog.csv", "encoding": "klingon"}, **COLUMNS)
        with pytest.raises(MappingInvalid, match="klingon"):
            read_source(spark, place, mapping)


def test_folders_that_name_a_value_name_it_letter_by_letter(spark: SparkSession, tmp_path: Path) -> None:
    for code in ("007", "08"):
        (tmp_path / f"rows/sku={code}").mkdir(parents=True)
        write(tmp_path / f"rows/sku={code}", "part.csv", b"name,cost,photo\nCoat,1,a.jpg\n")
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping_of("csv", "rows", **COLUMNS))
    assert set(by_id(source)) == {"007", "08"}


def test_a_missing_column_names_it_and_those_there_are(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(MappingInvalid, match=r"'cost', but .* has name, photo, sku$"):
        read_csv(spark, tmp_path, b"sku,name,photo\n1,Coat,a.jpg\n")
    place = write(tmp_path, "catalog.jsonl", b'{"id":"1","name":"Coat"}\n')
    with pytest.raises(MappingInvalid, match=r"'sku', but .* has id, name$"):
        read_source(spark, place, mapping_of(**COLUMNS))


def test_a_catalog_that_is_not_there_says_which_part(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(CatalogMissing, match=r"no catalog at .*nowhere"):
        read_source(spark, CatalogPlace(str(tmp_path / "nowhere")), csv_mapping())
    with pytest.raises(CatalogMissing, match=r"no file catalog\.csv in"):
        read_source(spark, CatalogPlace(str(tmp_path)), csv_mapping())
    with pytest.raises(CatalogMissing, match=r"does not exist"):
        read_source(spark, CatalogPlace(str(tmp_path)), mapping_of("csv", "parts/*.csv", **COLUMNS))
    (tmp_path / "catalog.csv" / "january").mkdir(parents=True)
    with pytest.raises(BadData, match=r"no file to read in \[source\] path"):
        read_source(spark, CatalogPlace(str(tmp_path)), csv_mapping())


@pytest.mark.parametrize("feed", ["https://shop.example/feed.csv", "http://u:secret@shop.example/feed", "ftp://x/feed"])
def test_the_address_of_a_feed_is_no_catalog_and_its_password_is_not_told(feed: str) -> None:
    with pytest.raises(Misconfigured, match=r"web address \(\w+:\), .*: save it to a folder") as refused:
        CatalogPlace(feed).file("feed.csv")
    assert "secret" not in str(refused.value)


def test_an_empty_file_has_no_rows_as_an_hour_without_changes_needs_it(spark: SparkSession, tmp_path: Path) -> None:
    assert transform(read_csv(spark, tmp_path, b""), csv_mapping(), None, Mode.CHANGES).count() == 0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("catalog.csv.gz", gzip.compress(b"sku,name,cost,photo\n1,Coat,1,a.jpg\n")[:-12], "compressed file"),
        ("catalog.csv.gz", b"sku,name,cost,photo\n", "compressed file"),
        ("catalog.jsonl.gz", b'{"sku":"1"}\n', "compressed file"),
        ("catalog.csv", b"sku,name,cost,photo" + b",x" * 21_000 + b"\n", "20480 columns"),
    ],
)
def test_a_file_that_spark_cannot_read_is_one_line(
    catalog_lake: Lake, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    mapping = mapping_of("jsonl" if "jsonl" in name else "csv", name, **COLUMNS)
    with pytest.raises(BadData, match=says) as raised:
        ingest(catalog_lake, write(tmp_path, name, content), mapping, interval_of_day(1, Mode.SNAPSHOT), Limits())
    assert "\n" not in str(raised.value)


def test_signs_of_patterns_in_a_folder_are_its_name(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "shop [2] {new}"
    folder.mkdir()
    place = write(folder, "catalog.jsonl", b'{"sku":"1","photo":"a.jpg"}\n')
    for path in ("catalog.jsonl", "*.jsonl"):
        assert read_source(spark, place, mapping_of("jsonl", path, **COLUMNS)).count() == 1
    write(folder, "catalog.csv", b"sku,name,cost,photo\n1,Coat,1,a.jpg\n")
    with pytest.raises(BadData, match="rename it"):  # Spark itself takes the name of a CSV file for a pattern twice
        read_source(spark, place, csv_mapping())


@pytest.mark.parametrize("source_format", ["csv", "jsonl"])
def test_texts_that_a_shop_writes_for_nothing_are_nothing(
    spark: SparkSession, tmp_path: Path, source_format: str
) -> None:
    name = f"catalog.{source_format}"
    by = mapping_of(source={"format": source_format, "path": name, "nulls": ["NULL", r"\N"]}, **COLUMNS)
    csv_rows = b"sku,name,cost,photo\n1, NULL ,\\N,a.jpg\n2,NULL hat,1,b.jpg\n"
    json_rows = b'{"sku":1,"name":"NULL","cost":"\\\\N","photo":"a.jpg"}\n{"sku":2,"name":"NULL hat","cost":1,"photo":"b.jpg"}\n'
    place = write(tmp_path, name, csv_rows if source_format == "csv" else json_rows)
    assert by_id(read_source(spark, place, by)) == {"1": (None, None, "a.jpg"), "2": ("NULL hat", "1", "b.jpg")}
