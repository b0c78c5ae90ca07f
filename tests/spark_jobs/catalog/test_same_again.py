"""A snapshot that is taken again: known by its bytes, and noted as reading it would have it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.receipts import Receipt
from schemas.tables import CATALOG_INTERVALS, CATALOG_QUARANTINE, PRODUCT_IMAGES, PRODUCT_MENTIONS, PRODUCTS, Table
from spark_jobs.catalog import same_again
from spark_jobs.catalog.moments import Mode
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.same_again import catalog_digest, take_same
from spark_jobs.ingest_catalog import Ingested
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.catalog.ingest_helpers import Shop, mapping_of, row, sorted_rows
from tests.spark_jobs.catalog.model import interval_of_day


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shop"
    (made / "photos").mkdir(parents=True)
    (made / "catalog.jsonl").write_text('{"sku": "1"}')
    (made / "photos" / "a.jpg").write_bytes(b"jpeg")
    return made


def digest_of(folder: Path, **mapping: str) -> str | None:
    return catalog_digest(CatalogPlace(str(folder)), mapping_of(**mapping))


def test_the_same_bytes_with_the_same_mapping_are_the_same_catalog(folder: Path) -> None:
    first = digest_of(folder)
    (folder / "catalog.jsonl").write_text('{"sku": "1"}')
    (folder / "photos" / "b.jpg").write_bytes(b"another")
    assert first is not None
    assert digest_of(folder) == first


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "catalog.jsonl").write_text('{"sku": "2"}'),
        lambda folder: (folder / "catalog.jsonl").write_text('{"sku": "1"}\n'),
    ],
)
def test_another_byte_is_another_catalog(folder: Path, change: Callable[[Path], int]) -> None:
    first = digest_of(folder)
    change(folder)
    assert digest_of(folder) not in (first, None)


def test_another_place_mapping_or_release_reads_the_catalog_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digest_of(folder)
    priced = mapping_of(columns={"product_id": "sku", "price": "cost"})
    assert catalog_digest(CatalogPlace(str(folder)), priced) not in (first, None)
    moved = folder.rename(tmp_path / "moved")  # relative links lead elsewhere
    assert digest_of(moved) not in (first, None)
    moved.rename(folder)
    assert digest_of(folder) == first
    monkeypatch.setattr(same_again, "_rules", list)
    assert digest_of(folder) not in (first, None)


def test_of_a_folder_the_files_count_that_spark_reads_with_their_names(folder: Path) -> None:
    parts = folder / "parts"
    (parts / "country=de").mkdir(parents=True)
    (parts / "country=de" / "1.jsonl").write_text("{}")
    first = digest_of(folder, path="parts")
    assert first is not None
    (parts / "country=de" / "1.jsonl").rename(parts / "country=de" / "2.jsonl")
    second = digest_of(folder, path="parts")
    assert second not in (first, None)
    (parts / "country=de").rename(parts / "country=at")
    assert digest_of(folder, path="parts") not in (first, second, None)


@pytest.mark.parametrize("place", ["s3://shop/catalog", "jdbc:postgresql://db:5432/shop"])
def test_what_is_no_local_file_has_no_digest(place: str) -> None:
    assert catalog_digest(CatalogPlace(place), mapping_of()) is None


@pytest.mark.parametrize("path", ["catalog*.jsonl", "nothing.jsonl"])
def test_a_pattern_or_nothing_has_no_digest(folder: Path, path: str) -> None:
    assert digest_of(folder, path=path) is None


TABLES = (PRODUCTS, PRODUCT_MENTIONS, PRODUCT_IMAGES, CATALOG_QUARANTINE, CATALOG_INTERVALS)
ROWS = [row("1"), row("2", photo="b.jpg|c.jpg"), row("3", cost="N/A"), row("4", cost="?", photo=None)]


@pytest.fixture
def shop(catalog_lake: Lake, tmp_path: Path) -> Shop:
    return Shop(catalog_lake, tmp_path / "shop")


def receipt_of(shop: Shop, ingested: Ingested, day: int) -> Receipt:
    facts = {"newest": ingested.newest, "lake_id": shop.lake.lake_id()}
    end = interval_of_day(day, Mode.SNAPSHOT).interval.key
    return Receipt("tests", "ingest_catalog", "", end, ingested.counts, ingested.table_versions, facts=facts)


def take_again(shop: Shop, earlier: Receipt, day: int, bad_share: float = 1.0) -> dict[str, int] | None:
    return take_same(shop.lake, interval_of_day(day, Mode.SNAPSHOT), earlier, bad_share)


def said_of_day(shop: Shop, table: Table, day: int) -> list[tuple[object, ...]]:
    """The rows of the interval that ended on a day, without its times."""
    end = interval_of_day(day, Mode.SNAPSHOT).interval.end.isoformat()
    return sorted_rows(
        shop.lake.read(table).where(f"interval_end = timestamp'{end}'").drop("interval_end", "interval_start")
    )


@pytest.mark.full
def test_a_snapshot_taken_again_leaves_the_tables_and_counts_that_reading_it_would(shop: Shop, tmp_path: Path) -> None:
    earlier = receipt_of(shop, shop.take(1, ROWS), 1)
    kept = [shop.rows(table) for table in (PRODUCTS, PRODUCT_MENTIONS, PRODUCT_IMAGES)]
    noted = take_again(shop, earlier, 2)
    read = shop.take(3, ROWS)
    assert noted == read.counts == {"rows_read": 4, "rows_bad": 2, "upserted": 0, "deleted": 0, "unchanged": 2}
    for table in (CATALOG_QUARANTINE, CATALOG_INTERVALS):
        assert said_of_day(shop, table, 2) == said_of_day(shop, table, 3) != []
    assert kept == [shop.rows(table) for table in (PRODUCTS, PRODUCT_MENTIONS, PRODUCT_IMAGES)]
    # What came to stand so is a snapshot like any other: what it lacks and is older is deleted, and the night after reads it.
    shop.take(4, [row("1")])
    assert shop.live() == {"1"}


@pytest.mark.full
def test_a_run_that_died_before_it_was_noted_is_taken_again_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = receipt_of(shop, shop.take(1, ROWS), 1)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(same_again, "write_interval", die)
        with pytest.raises(KeyboardInterrupt):
            take_again(shop, earlier, 2)
    assert take_again(shop, earlier, 2) is not None
    assert len(shop.rows(CATALOG_QUARANTINE)) == 2 * 3  # two faults of one row, one of the other, on two days
    assert len(shop.rows(CATALOG_INTERVALS)) == 2


@pytest.mark.full
def test_a_snapshot_is_read_where_something_came_between_or_its_rows_are_not_allowed_any_more(shop: Shop) -> None:
    earlier = receipt_of(shop, shop.take(2, ROWS), 2)
    before = {table.path: shop.rows(table) for table in TABLES}
    assert take_again(shop, earlier, 3, bad_share=0.4) is None
    assert take_again(shop, earlier, 1) is None  # older than what was taken
    assert take_again(shop, earlier, 2) is None  # taken already
    another = Receipt(**{**earlier.__dict__, "facts": {**earlier.facts, "lake_id": "another"}})
    assert take_again(shop, another, 3) is None
    assert {table.path: shop.rows(table) for table in TABLES} == before
    shop.take(2, [row("1", name="Cape")], Mode.CHANGES)
    assert take_again(shop, earlier, 3) is None
