"""CSV, JSONL, Parquet and a real PostgreSQL, as shops export them and as they should not."""

import csv
import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.errors import BadData, CatalogMissing, MappingInvalid, Misconfigured, TryAgain
from schemas.mapping import CatalogMapping
from spark_jobs.catalog.moments import Mode
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.rows import judge_rows
from spark_jobs.catalog.sources import read_source
from spark_jobs.catalog.text import RAW, UNREADABLE
from spark_jobs.ingest_catalog import Limits, ingest, transform
from spark_jobs.lake.tables import Lake
from tests.servers import PostgresServer, free_port
from tests.spark_jobs.catalog.ingest_helpers import mapping_of
from tests.spark_jobs.catalog.model import interval_of_day

pytestmark = pytest.mark.full

COLUMNS = {"columns": {"product_id": "sku", "title": "name", "price": "cost"}}


def write(folder: Path, name: str, content: bytes) -> CatalogPlace:
    (folder / name).write_bytes(content)
    return CatalogPlace(str(folder))


def csv_mapping(**sections: Any):
    return mapping_of("csv", "catalog.csv", **COLUMNS, **sections)


def read_csv(spark: SparkSession, folder: Path, content: bytes) -> DataFrame:
    return read_source(spark, write(folder, "catalog.csv", content), csv_mapping())


def by_id(frame: DataFrame) -> dict[str, tuple[Any, ...]]:
    return {row["sku"]: (row["name"], row["cost"], row["photo"]) for row in frame.collect()}


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


def test_rows_of_delimiters_only_are_empty_lines_and_no_bad_rows(spark: SparkSession, tmp_path: Path) -> None:
    content = b"sku,name,cost,photo\n1,Coat,1,a.jpg\n,,,\n, ,,\n"
    assert list(by_id(read_csv(spark, tmp_path, content))) == ["1"]


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


def test_csv_in_a_named_encoding_is_read_in_it(spark: SparkSession, tmp_path: Path) -> None:
    place = write(tmp_path, "catalog.csv", "sku,name,cost,photo\n1,café,1,a.jpg\n".encode("cp1252"))
    source = {"format": "csv", "path": "catalog.csv", "encoding": "windows-1252"}
    assert by_id(read_source(spark, place, csv_mapping(source=source)))["1"][0] == "café"


def test_an_encoding_that_nobody_knows_is_refused_by_name(spark: SparkSession, tmp_path: Path) -> None:
    place = write(tmp_path, "catalog.csv", b"sku,name,cost,photo\n")
    for source_format in ("csv", "jsonl"):
        mapping = mapping_of(source={"format": source_format, "path": "catalog.csv", "encoding": "klingon"}, **COLUMNS)
        with pytest.raises(MappingInvalid, match="klingon"):
            read_source(spark, place, mapping)


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


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_parquet_times_in_nanoseconds_are_read_as_pandas_writes_them(
    spark: SparkSession, tmp_path: Path, zone: str | None
) -> None:
    moments = pa.array([1769817600_123456999, None, -1], pa.timestamp("ns", zone))
    table = {
        "sku": [1, 2, 3],
        "name": ["a"] * 3,
        "cost": [1] * 3,
        "photo": ["a.jpg"] * 3,
        "seen": moments,
        "other": moments,
    }
    pq.write_table(pa.table(table), tmp_path / "catalog.parquet")
    columns = {"product_id": "sku", "title": "name", "price": "cost", "created_at": "seen"}
    mapping = mapping_of("parquet", "catalog.parquet", columns=columns)
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping)
    rows = transform(source, mapping, "https://shop.example/", Mode.SNAPSHOT)
    found = {row[0]: row[1] for row in rows.select("product_id", F.unix_micros("created_at")).collect()}
    assert found == {"1": 1769817600_123456, "2": None, "3": -1}


def test_parquet_times_in_nanoseconds_may_be_the_first_and_the_last_there_are(
    spark: SparkSession, tmp_path: Path
) -> None:
    seen = pa.array([1 - 2**63, 2**63 - 1, -1001, -1000], pa.timestamp("ns"))
    pq.write_table(pa.table({"sku": list("1234"), "photo": ["a.jpg"] * 4, "seen": seen}), tmp_path / "c.parquet")
    mapping = mapping_of("parquet", "c.parquet", columns={"product_id": "sku", "created_at": "seen"})
    rows = transform(read_source(spark, CatalogPlace(str(tmp_path)), mapping), mapping, "https://a/", Mode.SNAPSHOT)
    found = {row[0]: row[1] for row in rows.select("product_id", F.unix_micros("created_at")).collect()}
    assert found == {"1": -9223372036854776, "2": 9223372036854775, "3": -2, "4": -1}


def test_whole_numbers_that_pandas_made_fractions_beside_a_null_are_whole(spark: SparkSession, tmp_path: Path) -> None:
    numbers = pa.array([123456789.0, 7.0, 0.5, float("nan"), None])
    rows: dict[str, Any] = {"sku": numbers, "name": ["a"] * 5, "cost": numbers, "photo": ["a.jpg"] * 5}
    pq.write_table(pa.table(rows), tmp_path / "catalog.parquet")
    mapping = mapping_of("parquet", "catalog.parquet", **COLUMNS)
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping)
    sifted = transform(source, mapping, "https://a/", Mode.SNAPSHOT).collect()
    assert {row["product_id"]: row["price"] for row in sifted if not row["faults"]} == {
        "123456789": 123456789.0, "7": 7.0, "0.5": 0.5,
    }  # fmt: skip
    assert sorted([fault["reason"] for fault in row["faults"]] for row in sifted if row["faults"]) == [
        ["no_product_id"], ["no_product_id", "price_not_a_number"],
    ]  # fmt: skip


def test_folders_that_name_a_value_name_it_letter_by_letter(spark: SparkSession, tmp_path: Path) -> None:
    for code in ("007", "08"):
        (tmp_path / f"rows/sku={code}").mkdir(parents=True)
        write(tmp_path / f"rows/sku={code}", "part.csv", b"name,cost,photo\nCoat,1,a.jpg\n")
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping_of("csv", "rows", **COLUMNS))
    assert set(by_id(source)) == {"007", "08"}


def test_parquet_files_may_have_columns_that_others_lack(spark: SparkSession, tmp_path: Path) -> None:
    rows: dict[str, Any] = {"sku": ["1"], "name": ["Coat"], "photo": ["a.jpg"]}
    seen = pa.array([1769817600_123456999], pa.timestamp("ns"))
    pq.write_table(pa.table(rows), tmp_path / "1.parquet")
    pq.write_table(pa.table(rows | {"sku": ["2"], "cost": [9.5], "seen": seen}), tmp_path / "2.parquet")
    columns = {"product_id": "sku", "price": "cost", "created_at": "seen"}
    mapping = mapping_of("parquet", "*.parquet", columns=columns)
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping)
    found = transform(source, mapping, "https://shop.example/", Mode.SNAPSHOT)
    rows_of = found.select("product_id", "price", F.unix_micros("created_at")).collect()
    assert {tuple(row) for row in rows_of} == {("1", None, None), ("2", 9.5, 1769817600_123456)}


def test_of_a_delta_table_only_the_rows_of_today_are_read(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("old", "new"):
        row = spark.sql(f"SELECT '1' AS sku, '{name}' AS name, 1 AS cost, 'a.jpg' AS photo")
        row.write.format("delta").mode("overwrite").save(str(tmp_path / "catalog"))
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping_of("parquet", "catalog", **COLUMNS))
    assert by_id(source) == {"1": ("new", "1", "a.jpg")}


def test_parquet_columns_of_any_type_are_read(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql(
        "SELECT 7 AS sku, 'Coat' AS name, CAST(9.50 AS DECIMAL(10,2)) AS cost, array('a.jpg', 'b.jpg') AS photo"
    ).write.parquet(str(tmp_path / "catalog.parquet"))
    mapping = mapping_of("parquet", "catalog.parquet", **COLUMNS)
    source = read_source(spark, CatalogPlace(str(tmp_path)), mapping)
    row = transform(source, mapping, "https://shop.example/", Mode.SNAPSHOT).collect()[0]
    assert (row["product_id"], row["price"]) == ("7", 9.5)
    assert row["image_urls"] == ["https://shop.example/a.jpg", "https://shop.example/b.jpg"]


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


@pytest.mark.parametrize("content", [b"not parquet at all", b"PAR1\x00\x00\x00\x00PAR1"])
def test_a_damaged_parquet_file_is_one_line(catalog_lake: Lake, tmp_path: Path, content: bytes) -> None:
    place = write(tmp_path, "catalog.parquet", content)
    mapping = mapping_of("parquet", "catalog.parquet", **COLUMNS)
    with pytest.raises(BadData) as raised:
        ingest(catalog_lake, place, mapping, interval_of_day(1, Mode.SNAPSHOT), Limits())
    assert "\n" not in str(raised.value)


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


def test_parquet_parts_go_together_where_a_column_is_empty_in_one_or_whole_numbers_are_wider(
    spark: SparkSession, tmp_path: Path
) -> None:
    parts = [
        {"sku": pa.array([7], pa.int32()), "name": pa.array(["Coat"]), "cost": pa.nulls(1), "photo": ["a.jpg"]},
        {"sku": pa.array([8], pa.int64()), "name": pa.nulls(1), "cost": pa.array([1.5]), "photo": ["b.jpg"]},
        {"sku": pa.array([], pa.string()), "name": pa.array([], pa.string()), "photo": pa.array([], pa.string())},
    ]
    moment = pa.array([datetime(2026, 5, 1)], pa.timestamp("ns"))
    for number, part in enumerate(parts):
        when = {"seen": moment} if number == 0 else {}
        pq.write_table(pa.table({**part, **when}), tmp_path / f"part [{number}] a%20b.parquet")

    columns = {"columns": {"product_id": "sku", "title": "name", "price": "cost", "updated_at": "seen"}}
    found = read_source(spark, CatalogPlace(str(tmp_path)), mapping_of("parquet", "*.parquet", **columns))

    rows = {row["sku"]: (row["name"], row["cost"], row["photo"], row["seen"]) for row in found.collect()}
    assert rows == {"7": ("Coat", None, "a.jpg", "2026-05-01 00:00:00"), "8": (None, "1.5", "b.jpg", None)}


@pytest.mark.parametrize(
    "costs",
    [
        (pa.array([1]), pa.array(["one"])),
        (pa.array([1]), pa.array([1.5])),  # 1 of the one would be 1.0 of the other
        (pa.array([0], pa.timestamp("ns")), pa.array([0], pa.timestamp("us"))),  # as pandas wrote, and as it writes
    ],
)
def test_parquet_files_with_other_types_are_one_line(
    spark: SparkSession, tmp_path: Path, costs: tuple[pa.Array, pa.Array]
) -> None:
    for number, cost in enumerate(costs):
        table = pa.table({"sku": ["1"], "name": ["Coat"], "cost": cost, "photo": ["a.jpg"]})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    with pytest.raises(BadData, match="different types"):
        read_source(spark, CatalogPlace(str(tmp_path)), mapping_of("parquet", "*.parquet", **COLUMNS))


def test_a_parquet_type_that_spark_does_not_know_is_one_line(spark: SparkSession, tmp_path: Path) -> None:
    numbers = pa.array([1], pa.decimal256(60, 2))
    for column in (pa.array([0], pa.time64("us")), numbers):
        table = pa.table({"sku": ["1"], "name": ["Coat"], "cost": [1], "photo": ["a.jpg"], "other": column})
        pq.write_table(table, tmp_path / "catalog.parquet")
        with pytest.raises(BadData, match="export it as text"):
            read_source(spark, CatalogPlace(str(tmp_path)), mapping_of("parquet", "catalog.parquet", **COLUMNS))


def test_signs_of_patterns_in_a_folder_are_its_name(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "shop [2] {new}"
    folder.mkdir()
    place = write(folder, "catalog.jsonl", b'{"sku":"1","photo":"a.jpg"}\n')
    for path in ("catalog.jsonl", "*.jsonl"):
        assert read_source(spark, place, mapping_of("jsonl", path, **COLUMNS)).count() == 1
    write(folder, "catalog.csv", b"sku,name,cost,photo\n1,Coat,1,a.jpg\n")
    with pytest.raises(BadData, match="rename it"):  # Spark itself takes the name of a CSV file for a pattern twice
        read_source(spark, place, csv_mapping())


@pytest.mark.parametrize("other", [b"cost,sku,name,photo\n1,2,Hat,b.jpg\n", b"sku,reason\n2,late\n"])
def test_csv_files_with_different_headers_are_refused_not_shifted(
    catalog_lake: Lake, tmp_path: Path, other: bytes
) -> None:
    write(tmp_path, "1.csv", b"sku,name,cost,photo\n1,Coat,1,a.jpg\n")
    place = write(tmp_path, "2.csv", other)
    mapping = csv_mapping(source={"format": "csv", "path": "*.csv"})
    with pytest.raises(BadData, match="different headers"):
        ingest(catalog_lake, place, mapping, interval_of_day(1, Mode.SNAPSHOT), Limits())


def test_postgresql_is_read_by_table_and_by_query(spark: SparkSession, postgresql_server: PostgresServer) -> None:
    postgresql_server.run(
        "DROP TABLE IF EXISTS goods; CREATE TABLE goods (sku int, name text, cost numeric, photo text[], seen timestamptz);"
        "INSERT INTO goods VALUES (1, 'Coat', 9.50, '{a.jpg,b.jpg}', '2026-01-31 02:00+02'), (2, 'Hut ß', NULL, '{}', NULL)"
    )
    place = CatalogPlace(postgresql_server.jdbc_uri, postgresql_server.user, postgresql_server.password)
    columns = {"product_id": "sku", "title": "name", "price": "cost", "created_at": "seen"}
    for table, expected in (("goods", {"1", "2"}), ("(SELECT * FROM goods WHERE cost > 1)", {"1"})):
        mapping = mapping_of("postgresql", source={"format": "postgresql", "table": table}, columns=columns)
        sifted = transform(
            read_source(spark, place, mapping), mapping, "https://shop.example/", Mode.SNAPSHOT
        ).collect()
        rows = {row["product_id"]: row for row in sifted}
        assert set(rows) == expected
        assert (rows["1"]["price"], str(rows["1"]["image_urls"][1])) == (9.5, "https://shop.example/b.jpg")
        assert rows["1"]["created_at"].timestamp() == 1769817600


def test_numbers_of_postgresql_are_read_digit_by_digit(spark: SparkSession, postgresql_server: PostgresServer) -> None:
    postgresql_server.run(
        'DROP TABLE IF EXISTS priced; CREATE TABLE priced (sku numeric, name text, cost numeric(50,10), photo text, "a `b" numeric);'
        "INSERT INTO priced VALUES (7, 'Coat', 1.5, 'a.jpg', 1e100), (8, 'Hat', 'NaN', 'b.jpg', NULL)"
    )
    place = CatalogPlace(postgresql_server.jdbc_uri, postgresql_server.user, postgresql_server.password)
    mapping = mapping_of("postgresql", source={"format": "postgresql", "table": "priced"}, **COLUMNS)
    rows = transform(read_source(spark, place, mapping), mapping, "https://shop.example/", Mode.SNAPSHOT).collect()
    found = {row["product_id"]: (row["price"], [fault["reason"] for fault in row["faults"]]) for row in rows}
    assert found == {"7": (1.5, []), "8": (None, ["price_not_a_number"])}


def test_times_of_postgresql_without_a_zone_are_utc_on_any_host(
    spark: SparkSession, postgresql_server: PostgresServer
) -> None:
    postgresql_server.run(
        "DROP TABLE IF EXISTS seen; CREATE TABLE seen (sku int, photo text, bare timestamp, zoned timestamptz);"
        "INSERT INTO seen VALUES (1, 'a.jpg', '2026-03-29 02:30', '2026-03-29 04:30+02')"
    )
    place = CatalogPlace(postgresql_server.jdbc_uri, postgresql_server.user, postgresql_server.password)
    columns = {"product_id": "sku", "created_at": "bare", "updated_at": "zoned"}
    mapping = mapping_of("postgresql", source={"format": "postgresql", "table": "seen"}, columns=columns)
    zones: Any = spark._jvm.java.util.TimeZone  # type: ignore[union-attr]
    before = zones.getDefault()
    zones.setDefault(zones.getTimeZone("Europe/Berlin"))  # where there was no such time on that day
    try:
        rows = transform(read_source(spark, place, mapping), mapping, None, Mode.SNAPSHOT)
        moments = rows.select(F.unix_seconds("created_at"), F.unix_seconds("updated_at")).collect()[0]
    finally:
        zones.setDefault(before)
    assert tuple(moments) == (1774751400, 1774751400)


def test_what_a_database_says_of_a_query_is_said_again(
    spark: SparkSession, lake: Lake, postgresql_server: PostgresServer
) -> None:
    place = CatalogPlace(postgresql_server.jdbc_uri, postgresql_server.user, postgresql_server.password)
    found_late = (
        "(SELECT g AS sku, (1 / (g - 1))::text AS name, 1 AS cost, 'a.jpg' AS photo FROM generate_series(1, 3) g)"
    )
    for query, says in (("(SELEC 1)", "syntax error"), (found_late, "division by zero")):
        mapping = mapping_of("postgresql", source={"format": "postgresql", "table": query}, **COLUMNS)
        with pytest.raises(BadData, match=says) as raised:
            ingest(lake, place, mapping, interval_of_day(1, Mode.SNAPSHOT), Limits())
        assert "\n" not in str(raised.value)


def test_what_is_wrong_with_a_database_is_one_line_with_its_exit_code(
    spark: SparkSession, postgresql_server: PostgresServer
) -> None:
    def error_of(uri: str, user: str, password: str | None, table: str) -> Exception:
        mapping = mapping_of("postgresql", source={"format": "postgresql", "table": table}, **COLUMNS)
        with pytest.raises((BadData, Misconfigured, TryAgain)) as raised:
            read_source(spark, CatalogPlace(uri, user, password), mapping)
        assert "\n" not in str(raised.value)
        return raised.value

    uri, user, password = postgresql_server.jdbc_uri, postgresql_server.user, postgresql_server.password
    assert isinstance(error_of(uri, user, "wrong", "goods"), Misconfigured)
    assert "PGPASSWORD" in str(error_of(uri, user, None, "goods"))
    assert "no nothing" in str(error_of(uri, user, password, "nothing"))
    assert isinstance(error_of(f"jdbc:postgresql://127.0.0.1:{free_port()}/shop", user, password, "goods"), TryAgain)
    secret = error_of(f"{uri}?password=hunter2", user, None, "nothing")
    assert "hunter2" not in str(secret)


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


def test_csv_columns_may_have_dots_in_their_names(spark: SparkSession, tmp_path: Path) -> None:
    by = mapping_of("csv", "catalog.csv", columns={"product_id": "Nr.", "title": "item.name"})
    place = write(tmp_path, "catalog.csv", b"Nr.,item.name,photo\n1,Coat,a.jpg\n,,\n2,Hat,b.jpg\n")
    rows = [(row["Nr."], row["item.name"]) for row in read_source(spark, place, by).collect()]
    assert rows == [("1", "Coat"), ("2", "Hat")]
