"""CSV, JSONL, Parquet and a real PostgreSQL, as shops export them and as they should not."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from schemas.errors import BadData, MappingInvalid, Misconfigured, TryAgain
from spark_jobs.catalog.moments import Mode
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.sources import RAW, UNREADABLE, read_source
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


def test_csv_rows_with_too_few_or_too_many_fields_are_unreadable(spark: SparkSession, tmp_path: Path) -> None:
    content = b"sku,name,cost,photo\n1,few\n2,a,1,b.jpg,much,more\n3,Coat,1,c.jpg\n"
    frame = read_csv(spark, tmp_path, content)
    assert {row["sku"]: row[UNREADABLE] for row in frame.collect()} == {"1": True, "2": True, "3": False}


def test_a_quote_that_is_never_closed_counts_as_all_the_rows_it_swallows(spark: SparkSession, tmp_path: Path) -> None:
    content = b'sku,name,cost,photo\n1,Coat,1,a.jpg\n2,"Hat,1,b.jpg\n3,Cap,1,c.jpg\n4,Bag,1,d.jpg\n'
    sifted = transform(read_csv(spark, tmp_path, content), csv_mapping(), None, Mode.CHANGES)
    assert {bool(row["faults"]): row["lines"] for row in sifted.collect() if row["faults"]} == {True: 3}


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
    with pytest.raises(BadData, match=r"no catalog at .*nowhere"):
        read_source(spark, CatalogPlace(str(tmp_path / "nowhere")), csv_mapping())
    with pytest.raises(BadData, match=r"no file catalog\.csv in"):
        read_source(spark, CatalogPlace(str(tmp_path)), csv_mapping())
    with pytest.raises(BadData, match="is empty"):
        read_csv(spark, tmp_path, b"")


@pytest.mark.parametrize("content", [b"not parquet at all", b"PAR1\x00\x00\x00\x00PAR1"])
def test_a_damaged_parquet_file_is_one_line(catalog_lake: Lake, tmp_path: Path, content: bytes) -> None:
    place = write(tmp_path, "catalog.parquet", content)
    mapping = mapping_of("parquet", "catalog.parquet", **COLUMNS)
    with pytest.raises(BadData) as raised:
        ingest(catalog_lake, place, mapping, interval_of_day(1, Mode.SNAPSHOT), Limits())
    assert "\n" not in str(raised.value)


def test_csv_files_with_different_headers_are_refused_not_shifted(catalog_lake: Lake, tmp_path: Path) -> None:
    write(tmp_path, "1.csv", b"sku,name,cost,photo\n1,Coat,1,a.jpg\n")
    place = write(tmp_path, "2.csv", b"cost,sku,name,photo\n1,2,Hat,b.jpg\n")
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
