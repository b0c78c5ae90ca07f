"""The job in Spark, against a real server and a lake of its own."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pyspark.sql import SparkSession

from retrieval.store.objects import FolderStore
from schemas.intervals import DataInterval
from schemas.reasons import FetchReason, PhotoReason
from schemas.receipts import Receipt
from schemas.tables import IMAGE_FETCHES, IMAGES
from spark_jobs import fetch_images
from spark_jobs.fetch.lanes import Division
from spark_jobs.fetch.ledger import cycle_day, day_has_come
from spark_jobs.fetch.outcomes import ORDER_SCHEMA, OUTCOME_SCHEMA
from spark_jobs.fetch.settings import FetchSettings
from spark_jobs.fetch.staging import OUTCOME_DDL
from spark_jobs.fetch.work import ORDER_DDL, known_links, partition_keys, select_orders
from spark_jobs.lake.tables import Lake
from spark_jobs.running.job import JobContext
from tests.spark_jobs.fetch.fault_server import Exchange, FaultServer, Script
from tests.spark_jobs.fetch.photos import encoded, photo, soft_picture
from tests.spark_jobs.fetch.shop import FIRST_NIGHT, ONE_DAY, Shop, busy, path_with_day

pytestmark = pytest.mark.full


@pytest.fixture
def shop(lake: Lake, tmp_path: Path) -> Shop:
    return Shop(lake, tmp_path)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


@dataclass
class Moment:
    """What the lake and the receipt said after one run, and what the server had been asked."""

    ledger: dict[str, dict[str, Any]]
    photos: dict[str, dict[str, Any]]
    outcomes: dict[str, str | None]
    receipt: Receipt
    requests: Counter[str]


class Story:
    """One shop over four runs; each test reads one thing in it.

    `first` everything is new; `again` the same run; `second` a day later, with a changed catalog; `redriven` after a
    person asked for what was dead and what was too small.
    """

    def __init__(self, shop: Shop, server: FaultServer) -> None:
        self.shop, self.server = shop, server
        self.paths = {
            name: path_with_day(server, name, comes_on_first_day=name == "due")
            for name in ("due", "quiet", "changed", "busy", "small", "dead", "html", "good", "same", "gone",
                         "shared", "again", "near-0", "near-1", "near-2", "variant")
        }  # fmt: skip
        self.url = {name: server.url(path) for name, path in self.paths.items()}
        self.near = sorted(
            (encoded(opened(photo(1, 200, 200)), quality=quality) for quality in (80, 90, 97)), key=sha256
        )
        self.shared = encoded(soft_picture(3), quality=90)
        contents = {
            "due": photo(3), "quiet": photo(4), "changed": photo(5), "small": photo(6, 40, 40), "good": photo(7),
            "html": b"<html>sorry</html>", "same": photo(7), "shared": self.shared, "variant": photo(8),
            "again": encoded(opened(self.shared), quality=97),
        }  # fmt: skip
        contents |= {f"near-{number}": data for number, data in enumerate(self.near)}
        for name, data in contents.items():
            server.on_photo(self.paths[name], data, ETag=f'"{name}"')
        server.on(self.paths["busy"], busy)
        self._run()

    def _run(self) -> None:
        url = self.url
        names = ("due", "quiet", "changed", "busy", "small", "dead", "html", "good", "same", "near-1", "near-2")
        links = {f"of {name}": [url[name]] for name in names} | {"unlinked": ["no link"], "of gone": [url["gone"]]}
        links |= {f"shared {number}": [url["again" if number == 3 else "shared"]] for number in range(4)}
        variants = {f"variant {number}": [url["variant"]] for number in range(9)}
        groups = dict.fromkeys(variants, "one design")
        self.shop.stock(links | variants, groups=groups, deleted=["of gone"])
        self.first = self._fetch()
        self.again = self._fetch()
        self.server.on_photo(self.paths["changed"], photo(50))
        self.server.on_photo(self.paths["busy"], photo(51))
        links["of near-0"] = [url["near-0"]]
        changed = dict.fromkeys(("of changed",), 1)
        self.shop.stock(links | variants, groups=groups, deleted=["of gone", "shared 0"], nights=changed)
        self.second = self._fetch(night=1)
        self.server.on_photo(self.paths["dead"], photo(52))
        reasons = ("--redrive-reason", "http_404", "--redrive-reason", "too_small", "--min-side", "32")
        self.redriven = self._fetch(*reasons, night=1)

    def _fetch(self, *more: str, night: int = 0) -> Moment:
        assert self.shop.fetch(*more, night=night) == 0
        shop = self.shop
        return Moment(
            shop.ledger(), shop.photos(), shop.outcomes(), shop.receipt(night), Counter(self.server.seen.requests)
        )


@pytest.fixture(scope="module")
def story(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("story")
    with FaultServer() as server:
        yield Story(Shop(Lake(spark, str(folder / "lake")), folder), server)


def test_every_link_of_a_live_product_ends_as_a_row_with_its_reason(story: Story) -> None:
    url = story.url
    expected: dict[str, str | None] = dict.fromkeys(
        [url[name] for name in ("due", "quiet", "changed", "good", "same", "near-1", "near-2", "variant")]
    )
    expected |= {
        url["busy"]: FetchReason.HTTP_429, url["small"]: PhotoReason.TOO_SMALL, url["dead"]: FetchReason.HTTP_404,
        url["html"]: PhotoReason.NOT_AN_IMAGE, "no link": FetchReason.BAD_URL,
        url["shared"]: PhotoReason.PLACEHOLDER, url["again"]: PhotoReason.PLACEHOLDER,
    }  # fmt: skip
    assert story.first.outcomes == expected
    assert story.first.receipt.counts == {
        "looked_at": 15, "fetched": 12, "unchanged": 0, "failed": 1, "gave_up": 2, "photos_new": 11,
        "photos_checked_again": 0, "verdicts_moved": 0, "links": 15, "links_without_photo": 7,
    }  # fmt: skip


def test_a_photo_is_one_row_however_many_links_lead_to_it(story: Story) -> None:
    one, other = (story.first.ledger[story.url[name]] for name in ("good", "same"))
    assert one["content_sha256"] == other["content_sha256"] == sha256(photo(7))
    assert sha256(photo(7)) in story.first.photos


def test_an_accepted_photo_keeps_its_bytes_and_a_rejected_one_does_not(story: Story) -> None:
    rows = story.shop.lake.read(IMAGES).where("verdict = 'accepted' or reason = 'not_an_image'").collect()
    assert {
        row["stored"] is not None and bytes(row["stored"][:2]) == b"\xff\xd8" for row in rows if row["reason"] is None
    } == {True}
    assert [row["stored"] for row in rows if row["reason"]] == [None]


def test_a_run_leaves_no_staging_behind(story: Story) -> None:
    assert list((Path(story.shop.lake.root) / "_staging" / "fetch_images").glob("*")) == []


def test_the_same_run_again_asks_nothing_and_writes_nothing(story: Story) -> None:
    assert story.again.requests == story.first.requests
    assert story.again.receipt.table_versions == story.first.receipt.table_versions


def test_a_second_night_asks_for_what_is_due_and_gets_no_known_photo_in_full(story: Story) -> None:
    path = story.paths
    asked = {name for name in path if story.second.requests[path[name]] > story.again.requests[path[name]]}
    assert asked == {"due", "changed", "busy", "near-0"}
    counts = story.second.receipt.counts
    assert (counts["looked_at"], counts["unchanged"], counts["fetched"]) == (4, 1, 3)


def test_a_photo_that_has_not_changed_moves_only_the_time_of_its_row(story: Story) -> None:
    first, second = (moment.ledger[story.url["due"]] for moment in (story.first, story.second))
    assert second == first | {"http_status": 304, "fetched_as_of": second["fetched_as_of"]}
    assert second["fetched_as_of"] - first["fetched_as_of"] == ONE_DAY


def test_a_link_of_a_changed_product_is_looked_at_again(story: Story) -> None:
    assert story.second.ledger[story.url["changed"]]["content_sha256"] == sha256(photo(50))


def test_a_link_that_failed_has_a_next_try_and_is_tried_then(story: Story) -> None:
    row = story.first.ledger[story.url["busy"]]
    assert (row["status"], row["failures_in_a_row"]) == ("failed", 1)
    assert row["fetched_as_of"] < row["next_try_at"] < row["fetched_as_of"] + ONE_DAY
    assert story.second.outcomes[story.url["busy"]] is None
    assert story.second.ledger[story.url["busy"]]["failures_in_a_row"] == 0


def test_a_picture_on_many_designs_is_a_placeholder_until_it_is_not(story: Story) -> None:
    """Four designs show it at first, by content or hash; three after one was deleted. Variants of one count once."""
    shared, again = sha256(story.shared), story.first.ledger[story.url["again"]]["content_sha256"]
    assert {story.first.photos[content]["reason"] for content in (shared, again)} == {PhotoReason.PLACEHOLDER}
    assert {story.second.photos[content]["reason"] for content in (shared, again)} == {None}
    assert story.first.outcomes[story.url["variant"]] is None


def test_a_near_duplicate_names_the_smallest_of_its_kind_whatever_night_it_comes(story: Story) -> None:
    smallest, middle, largest = map(sha256, story.near)

    def originals(moment: Moment) -> list[str | None]:
        return [
            moment.photos[content]["near_duplicate_of"]
            for content in (smallest, middle, largest)
            if content in moment.photos
        ]

    assert originals(story.first) == [None, middle]
    assert originals(story.second) == [None, smallest, smallest]


def test_redrive_tries_just_what_failed_so_under_todays_rules(story: Story) -> None:
    path, url = story.paths, story.url
    asked = {name for name in path if story.redriven.requests[path[name]] > story.second.requests[path[name]]}
    assert asked == {"dead", "small"}
    assert story.redriven.outcomes[url["dead"]] is None
    assert story.redriven.outcomes[url["small"]] is None
    assert story.redriven.receipt.counts["photos_checked_again"] == 1
    others = {name for name in url.values() if name not in (url["dead"], url["small"])}
    assert all(story.redriven.ledger.get(name) == story.second.ledger.get(name) for name in others)


def test_a_reason_that_is_not_on_the_list_is_answered_with_the_list(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.fetch("--redrive-reason", "http_42") == 78
    assert "http_429" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--max-aspect", "nan"), ("--min-side", "-1"), ("--placeholder-products", "0"), ("--max-redirects", "-1")],
)
def test_rules_that_every_photo_or_none_would_break_are_refused(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    with pytest.raises(SystemExit):
        Shop(lake, tmp_path).fetch(option, value)
    assert f"argument {option}" in capsys.readouterr().err


def test_a_lake_that_no_catalog_came_to_is_refused_and_left_unmade(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Shop(lake, tmp_path).fetch("--redrive-reason", "http_429") == 78
    assert f"{lake.root} holds no products: mend --lake" in capsys.readouterr().err
    assert not Path(lake.root).exists()


def test_the_words_for_spark_say_what_the_arrow_schemas_say(spark: SparkSession) -> None:
    for ddl, schema in ((ORDER_DDL, ORDER_SCHEMA), (OUTCOME_DDL, OUTCOME_SCHEMA)):
        empty = spark.createDataFrame([], ddl).toArrow().schema
        assert [(field.name, field.type) for field in empty] == [(field.name, field.type) for field in schema]


def test_a_crash_between_photos_and_ledger_loses_nothing(
    shop: Shop, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.on_photo("/a.jpg", photo(1))
    shop.stock({"p1": [url]})
    with monkeypatch.context() as broken:
        broken.setattr(fetch_images, "record_ledger", _crash)
        with pytest.raises(_Crashed):
            shop.fetch()
    assert (len(shop.photos()), shop.ledger()) == (1, {})
    assert shop.fetch() == 0
    assert (len(shop.photos()), shop.outcomes()) == (1, {url: None})


class _Crashed(Exception):
    pass


def _crash(*_: object) -> None:
    raise _Crashed


def test_too_many_bad_links_end_the_job_with_65_after_all_is_recorded(
    shop: Shop, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    small, dead = (
        server.on_photo("/small.jpg", photo(2, 40, 40)),
        [server.url("/dead-1.jpg"), server.url("/dead-2.jpg")],
    )
    shop.stock({"p1": [server.on_photo("/a.jpg", photo(1)), small, *dead]})
    assert shop.fetch("--max-bad-share", "0.4") == 65
    assert "3 of 4 rows are bad, more than 40% (2 http_404, 1 too_small): see" in capsys.readouterr().err
    assert set(shop.outcomes().values()) == {None, FetchReason.HTTP_404, PhotoReason.TOO_SMALL}


@pytest.mark.parametrize(("mode", "looks"), [("changes", [1, 0]), ("snapshot", [0, 0])])
def test_links_of_what_changed_in_a_runs_own_changes_are_looked_at_in_that_run_and_once(
    shop: Shop, server: FaultServer, mode: str, looks: list[int]
) -> None:
    """Changes are dated a microsecond after the end of their interval; a snapshot of that end has none of them."""
    links = {"p": [server.on_photo(path_with_day(server, "p", comes_on_first_day=False), photo(1))]}
    shop.stock(links)
    assert shop.fetch() == 0
    shop.note_ingested(mode, night=1)
    shop.stock(links, night=1, later=timedelta(microseconds=1))
    looked_at = []
    for _ in looks:
        assert shop.fetch(night=1) == 0
        looked_at.append(shop.counts(night=1)["looked_at"])
    assert looked_at == looks


@pytest.mark.parametrize(
    ("mode", "given", "expected"),
    [
        ("changes", None, timedelta(microseconds=1)),
        ("snapshot", None, timedelta()),
        ("nothing", None, timedelta()),
        (None, None, timedelta()),
        ("changes", timedelta(hours=5), timedelta(hours=5)),
    ],
)
def test_a_run_is_as_late_as_the_changes_it_took_unless_it_was_given_a_time(
    shop: Shop, mode: str | None, given: timedelta | None, expected: timedelta
) -> None:
    if mode:
        shop.note_ingested(mode, night=0)
    interval = DataInterval(FIRST_NIGHT - ONE_DAY, FIRST_NIGHT)
    as_of = (FIRST_NIGHT + (given or timedelta())).isoformat()
    store = FolderStore(shop.folder / "store")
    context = JobContext(job="fetch_images", lake="", store=store, dag="tests", interval=interval, as_of=as_of)
    assert fetch_images.moment_of_looks(context) == FIRST_NIGHT + expected


def test_links_are_chosen_by_the_same_day_in_spark_as_in_the_ledger(spark: SparkSession) -> None:
    nights = (1, 2, 17, 31, -3)
    urls = [f"https://shop.example/é{number}.jpg" for number in range(60)]
    links = spark.createDataFrame([(url, FIRST_NIGHT) for url in urls], "url string, changed_at timestamp")
    columns = ", ".join(f"{column.name} {column.sql_type}" for column in IMAGE_FETCHES.columns)
    rows = [(url, "ok", None, 200, 1, 0, None, None, None, "c", 1, url, FIRST_NIGHT) for url in urls]
    ledger = spark.createDataFrame(rows, columns)
    for night in nights:
        as_of = FIRST_NIGHT + night * ONE_DAY
        chosen = {row["url"] for row in select_orders(known_links(links, ledger), ledger, as_of).collect()}
        assert chosen == {url for url in urls if day_has_come(cycle_day(url), FIRST_NIGHT, as_of)}


@pytest.mark.parametrize("partitions", [1, 2, 5])
def test_a_key_of_each_partition_is_placed_there_by_spark(spark: SparkSession, partitions: int) -> None:
    keys = partition_keys(spark, partitions)
    frame = spark.createDataFrame([(key,) for key in keys], "key bigint").repartition(partitions, "key")
    placed = frame.rdd.mapPartitionsWithIndex(lambda number, rows: ((number, row["key"]) for row in rows)).collect()
    assert sorted(placed) == list(enumerate(keys))


def test_a_host_that_spans_partitions_gets_no_more_than_its_limits(shop: Shop, server: FaultServer) -> None:
    urls = [server.on_photo(f"/{number}.jpg", photo(number)) for number in range(60)]
    division = Division(2, FetchSettings(host_at_once=2, host_per_second=30))
    assert len({division.partition_of("127.0.0.1", url) for url in urls}) == 2
    shop.stock({f"p{number}": [url] for number, url in enumerate(urls)})
    shop.fetch("--partitions", "2", "--per-host-at-once", "2", "--per-host-per-second", "30")
    assert set(shop.outcomes().values()) == {None}
    assert server.seen.in_flight_max <= 2
    assert server.seen.per_second_max <= 30


def test_redirects_from_host_to_host_arrive_whatever_partition_holds_them(shop: Shop, server: FaultServer) -> None:
    with FaultServer("127.0.0.2") as second, FaultServer("127.0.0.3") as third:
        for number, (here, there) in product(range(6), ((server, second), (second, third))):
            here.on(f"/{number}.jpg", _redirect_to(there.url(f"/{number}.jpg")))
        for number in range(6):
            third.on_photo(f"/{number}.jpg", photo(number))
        urls = [server.url(f"/{number}.jpg") for number in range(6)]
        shop.stock({f"p{number}": [url] for number, url in enumerate(urls)})
        shop.fetch("--partitions", "4", "--per-host-at-once", "1")
        assert shop.outcomes() == dict.fromkeys(urls)
        row = shop.ledger()[urls[0]]
        assert (row["final_url"], row["attempts"]) == (third.url("/0.jpg"), 3)
        assert max(each.seen.in_flight_max for each in (server, second, third)) == 1


def _redirect_to(location: str) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.reply(302, b"", Location=location)

    return script
