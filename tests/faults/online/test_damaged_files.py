"""Bit flips, zeroed pages and truncations over the files of a build, and of a delta: none of five hundred is loaded."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice, product
from pathlib import Path

import pytest

from online.app import create_app
from online.searcher import Searcher
from online.snapshots.watcher import Look
from retrieval.store.objects import ObjectStore
from tests.faults.online.changing_shop import ChangingShop
from tests.faults.online.conftest import searcher_config
from tests.online.tiny_shop import COLOURS, SHOP, Item, MeanColourEncoder, point_at, put_delta

pytestmark = pytest.mark.full

COPIES = 500
PAGE_BYTES = 512  # files here are smaller than a page of memory
Damage = Callable[[bytes, random.Random], bytes]


def flip_a_bit(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def zero_a_page(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(0, len(data), PAGE_BYTES)
    page = data[start : start + PAGE_BYTES]
    return data[:start] + bytes(len(page)) + data[start + len(page) :]


def cut_off_the_end(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


DAMAGES: tuple[Damage, ...] = (flip_a_bit, zero_a_page, cut_off_the_end)


def damaged_copies(sound: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """A file and what became of it, without end: every file and every damage in turn."""
    chance = random.Random(7)
    for damage, name in cycle(product(DAMAGES, sorted(sound))):
        data = damage(sound[name], chance)
        if data != sound[name]:  # a page of zeros had been one
            yield name, data


@pytest.fixture
def searcher(folder_shop: ChangingShop, tmp_path: Path) -> Searcher:
    """It serves build b1."""
    config = searcher_config(folder_shop.store.uri, tmp_path)
    searcher: Searcher = create_app(config, lambda folder: MeanColourEncoder(), watch=False).extensions["searcher"]
    assert searcher.watcher.look() is Look.SWAPPED
    return searcher


def assert_no_copy_is_loaded(
    searcher: Searcher, store: ObjectStore, folder: str, point: Callable[[int], object]
) -> None:
    """Damage the files of a folder in the store, one at a time; `point` makes it live under a generation."""
    live = searcher.snapshot()
    sound = {key: store.get(key).data for key in store.keys(f"{folder}/")}
    loaded = []
    for generation, (key, data) in enumerate(islice(damaged_copies(sound), COPIES), 2):
        store.put(key, data)
        point(generation)
        if searcher.watcher.look() is not Look.REFUSED or searcher.snapshot() is not live:
            loaded.append((key, data))
            break  # from now on it lies in the cache
        store.put(key, sound[key])
    assert loaded == []

    point(COPIES + 2)
    assert searcher.watcher.look() is Look.SWAPPED


def test_none_of_five_hundred_damaged_copies_of_a_build_is_loaded(
    searcher: Searcher, folder_shop: ChangingShop
) -> None:
    build_id = folder_shop.build(2)

    def point(generation: int) -> None:
        point_at(folder_shop.store, build_id, generation)

    assert_no_copy_is_loaded(searcher, folder_shop.store, f"builds/{build_id}", point)


def test_none_of_five_hundred_damaged_copies_of_a_delta_is_loaded(
    searcher: Searcher, folder_shop: ChangingShop, tmp_path: Path
) -> None:
    changed = replace(SHOP[0], columns={**SHOP[0].columns, "price": 1.0})
    items = [changed, *SHOP[1:-1], Item("new", COLOURS["white"])]  # and one is gone
    delta = put_delta(folder_shop.store, tmp_path / "deltas", items, "b1")
    assert len(delta.files) == 5

    def point(generation: int) -> None:
        point_at(folder_shop.store, "b1", generation, delta_id=delta.delta_id)

    assert_no_copy_is_loaded(searcher, folder_shop.store, f"deltas/{delta.delta_id}", point)
