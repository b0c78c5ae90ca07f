"""From a catalog to answers, and the night after: the real jobs, over HTTP.

The first night's and the hour's run in processes of their own, the second night's in this one: its start-ups would be most
of it, and whether a quiet night leaves things alone is not theirs to say.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import requests
from pyspark.sql import SparkSession

from demo.nightly import HOURLY_JOBS, JOBS, Nightly, receipts_of, run_nightly
from demo.queries import held_out_queries
from demo.run import searcher
from demo.setup import ServedCatalog, draw_catalog, full_bodies_sent, serve_catalog
from schemas.intervals import DataInterval
from schemas.receipts import Receipt
from tests.faults.pipeline.small_night import run_here
from tests.packaged_model import packaged_bundle_folder
from tests.servers import free_port
from tests.spark_jobs.conftest import own_cache, spark  # noqa: F401

pytestmark = pytest.mark.full

PRODUCTS = 80  # the seven bad rows of a drawn shop stay below the limit of a tenth
FIRST_END = datetime(2026, 1, 2, 2, tzinfo=UTC)
DAY = timedelta(days=1)
REMOVED, DEARER = "P000002", "P000003"


@dataclass(frozen=True)
class TwoNights:
    """What two nights over the same catalog left: receipts by job, and photos that the shop sent in full."""

    nightly: Nightly
    first: dict[str, Receipt]
    second: dict[str, Receipt]
    sent_first: int
    sent_second: int
    pointers: tuple[dict, dict]


@dataclass(frozen=True)
class Hour:
    """What the hour after those nights changed and left."""

    receipt: Receipt
    pointer: dict


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedCatalog]:
    with serve_catalog(draw_catalog(tmp_path_factory.mktemp("shop"), PRODUCTS)) as served:
        yield served


@pytest.fixture(scope="module")
def nights(shop: ServedCatalog, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> TwoNights:  # noqa: F811
    home = tmp_path_factory.mktemp("night")
    nightly = Nightly(
        lake=home / "lake", store=home / "store", catalog=str(shop.folder), mapping=shop.mapping,
        model=str(packaged_bundle_folder()),
        extra={"fetch_images": ("--read-timeout", "2", "--total-timeout", "5", "--tries", "2")},
    )  # fmt: skip
    first = run_nightly(nightly, DataInterval(FIRST_END - DAY, FIRST_END))
    sent_first = full_bodies_sent(shop)
    pointer = json.loads((nightly.store / "CURRENT").read_text())
    night_after = DataInterval(FIRST_END, FIRST_END + DAY)
    assert [run_here(nightly, job, night_after) for job in JOBS] == [0] * len(JOBS)
    second = receipts_of(nightly, night_after)
    sent = full_bodies_sent(shop)
    later = json.loads((nightly.store / "CURRENT").read_text())
    return TwoNights(nightly, first, second, sent_first, sent - sent_first, (pointer, later))


@pytest.fixture(scope="module")
def hour(nights: TwoNights, shop: ServedCatalog, tmp_path_factory: pytest.TempPathFactory) -> Hour:
    """Two products of the catalog: one is removed, the other costs more."""
    changes = tmp_path_factory.mktemp("changes")
    with (
        (shop.folder / "catalog.csv").open(newline="", encoding="utf-8", errors="replace") as source,
        (changes / "catalog.csv").open("w", newline="", encoding="utf-8") as sink,
    ):
        rows = csv.DictReader(source)
        writer = csv.DictWriter(sink, rows.fieldnames or ())
        writer.writeheader()
        changed = {REMOVED: {"removed": "true"}, DEARER: {"price": "1000.00"}}
        writer.writerows({**row, **changed[row["sku"]]} for row in rows if row["sku"] in changed)
    hourly = nights.nightly.of_hours(str(changes))
    end = FIRST_END + DAY + timedelta(hours=1)
    receipts = run_nightly(hourly, DataInterval(FIRST_END + DAY, end), jobs=HOURLY_JOBS)
    return Hour(receipts["apply_changes"], json.loads((nights.nightly.store / "CURRENT").read_text()))


def test_the_first_night_lands_every_row_somewhere(nights: TwoNights) -> None:
    ingested, fetched = nights.first["ingest_catalog"].counts, nights.first["fetch_images"].counts
    assert ingested["rows_read"] == ingested["upserted"] + ingested["rows_bad"]
    assert ingested["rows_bad"] > 0
    assert fetched["looked_at"] == fetched["fetched"] + fetched["failed"] + fetched["gave_up"]
    assert nights.sent_first >= fetched["photos_new"] > PRODUCTS


def test_the_second_night_fetches_nothing_in_full_and_embeds_nothing(nights: TwoNights) -> None:
    assert nights.sent_second == 0
    assert nights.second["embed_images"].counts["embedded"] == 0
    assert nights.second["ingest_catalog"].counts["upserted"] == 0


def test_the_second_night_commits_nothing_to_the_catalog(nights: TwoNights) -> None:
    assert nights.second["ingest_catalog"].table_versions == nights.first["ingest_catalog"].table_versions


def test_an_unchanged_catalog_gives_the_same_build_and_the_pointer_covers_the_new_interval(nights: TwoNights) -> None:
    before, after = nights.pointers
    assert after["live"] == before["live"]
    assert after["interval_end"] > before["interval_end"]


def test_the_searcher_answers_a_photo_with_its_kind_of_product(nights: TwoNights) -> None:
    queries = list(held_out_queries(7, PRODUCTS, 6))
    with searcher(nights.nightly.store.parent, nights.nightly.store, free_port()) as base_url:
        right = 0
        for query in queries:
            reply = requests.post(f"{base_url}/search", files={"image": query.photo}, data={"k": 5}, timeout=30)
            assert reply.status_code == 200, reply.text
            results = reply.json()["results"]
            assert len({result["group_id"] for result in results}) == len(results) == 5
            right += any(result["category"] == query.category for result in results)
            tile = requests.get(base_url + results[0]["uri"], timeout=30)
            assert tile.headers["Content-Type"] == "image/jpeg"
    assert right >= len(queries) / 2


def test_an_hour_lays_a_delta_over_the_base_and_embeds_nothing(nights: TwoNights, hour: Hour) -> None:
    night, counts = nights.pointers[1], hour.receipt.counts
    assert hour.pointer["live"]["build_id"] == night["live"]["build_id"]
    assert (hour.pointer["interval_end"], hour.pointer["generation"]) == ("20260103T030000Z", night["generation"] + 1)
    assert (counts["ingest_catalog_upserted"], counts["ingest_catalog_deleted"]) == (1, 1)
    assert (counts["embed_images_embedded"], counts["build_delta_rows"]) == (0, 0)
    assert counts["build_delta_changed"] > 0
    assert counts["build_delta_tombstones"] > 0
    assert hour.receipt.facts == {
        "moved": True, "generation": hour.pointer["generation"], "live": hour.pointer["live"]["build_id"],
        "delta": hour.pointer["live"]["delta_id"], "wants_rebuild": False,
    }  # fmt: skip


def test_what_was_removed_in_the_hour_is_not_found_and_what_got_dearer_is(nights: TwoNights, hour: Hour) -> None:
    with searcher(nights.nightly.store.parent, nights.nightly.store, free_port()) as base_url:
        gone = requests.post(f"{base_url}/search", json={"product_id": REMOVED}, timeout=30)
        assert gone.status_code == 404, gone.text
        dear = {"text": "trousers", "filters": {"price": {"min": 999}}, "k": 5}
        reply = requests.post(f"{base_url}/search", json=dear, timeout=30)
        assert [result["product_id"] for result in reply.json()["results"]] == [DEARER]
