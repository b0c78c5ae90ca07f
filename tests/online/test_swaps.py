"""Swaps that nobody notices: deltas and bases change under load, in gunicorn with two workers.

Each delta changes the prices of the red products to its own number, takes one of them away and brings a new one, so that
every answer shows which delta it is of.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
import requests

from online.serve import MALLOC
from retrieval.folders.evaluations import write_evaluation
from retrieval.folders.kinds import DELTA_FOLDERS
from retrieval.publishing.publish import publish
from retrieval.publishing.rollback import rollback
from retrieval.search.segments import Segment, open_build
from retrieval.store.objects import FolderStore
from schemas.delta import DeltaEvaluation
from schemas.pointer import POINTER_KEY, Served
from spark_jobs.index_delta.assemble import write_delta
from spark_jobs.index_delta.comparison import Comparison
from tests.online.running import Crowd, Running, run_gunicorn, wait_until
from tests.online.tiny_shop import COLOURS, MODEL_ID, SHOP, Item, items_table, point_at, put_build, put_delta, vector_of

pytestmark = pytest.mark.full

SOAK = bool(os.environ.get("SHOPLENS_SOAK"))
DELTA_SWAPS, BASES = (50, 3) if SOAK else (10, 2)
BEACONS, OTHERS = 10, 20_000
WARM_SWAPS = 3
MEMORY_GROWTH_MAX = 0.1


def beacon(number: int, price: float = 0.0) -> Item:
    return Item(f"beacon-{number}", (220 - number, 20, 20), None, {"price": price, "brand": "B"})


def other(number: int) -> Item:
    """Nothing near red."""
    columns = {"price": 1.0, "brand": f"brand {number % 500}", "attributes": {"number": str(number % 1_000)}}
    return Item(f"other-{number}", (number % 40, 60 + number // 200, 250 - number % 97), None, columns)


@pytest.fixture(scope="module")
def others() -> list[Item]:
    return [other(number) for number in range(OTHERS)]


def put_numbered_delta(store: FolderStore, scratch: Path, base: Segment, number: int) -> str:
    """The delta that shows `number`; it changes other products and brings some besides, so that it weighs something."""
    products = base.items.column("product_id").to_pylist()
    row_of = {product: row for row, product in enumerate(products)}
    gone = number % BEACONS
    changed = [beacon(each, float(number)) for each in range(BEACONS) if each != gone]
    changed += [
        Item(f"other-{each}", (0, 0, 0), None, {"price": float(number)}) for each in range(BASES + number, 2_000)
    ]
    rows = np.array([row_of[item.product_id] for item in changed])
    order = np.argsort(rows)
    changes = items_table(changed).take(pa.array(order))
    images = base.items.column("image_id").take(pa.array(rows[order]))
    changes = changes.set_column(changes.column_names.index("image_id"), "image_id", images)
    new = [Item(f"new-{number}", COLOURS["red"], None, {"price": float(number)})]
    new += [Item(f"extra-{number}-{each}", (10, 240, each % 250), None, {"brand": f"b{each}"}) for each in range(200)]
    comparison = Comparison(np.array([row_of[f"beacon-{gone}"]]), rows[order], changes, items_table(new))
    manifest = write_delta(
        base, comparison, np.vstack([vector_of(item.rgb) for item in new]).astype(np.float16), out_folder=scratch,
        source_versions={}, interval_end="",
    )  # fmt: skip
    DELTA_FOLDERS.upload(store, scratch / manifest.delta_id)
    return manifest.delta_id


@dataclass
class Shoppers(Crowd):
    """They look for red without a pause, and keep what does not fit the generation that answered."""

    delta_of: dict[int, tuple[str | None, int]] = field(default_factory=dict)

    def shop(self) -> None:
        with requests.Session() as session:
            while not self.stopping.is_set():
                try:
                    answer = session.post(f"{self.running.url}/search", json={"text": "red", "k": 20}, timeout=60)
                    found = self._what_is_wrong(answer.json()) if answer.status_code == 200 else answer.text
                except requests.RequestException as error:
                    found = repr(error)
                if found:
                    self.failures.append(found)

    def _what_is_wrong(self, body: dict[str, Any]) -> str | None:
        generation = body["generation"]
        self.generations.append(generation)
        delta_id, number = self.delta_of[generation]
        prices = {result["product_id"]: result["price"] for result in body["results"]}
        red = {f"beacon-{each}" for each in range(BEACONS)}
        if delta_id is not None:
            red = red - {f"beacon-{number % BEACONS}"} | {f"new-{number}"}
        shown = {name: price for name, price in prices.items() if name.startswith(("beacon", "new"))}
        expected = dict.fromkeys(red, float(number))
        fits = shown == expected and body["delta_id"] == delta_id
        return None if fits else f"generation {generation}: {body['delta_id']} {shown}, not {delta_id} {expected}"


def memory_bytes(running: Running) -> int:
    return sum(psutil.Process(worker.pid).memory_full_info().uss for worker in running.workers())


def test_swaps_of_deltas_and_bases_under_load_are_noticed_by_nobody(
    store: FolderStore, tmp_path: Path, others: list[Item]
) -> None:
    bases = [f"base-{number}" for number in range(BASES)]
    for number, build_id in enumerate(bases):
        items = [*(beacon(each) for each in range(BEACONS)), *others[number:]]
        put_build(store, tmp_path / "scratch", items, build_id=build_id, thumbnails=False)
    opened = {build_id: open_build(store.root / "builds" / build_id) for build_id in bases}
    point_at(store, bases[0], 1)
    delta_of: dict[int, tuple[str | None, int]] = {1: (None, 0)}
    memory = []
    with run_gunicorn(store, tmp_path, MALLOC) as running, Shoppers(running, delta_of=delta_of) as shoppers:
        generation = 1

        def swap(build_id: str, number: int) -> None:
            nonlocal generation
            generation += 1
            delta_id = put_numbered_delta(store, tmp_path / "deltas", opened[build_id], number) if number else None
            delta_of[generation] = delta_id, number
            point_at(store, build_id, generation, delta_id=delta_id)
            wait_until(lambda: running.figure("shoplens_generation") == generation, f"both serve {generation}")
            wait_until(lambda: shoppers.generations[-1] == generation, "shoppers see it")

        for place, build_id in enumerate(bases):
            if place:
                swap(build_id, 0)
            for number in range(1, DELTA_SWAPS // BASES + 1):
                swap(build_id, number)
                if number >= WARM_SWAPS:
                    memory.append(memory_bytes(running))
        swap(bases[0], 1)  # as a rollback does
    assert shoppers.failures == []
    assert set(shoppers.generations) == set(range(1, generation + 1))
    first, last = memory[0], float(np.median(memory[-3:]))
    assert last <= (1 + MEMORY_GROWTH_MAX) * first, f"{first / 1e6:.1f} MB grew to {last / 1e6:.1f}"
    assert len(list((tmp_path / "cache" / "deltas").glob("*.verified"))) <= 4


def test_the_searcher_follows_a_rollback_and_deleted_products_stay_deleted(store: FolderStore, tmp_path: Path) -> None:
    """b1 is published, then b2 without one product; the way back goes through a delta that takes it from b1 too."""
    versions = {"products": 2}
    store.delete(POINTER_KEY)
    publish(store, Served("b1", MODEL_ID), "20260102T020000Z", {"products": 1}, "first night")
    left = [item for item in SHOP if item.product_id != "shirt-red"]
    put_build(store, tmp_path / "scratch", [*left, beacon(1)], build_id="b2", thumbnails=False)
    with run_gunicorn(store, tmp_path) as running:
        publish(store, Served("b2", MODEL_ID), "20260103T020000Z", versions, "second night")
        wait_until(lambda: running.figure("shoplens_generation") == 2, "b2 is served")
        delta = put_delta(store, tmp_path / "deltas", left, "b1")
        write_evaluation(store, DeltaEvaluation(delta.delta_id, "b1", True, versions, "20260103T020000Z"))
        rolled_back = rollback(store, by="an operator")
        wait_until(lambda: running.figure("shoplens_generation") == rolled_back.generation, "b1 is served again")
        answer = running.search("red").json()
    assert (answer["build_id"], answer["delta_id"]) == ("b1", rolled_back.live.delta_id)
    assert not {"shirt-red", "beacon-1"} & {result["product_id"] for result in answer["results"]}
