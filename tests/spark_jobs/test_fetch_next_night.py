"""A night after another, in which little or nothing changed."""

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from schemas.receipts import Receipt
from spark_jobs import fetch_images
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.fetch.fault_server import Exchange, FaultServer
from tests.spark_jobs.fetch.photos import photo
from tests.spark_jobs.fetch.shop import Shop, busy, path_with_day

pytestmark = pytest.mark.full


class Nights:
    """Two links that are due on the second night, and one dead one, over two nights."""

    def __init__(self, shop: Shop, server: FaultServer) -> None:
        self.shop, self.server = shop, server
        self.paths = [path_with_day(server, name, comes_on_first_day=True) for name in ("one", "other")]
        for number, path in enumerate(self.paths):
            server.on_photo(path, photo(number), ETag=f'"{number}"')
        self.links = {f"p{number}": [server.url(path)] for number, path in enumerate(self.paths)}
        self.dead = path_with_day(server, "dead", comes_on_first_day=False)
        self.links["p2"] = [server.url(self.dead)]
        shop.stock(self.links)
        assert shop.fetch() == 0

    def copy(self, folder: Path) -> "Nights":
        """The same first night in another folder, and the answers that it got."""
        twin = copy.copy(self)
        shutil.copytree(self.shop.folder, folder, dirs_exist_ok=True)
        twin.shop = Shop(Lake(self.shop.lake.spark, str(folder / "lake")), folder)
        return twin

    def second(self, *more: str) -> Receipt:
        assert self.shop.fetch(*more, night=1) == 0
        return self.shop.receipt(1)


@pytest.fixture(scope="module")
def first_night(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    folder = tmp_path_factory.mktemp("first-night")
    with FaultServer() as server:
        yield Nights(Shop(Lake(spark, str(folder / "lake")), folder), server)


@pytest.fixture
def nights(first_night: Nights, tmp_path: Path) -> Iterator[Nights]:
    answers = dict(first_night.server.scripts)
    yield first_night.copy(tmp_path)
    first_night.server.scripts = answers


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A line for each time that the whole set of photos is judged."""
    times: list[object] = []

    def note(*arguments: Any) -> fetch_images.Judged:
        times.append(arguments)
        return judge(*arguments)

    judge = fetch_images.judge_photos
    monkeypatch.setattr(fetch_images, "judge_photos", note)
    return times


@pytest.mark.parametrize("answer", ["unchanged", "busy"])
def test_where_every_link_shows_what_it_showed_the_photos_are_not_judged_again(
    nights: Nights, judged: list[object], answer: str
) -> None:
    first, photos = nights.shop.receipt(0), nights.shop.photos()
    if answer == "busy":  # a link that fails for now keeps its photo
        nights.server.on(nights.paths[0], busy)
    second = nights.second()
    assert (second.counts["looked_at"], second.counts["unchanged"]) == (2, 1 if answer == "busy" else 2)
    assert (second.counts["links"], second.counts["links_without_photo"]) == (3, 1)
    assert second.facts["shown_since"] == first.table_versions["image_fetches"] < second.table_versions["image_fetches"]
    assert (judged, nights.shop.photos()) == ([], photos)


@pytest.mark.parametrize("change", ["replaced", "gone", "mended"])
def test_a_link_that_shows_something_else_is_told_to_the_next_jobs(
    nights: Nights, judged: list[object], change: str
) -> None:
    more: tuple[str, ...] = ()
    if change == "replaced":
        nights.server.on_photo(nights.paths[0], photo(50))
    elif change == "gone":
        nights.server.on(nights.paths[0], _gone)
    else:  # the same photo that another link shows already: none is new
        nights.server.on_photo(nights.dead, photo(1))
        more = ("--redrive-reason", "http_404")
    second = nights.second(*more)
    assert second.facts["shown_since"] == second.table_versions["image_fetches"]
    assert len(judged) == 1
    assert second.counts["links_without_photo"] == {"replaced": 1, "gone": 2, "mended": 0}[change]


@pytest.mark.parametrize("change", ["rules", "products", "share"])
def test_photos_are_judged_again_where_the_rules_or_the_catalog_changed_or_too_many_lack_one(
    nights: Nights, judged: list[object], change: str
) -> None:
    if change == "products":
        nights.shop.stock({"p0": nights.links["p0"]})
    more = {"rules": ("--placeholder-products", "9"), "share": ("--max-bad-share", "0.1")}.get(change, ())
    code = nights.shop.fetch(*more, night=1)
    assert (code, len(judged)) == (65 if change == "share" else 0, 1)


async def _gone(exchange: Exchange) -> None:
    await exchange.reply(410, b"")
