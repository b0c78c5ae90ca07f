"""CSV as shops export it, and as it should not be."""

import gzip
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from schemas.errors import BadData, MappingInvalid
from spark_jobs.catalog.moments import Mode
from spark_jobs.catalog.sources import read_source
from spark_jobs.catalog.text import UNREADABLE
from spark_jobs.ingest_catalog import Limits, ingest
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.catalog.ingest_helpers import mapping_of
from tests.spark_jobs.catalog.model import interval_of_day
from tests.spark_jobs.catalog.source_helpers import by_id, csv_mapping, read_csv, write

pytestmark = pytest.mark.full


def test_csv_may_have_a_byte_order_mark_quotes_line_breaks_and_names_in_any_case(
    spark: SparkSession, tmp_path: Path
) -> None:
    content = '\ufeffSKU, Name ,cost,PHOTO,more\r\n1,"a ""big"" coat\nin wool",10,a.jpg,x\r\n\r\n2,"","1,50",b.jpg,\r\n'
    rows = by_id(read_csv(spark, tmp_path, content.encode()))
    assert rows == {"1": ('a "big" coat\nin wool', "10", "a.jpg"), "2": (None, "1,50", "b.jpg")}


def test_csv_lines_may_end_in_several_ways_and_fields_stand_between_blanks(spark: SparkSession, tmp_path: Path) -> None:
    mixed = b'sku, name,cost,photo\r\n1, "a coat,\r\nlong" ,10,a.jpg\n2,Hat,1,b.jpg \r\n'
    rows = by_id(read_csv(spark, tmp_path, mixed))
    assert rows == {"1": ("a coat,\nlong", "10", "a.jpg"), "2": ("Hat", "1", "b.jpg")}
    returns = b"sku,name,cost,photo\r1,Coat,10,a.jpg\r2,Hat,1,b.jpg\r"
    rows = by_id(read_csv(spark, tmp_path, returns))
    assert rows == {"1": ("Coat", "10", "a.jpg"), "2": ("Hat", "1", "b.jpg")}


def test_csv_may_be_delimited_by_semicolons_or_tabs_and_compressed(spark: SparkSession, tmp_path: Path) -> None:
    semicolons = csv_mapping(source={"format": "csv", "path": "catalog.csv.gz", "delimiter": ";"})
    content = b'sku;name;cost;photo\n1;"a; b";"1,50";a.jpg\n'
    rows = by_id(read_source(spark, write(tmp_path, "catalog.csv.gz", gzip.compress(content)), semicolons))
    assert rows == {"1": ("a; b", "1,50", "a.jpg")}
    tabs = csv_mapping(source={"format": "csv", "path": "catalog.tsv", "delimiter": "\t"})
    rows = by_id(read_source(spark, write(tmp_path, "catalog.tsv", b"sku\tname\tcost\tphoto\n1\ta\t2\ta.jpg\n"), tabs))
    assert rows == {"1": ("a", "2", "a.jpg")}


@pytest.mark.parametrize(("sign", "written"), [(b";", ";"), (b"\t", r"\t")])
def test_csv_with_another_delimiter_says_what_to_write(
    spark: SparkSession, tmp_path: Path, sign: bytes, written: str
) -> None:
    with pytest.raises(MappingInvalid) as caught:
        read_csv(spark, tmp_path, sign.join([b"sku", b"name", b"cost", b"photo"]) + b"\n")
    assert f'write delimiter = "{written}" in [source]' in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("sku,name,cost,photo\n1,Coat,1,a.jpg\n".encode("utf-16"), 'encoding = "utf-16"'),
        (b"PK\x03\x04\x14\0\x06\0[Content_Types].xml\n", "unpack it, or export it as CSV"),
        (gzip.compress(b"sku,name,cost,photo\n1,Coat,1,a.jpg\n"), "name it .csv.gz"),
        (b"sep=;\nsku;name;cost;photo\n1;Coat;1;a.jpg\n", "column names come first"),
    ],
)
def test_what_is_no_csv_says_what_it_is(spark: SparkSession, tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(BadData, match=says):
        read_csv(spark, tmp_path, content)


def test_csv_may_have_columns_without_a_name_or_with_the_same_one(spark: SparkSession, tmp_path: Path) -> None:
    content = b",sku,name,cost,photo,size,size,\n0,1,Coat,10,a.jpg,S,M,\n1,2,few\n"
    rows = read_csv(spark, tmp_path, content).collect()
    assert [(row["sku"], row["photo"]) for row in rows if not row[UNREADABLE]] == [("1", "a.jpg")]
    assert len(rows) == 2


def test_csv_rows_with_too_few_or_too_many_fields_are_unreadable(spark: SparkSession, tmp_path: Path) -> None:
    content = b"sku,name,cost,photo\n1,few\n2,a,1,b.jpg,much,more\n3,Coat,1,c.jpg\n"
    frame = read_csv(spark, tmp_path, content)
    assert {row["sku"]: row[UNREADABLE] for row in frame.collect()} == {"1": True, "2": True, "3": False}


def test_rows_of_delimiters_only_are_empty_lines_and_no_bad_rows(spark: SparkSession, tmp_path: Path) -> None:
    content = b"sku,name,cost,photo\n1,Coat,1,a.jpg\n,,,\n, ,,\n"
    assert list(by_id(read_csv(spark, tmp_path, content))) == ["1"]


def test_csv_in_a_named_encoding_is_read_in_it(spark: SparkSession, tmp_path: Path) -> None:
    place = write(tmp_path, "catalog.csv", "sku,name,cost,photo\n1,café,1,a.jpg\n".encode("cp1252"))
    source = {"format": "csv", "path": "catalog.csv", "encoding": "windows-1252"}
    assert by_id(read_source(spark, place, csv_mapping(source=source)))["1"][0] == "café"


@pytest.mark.parametrize("other", [b"cost,sku,name,photo\n1,2,Hat,b.jpg\n", b"sku,reason\n2,late\n"])
def test_csv_files_with_different_headers_are_refused_not_shifted(
    catalog_lake: Lake, tmp_path: Path, other: bytes
) -> None:
    write(tmp_path, "1.csv", b"sku,name,cost,photo\n1,Coat,1,a.jpg\n")
    place = write(tmp_path, "2.csv", other)
    mapping = csv_mapping(source={"format": "csv", "path": "*.csv"})
    with pytest.raises(BadData, match="different headers"):
        ingest(catalog_lake, place, mapping, interval_of_day(1, Mode.SNAPSHOT), Limits())


def test_csv_columns_may_have_dots_in_their_names(spark: SparkSession, tmp_path: Path) -> None:
    by = mapping_of("csv", "catalog.csv", columns={"product_id": "Nr.", "title": "item.name"})
    place = write(tmp_path, "catalog.csv", b"Nr.,item.name,photo\n1,Coat,a.jpg\n,,\n2,Hat,b.jpg\n")
    rows = [(row["Nr."], row["item.name"]) for row in read_source(spark, place, by).collect()]
    assert rows == [("1", "Coat"), ("2", "Hat")]
