"""Builds that must not be served, given to a running searcher: each is refused with its reason, in a figure and a line."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from schemas.manifest import INDEX_FILE, ITEMS_FILE, Manifest, build_key
from tests.faults.online.changing_shop import ChangingShop, generation_of
from tests.online.running import Running, run_gunicorn, wait_until
from tests.online.tiny_shop import point_at, put_model

pytestmark = pytest.mark.full

WORKERS = 2


@dataclass(frozen=True)
class BadBuild:
    """How a whole build is spoiled; the error that names it, and what the line says."""

    spoil: Callable[[ChangingShop, Manifest], None]
    error: str
    says: str
    model: Callable[[ChangingShop], str] | None = None


def lose_a_file(shop: ChangingShop, manifest: Manifest) -> None:
    shop.store.delete(build_key(manifest.build_id, ITEMS_FILE))


def change_a_file(shop: ChangingShop, manifest: Manifest) -> None:
    key = build_key(manifest.build_id, INDEX_FILE)
    data = shop.store.get(key).data
    shop.store.put(key, data[:-1] + bytes([data[-1] ^ 1]))


def name_a_file_less(shop: ChangingShop, manifest: Manifest) -> None:
    files = {name: entry for name, entry in manifest.files.items() if name != INDEX_FILE}
    shop.store.put(build_key(manifest.build_id), replace(manifest, files=files).to_json())


def write_by_a_later_release(shop: ChangingShop, manifest: Manifest) -> None:
    fields = json.loads(manifest.to_json()) | {"schema_version": 3, "something": "new"}
    shop.store.put(build_key(manifest.build_id), json.dumps(fields).encode())


def leave_whole(shop: ChangingShop, manifest: Manifest) -> None:
    pass


def put_another_model(shop: ChangingShop) -> str:
    return put_model(shop.store, fingerprint=hashlib.sha256(b"another model").hexdigest())


BAD_BUILDS = {
    "missing file": BadBuild(lose_a_file, "Corrupt", "items.arrow is damaged: expected"),
    "wrong hash": BadBuild(change_a_file, "Corrupt", "index.faiss is damaged: expected SHA-256"),
    "file not named": BadBuild(name_a_file_less, "Corrupt", "expected an entry for index.faiss"),
    "newer schema": BadBuild(write_by_a_later_release, "SchemaTooNew", "has schema version 3, this release knows 2"),
    "other model": BadBuild(leave_whole, "EncoderMismatch", "publish a build made with this model", put_another_model),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ChangingShop:
    """Every test publishes a generation of its own."""
    return ChangingShop.in_folder(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def running(shop: ChangingShop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with run_gunicorn(shop.store, tmp_path_factory.mktemp("searcher")) as running:
        yield running


def refusals(running: Running) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in running.log.read_text().splitlines() if '"snapshot_refused"' in line]
    return [line for line in lines if line["message"] == "snapshot_refused"]


@pytest.mark.parametrize("bad", BAD_BUILDS.values(), ids=BAD_BUILDS)
def test_a_bad_build_is_refused_with_its_reason_in_a_figure_and_one_line_a_worker(
    running: Running, shop: ChangingShop, bad: BadBuild
) -> None:
    standing = generation_of(running.search("white").json())
    figure = f'shoplens_snapshot_load_failures_total{{error="{bad.error}"}}'
    figure_before, lines_before = running.figure(figure), len(refusals(running))

    number = standing + 1
    build_id = shop.build(number)
    bad.spoil(shop, Manifest.from_json(shop.store.get(build_key(build_id)).data))
    point_at(shop.store, build_id, number, *([bad.model(shop)] if bad.model else []))

    wait_until(lambda: running.figure(figure) == figure_before + WORKERS, "both workers refused it")
    said = refusals(running)[lines_before:]
    assert [(line["error"], line["still_serving"], line["level"]) for line in said] == [
        (bad.error, standing, "error")
    ] * 2
    assert all(bad.says in line["detail"] and "\n" not in line["detail"] for line in said)
    assert {generation_of(running.search("white").json()) for _ in range(8)} == {standing}

    shop.publish(number + 1)
    wait_until(lambda: running.figure("shoplens_generation") == number + 1, "the next good one is live")
