"""A store that fails, is late, resets connections or cuts answers short: the old index serves until the new one is whole."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import pytest
from flask_openapi3.openapi import OpenAPI

from online.app import create_app
from online.snapshots.watcher import Look
from retrieval.store.s3 import S3Store
from schemas.errors import StoreUnavailable
from tests.faults.conftest import repetitions
from tests.faults.failing_gateway import FailingGateway
from tests.faults.online.changing_shop import ChangingShop, generation_of
from tests.faults.online.conftest import searcher_config
from tests.faults.online.shoppers import Shoppers
from tests.faults.toxiproxy import Toxic
from tests.online.running import run_gunicorn, wait_until
from tests.online.tiny_shop import MeanColourEncoder

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]

TRIES_MAX = 6  # of one request: the first and five more, as S3Store asks of its client
Trouble = Callable[[Toxic, FailingGateway], AbstractContextManager[None]]


@contextmanager
def failing(gateway: FailingGateway, share: float) -> Iterator[None]:
    gateway.share = share
    try:
        yield
    finally:
        gateway.share = 0.0


TROUBLES: dict[str, Trouble] = {
    "30 % 5xx": lambda toxic, gateway: failing(gateway, 0.3),
    "only 5xx": lambda toxic, gateway: failing(gateway, 1.0),
    "30 % reset": lambda toxic, gateway: toxic.reset(0.3),
    "all reset": lambda toxic, gateway: toxic.reset(),
    "cut in the head": lambda toxic, gateway: toxic.cut_short(90),
    "cut in the body": lambda toxic, gateway: toxic.cut_short(700),
    "some cut late": lambda toxic, gateway: toxic.cut_short(1500, 0.5),
    "away": lambda toxic, gateway: toxic.away(),
}


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client's pauses between tries are noted, not made."""
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", pauses.append)
    return pauses


@pytest.fixture
def app(
    shop: ChangingShop, toxic: Toxic, gateway: FailingGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> OpenAPI:
    """It serves generation 1, and hears of the store through both proxies. Any look comes long after the one before."""
    app = create_app(searcher_config(shop.store.uri, tmp_path), lambda folder: MeanColourEncoder(), watch=False)
    watcher = app.extensions["searcher"].watcher
    monkeypatch.setattr(watcher, "_clock", count(step=10_000).__next__)
    assert watcher.look() is Look.SWAPPED
    return app


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_nothing_bad_is_loaded_from_a_store_in_trouble_and_it_catches_up_afterwards(
    app: OpenAPI,
    shop: ChangingShop,
    toxic: Toxic,
    gateway: FailingGateway,
    trouble: Trouble,
    no_pauses: list[float],
) -> None:
    look, client = app.extensions["searcher"].watcher.look, app.test_client()

    def served() -> int:
        return generation_of(client.post("/search", json={"text": "white", "k": 3}).get_json())

    looks = []
    with trouble(toxic, gateway):
        for generation in range(2, 2 + repetitions(3, 40)):
            shop.publish(generation)
            looks.append(look())
            assert served() == generation if looks[-1] is Look.SWAPPED else served() < generation
    assert set(looks) <= {Look.SWAPPED, Look.REFUSED, Look.STORE_UNAVAILABLE}
    look()
    assert served() == generation


def test_a_call_of_a_store_that_only_fails_is_tried_a_few_times_and_then_named(
    shop: ChangingShop, gateway: FailingGateway, tmp_path: Path, no_pauses: list[float]
) -> None:
    store = S3Store(shop.store.bucket, "shop")  # type: ignore[attr-defined]
    with failing(gateway, 1.0):
        for ask in (
            lambda: store.get("CURRENT"),
            lambda: store.size("CURRENT"),
            lambda: store.download("CURRENT", tmp_path / "file"),
            lambda: list(store.keys("")),
        ):
            gateway.asked = 0
            with pytest.raises(StoreUnavailable, match="try again"):
                ask()
            assert 1 < gateway.asked <= TRIES_MAX
    assert max(no_pauses) <= 20


def test_shoppers_notice_nothing_of_a_store_in_trouble(
    shop: ChangingShop, toxic: Toxic, gateway: FailingGateway, tmp_path: Path
) -> None:
    with run_gunicorn(shop.store, tmp_path) as running, Shoppers(running) as shoppers:
        with failing(gateway, 0.3):
            shop.publish(2)
            shoppers.wait_for(2)
        with toxic.late(5):
            shop.publish(3)
            shoppers.wait_for_answers(50)
        shoppers.wait_for(3)
        with failing(gateway, 1.0):
            shop.publish(4)
            wait_until(lambda: "store_unavailable" in running.log.read_text(), "the searcher says so")
            shoppers.wait_for_answers(20)
            assert shoppers.generations[-1] == 3
        shoppers.wait_for(4)
    assert shoppers.failures == []
    assert set(shoppers.generations) == {1, 2, 3, 4}
