"""Bit flips, zeroed pages and truncations over the files of a build: none of five hundred is loaded."""

import random
from collections.abc import Callable, Iterator
from itertools import cycle, islice, product
from pathlib import Path

import pytest

from online.app import create_app
from online.searcher import Searcher
from online.watcher import Look
from schemas.manifest import INDEX_FILE, ITEMS_FILE, MANIFEST_FILE, VECTORS_FILE, build_key
from tests.faults.online.changing_shop import ChangingShop
from tests.faults.online.conftest import searcher_config
from tests.online.tiny_shop import MeanColourEncoder, point_at

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


def test_none_of_five_hundred_damaged_copies_is_loaded(folder_shop: ChangingShop, tmp_path: Path) -> None:
    store = folder_shop.store
    app = create_app(searcher_config(store.uri, tmp_path), lambda folder: MeanColourEncoder(), watch=False)
    searcher: Searcher = app.extensions["searcher"]
    assert searcher.watcher.look() is Look.SWAPPED
    live = searcher.snapshot()
    folder_shop.build(2)
    sound = {
        name: store.get(build_key("b2", name)).data for name in (INDEX_FILE, VECTORS_FILE, ITEMS_FILE, MANIFEST_FILE)
    }
    loaded = []
    for generation, (name, data) in enumerate(islice(damaged_copies(sound), COPIES), 2):
        store.put(build_key("b2", name), data)
        point_at(store, "b2", generation)
        if searcher.watcher.look() is not Look.REFUSED or searcher.snapshot() is not live:
            loaded.append((name, data))
            break  # from now on it lies in the cache
        store.put(build_key("b2", name), sound[name])
    assert loaded == []

    point_at(store, "b2", COPIES + 2)
    assert searcher.watcher.look() is Look.SWAPPED
