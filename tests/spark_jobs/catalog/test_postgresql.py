"""A catalog in a real PostgreSQL."""

from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from schemas.errors import BadData, Misconfigured, TryAgain
from spark_jobs.catalog.moments import Mode
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.sources import read_source
from spark_jobs.ingest_catalog import Limits, ingest, transform
from spark_jobs.lake.tables import Lake
from tests.servers import PostgresServer, free_port
from tests.spark_jobs.catalog.ingest_helpers import mapping_of
from tests.spark_jobs.catalog.model import interval_of_day
from tests.spark_jobs.catalog.source_helpers import COLUMNS

pytestmark = pytest.mark.full


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
