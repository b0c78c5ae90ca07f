"""The whole job on small catalogs: what it writes, what it refuses, and what a crash leaves."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame

from schemas.errors import BadData, SchemaTooNew, TooManyBadRows, TooManyDeletions
from schemas.tables import (
    CATALOG_INTERVALS,
    CATALOG_QUARANTINE,
    PRODUCT_IMAGES,
    PRODUCT_MENTIONS,
    PRODUCTS,
)
from spark_jobs import ingest_catalog
from spark_jobs.catalog.moments import Mode
from spark_jobs.catalog.sources import read_source
from spark_jobs.ingest_catalog import Limits
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.catalog.ingest_helpers import Shop, row

pytestmark = pytest.mark.full

BUSINESS_TABLES = (PRODUCTS, PRODUCT_MENTIONS, PRODUCT_IMAGES, CATALOG_QUARANTINE)
ALL_TABLES = (*BUSINESS_TABLES, CATALOG_INTERVALS)


@pytest.fixture
def shop(catalog_lake: Lake, tmp_path: Path) -> Shop:
    return Shop(catalog_lake, tmp_path / "shop")


def test_a_second_run_over_an_unchanged_catalog_writes_nothing(shop: Shop) -> None:
    rows = [row("1"), row("2", photo="b.jpg|c.jpg"), row("3", cost="N/A")]
    first = shop.take(1, rows)
    assert first.counts == {"rows_read": 3, "rows_bad": 1, "upserted": 2, "deleted": 0, "unchanged": 0}
    after_first = shop.versions(*ALL_TABLES)
    again = shop.take(1, rows)
    assert again.counts == {"rows_read": 3, "rows_bad": 1, "upserted": 0, "deleted": 0, "unchanged": 2}
    assert shop.versions(*ALL_TABLES) == after_first
    del rows[2]
    shop.take(2, rows)
    assert shop.versions(*BUSINESS_TABLES) == after_first[:4]
    assert shop.versions(CATALOG_INTERVALS) == [after_first[4] + 1]


def test_a_snapshot_deletes_what_it_lacks_and_keeps_its_columns_and_photos(shop: Shop) -> None:
    shop.take(1, [row("1"), row("2"), row("3")])
    ingested = shop.take(2, [row("1", name="Cape"), row("2", gone="yes"), row("4")])
    assert ingested.counts == {"rows_read": 3, "rows_bad": 0, "upserted": 2, "deleted": 2, "unchanged": 0}
    assert shop.live() == {"1", "4"}
    assert shop.products()["3"]["title"] == "Coat"
    assert {image[0] for image in shop.rows(PRODUCT_IMAGES)} == {"1", "2", "3", "4"}


def test_photos_follow_the_row_in_number_and_order(shop: Shop) -> None:
    def photos() -> list[tuple[str, int]]:
        return sorted((image[2].rpartition("/")[2], image[3]) for image in shop.rows(PRODUCT_IMAGES))

    shop.take(1, [row("1", photo="a.jpg|b.jpg|c.jpg")])
    assert photos() == [("a.jpg", 0), ("b.jpg", 1), ("c.jpg", 2)]
    shop.take(2, [row("1", photo="c.jpg|a.jpg")], Mode.CHANGES)
    assert photos() == [("a.jpg", 1), ("c.jpg", 0)]


def test_a_snapshot_that_would_delete_too_much_stops_before_it_writes(shop: Shop) -> None:
    shop.take(1, [row(str(number)) for number in range(10)])
    before = shop.versions(*ALL_TABLES)
    with pytest.raises(TooManyDeletions, match="delete 3 of 10 products, more than 20%"):
        shop.take(2, [row(str(number)) for number in range(7)] + [row(None)], limits=Limits(0.2, 0.5))
    assert shop.versions(*ALL_TABLES) == before
    shop.take(2, [row(str(number)) for number in range(8)], limits=Limits(0.2, 0.5))
    assert len(shop.live()) == 8


def test_too_many_bad_rows_stop_the_job_with_their_reasons_kept(shop: Shop) -> None:
    shop.take(1, [row("1"), row("2")])
    before = shop.versions(PRODUCTS, PRODUCT_IMAGES, CATALOG_INTERVALS)
    with pytest.raises(TooManyBadRows, match="1 of 2 rows are bad, more than 10%"):
        shop.take(2, [row("1"), row("2", cost="ask us")], limits=Limits())
    assert shop.versions(PRODUCTS, PRODUCT_IMAGES, CATALOG_INTERVALS) == before
    kept = shop.lake.read(CATALOG_QUARANTINE).collect()
    assert [(row["product_id"], row["reason"], row["field"]) for row in kept] == [("2", "price_not_a_number", "price")]
    assert json.loads(kept[0]["raw"])["cost"] == "ask us"
    shop.take(2, [row("1"), row("2")], limits=Limits())
    assert shop.rows(CATALOG_QUARANTINE) == []


def test_the_line_on_too_many_bad_rows_says_what_is_commonest(shop: Shop) -> None:
    rows = [row("1"), row("2", cost="ask"), row("3", cost="ask us"), row("4", photo=None), row(None, photo=None)]
    with pytest.raises(TooManyBadRows, match=r"\(2 no_image, 2 price_not_a_number, 1 no_product_id\)") as raised:
        shop.take(1, rows, limits=Limits())
    assert raised.value.reasons == {"no_image": 2, "price_not_a_number": 2, "no_product_id": 1}


def test_a_few_bad_rows_of_an_hour_do_not_cost_it_its_good_ones(shop: Shop) -> None:
    done = shop.take(1, [row("1"), row("2", cost="ask"), row(None)], Mode.CHANGES, Limits())
    assert (done.counts["rows_bad"], shop.live()) == (2, {"1"})
    with pytest.raises(TooManyBadRows, match="11 of 12"):
        shop.take(2, [row("1"), *(row(str(sku), cost="ask") for sku in range(11))], Mode.CHANGES, Limits())


def test_an_empty_snapshot_is_refused_and_empty_changes_are_not(shop: Shop) -> None:
    with pytest.raises(BadData, match="has no rows"):
        shop.take(1, [])
    assert shop.take(1, [], Mode.CHANGES).counts["rows_read"] == 0


def test_the_same_interval_with_mended_rows_replaces_what_it_said(shop: Shop) -> None:
    shop.take(1, [row("1"), row("2")])
    shop.take(1, [row("1", name="Mended"), row("3")])
    assert shop.live() == {"1", "3"}
    assert shop.products()["1"]["title"] == "Mended"


@contextmanager
def dying_in(monkeypatch: pytest.MonkeyPatch, write: str) -> Iterator[None]:
    """The job is killed as it reaches one of its writes."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ingest_catalog, write, die)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.parametrize(("dies_in", "mode"), [("write_interval", Mode.SNAPSHOT), ("write_images", Mode.CHANGES)])
def test_a_run_that_died_is_finished_by_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, dies_in: str, mode: Mode
) -> None:
    shop.take(1, [row("1", photo="a.jpg"), row("2"), row("3")])
    day_2 = [row("1", photo="b.jpg"), row("4"), row("2", gone="yes")]
    with dying_in(monkeypatch, dies_in):
        shop.take(2, day_2, mode)
    shop.take(2, day_2, mode)
    assert shop.live() == ({"1", "4"} if mode is Mode.SNAPSHOT else {"1", "3", "4"})
    photos = {image[0]: image[2].rpartition("/")[2] for image in shop.rows(PRODUCT_IMAGES)}
    expected = {product: columns["image_urls"][0] for product, columns in shop.products().items()}
    assert photos == {product: url.rpartition("/")[2] for product, url in expected.items()}
    assert photos["1"] == "b.jpg"
    assert [record[2] for record in shop.rows(CATALOG_INTERVALS)] == ["snapshot", str(mode)]


def test_another_interval_heals_the_photos_that_a_dead_run_left(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.take(1, [row("1", photo="a.jpg"), row("2")])

    with dying_in(monkeypatch, "write_images"):
        shop.take(2, [row("1", photo="b.jpg")], Mode.CHANGES)
    shop.take(3, [row("2", name="Hat")], Mode.CHANGES)
    urls = {image[0]: image[2] for image in shop.rows(PRODUCT_IMAGES)}
    assert urls["1"] == "https://shop.example/b.jpg"


def test_a_lake_from_a_newer_release_is_left_alone(shop: Shop) -> None:
    shop.take(1, [row("1")])
    shop.lake.spark.sql(
        f"ALTER TABLE delta.`{shop.lake.path(PRODUCT_IMAGES)}` SET TBLPROPERTIES ('shoplens.schema' = '99')"
    )
    shop.lake = Lake(shop.lake.spark, shop.lake.root)
    with pytest.raises(SchemaTooNew, match="product_images has schema version 99"):
        shop.take(2, [row("1", name="Hat")])
    assert shop.lake.spark.read.format("delta").load(shop.lake.path(PRODUCTS)).collect()[0]["title"] == "Coat"


@pytest.fixture
def command(shop: Shop, tmp_path: Path) -> list[str]:
    shop.export([row("1"), row("2")])
    mapping = tmp_path / "shop.toml"
    mapping.write_text(
        '[source]\nformat = "jsonl"\npath = "catalog.jsonl"\n[columns]\nproduct_id = "sku"\ntitle = "name"\n'
        '[images]\ncolumn = "photo"\n'
    )
    return [
        "--lake", shop.lake.root, "--store", str(tmp_path / "store"), "--catalog", str(shop.folder),
        "--mapping", str(mapping), "--interval-start", "2026-01-01T00:00:00Z",
    ]  # fmt: skip


def test_the_command_leaves_a_receipt_for_the_next_job(command: list[str], shop: Shop, tmp_path: Path) -> None:
    assert ingest_catalog.main([*command, "--interval-end", "2026-01-02T00:00:00Z"]) == 0
    assert ingest_catalog.main([*command, "--interval-end", "2026-01-01T12:00:00Z"]) == 0
    runs = tmp_path / "store" / "runs" / "manual"
    receipt = json.loads((runs / "20260102T000000Z" / "ingest_catalog.json").read_text())
    assert receipt["counts"] == {"rows_read": 2, "rows_bad": 0, "upserted": 2, "deleted": 0, "unchanged": 0}
    assert receipt["table_versions"] == {"products": 1, "product_images": 1}
    assert receipt["facts"]["newest"] is True
    older = json.loads((runs / "20260101T120000Z" / "ingest_catalog.json").read_text())
    assert older["facts"]["newest"] is False
    first_seen = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp() * 1e6
    assert {columns["first_seen"] for columns in shop.products().values()} == {first_seen}


@pytest.mark.parametrize("change", ["nothing", "a row", "a file while it was read"])
def test_a_snapshot_that_is_the_one_of_the_night_before_is_not_read(
    command: list[str], shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    read: list[object] = []

    def note(*arguments: Any) -> DataFrame:
        read.append(arguments)
        if change == "a file while it was read":
            shop.export([row("1"), row("2"), row("3")])
        return read_source(*arguments)

    monkeypatch.setattr(ingest_catalog, "read_source", note)
    assert ingest_catalog.main([*command, "--interval-end", "2026-01-02T00:00:00Z"]) == 0
    shop.export([row("1"), row("2")])
    if change == "a row":
        shop.export([row("1"), row("2", name="Cape")])
    next_day = [*command[:-1], "2026-01-02T00:00:00Z", "--interval-end", "2026-01-03T00:00:00Z"]
    assert ingest_catalog.main(next_day) == 0
    assert len(read) == (1 if change == "nothing" else 2)
    receipts = [
        json.loads((tmp_path / "store" / "runs" / "manual" / key / "ingest_catalog.json").read_text())
        for key in ("20260102T000000Z", "20260103T000000Z")
    ]
    if change == "nothing":
        assert receipts[1]["facts"] == receipts[0]["facts"]
        assert receipts[1]["table_versions"] == receipts[0]["table_versions"]
        assert receipts[1]["counts"] == {"rows_read": 2, "rows_bad": 0, "upserted": 0, "deleted": 0, "unchanged": 2}
    if change == "a row":
        assert shop.products()["2"]["title"] == "Cape"


@pytest.mark.parametrize(("told", "code", "said"), [((), 65, "--catalog"), (("--may-be-late",), 75, "or it is late")])
def test_a_catalog_that_is_not_there_is_waited_for_where_it_may_be_late(
    command: list[str], shop: Shop, capsys: pytest.CaptureFixture[str], told: tuple[str, ...], code: int, said: str
) -> None:
    shutil.rmtree(shop.folder)
    assert ingest_catalog.main([*command, "--interval-end", "2026-01-02T00:00:00Z", *told]) == code
    assert capsys.readouterr().err.splitlines()[-1].endswith(said)


def test_an_expected_error_is_one_line_and_its_exit_code(
    command: list[str], shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.export([row("1"), row("2", photo=None)])
    assert ingest_catalog.main([*command, "--interval-end", "2026-01-02T00:00:00Z"]) == 65
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ingest_catalog:")]
    assert len(said) == 1
    assert "1 of 2 rows are bad, more than 10% (1 no_image): see" in said[0]
    assert not (tmp_path / "store" / "runs" / "manual" / "20260102T000000Z" / "ingest_catalog.json").exists()
