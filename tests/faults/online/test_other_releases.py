"""Builds and pointers of the release before, frozen as it wrote them, and of a release to come."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from online.app import create_app
from online.searcher import Searcher
from online.snapshots.watcher import Look
from retrieval.store.objects import ObjectStore
from schemas.bundle import model_key
from schemas.manifest import build_key
from schemas.pointer import POINTER_KEY
from tests.faults.online.changing_shop import ChangingShop
from tests.faults.online.conftest import searcher_config
from tests.online.tiny_shop import MODEL_ID, MeanColourEncoder, point_at

pytestmark = pytest.mark.full

# As release 0.1 wrote them: version 1, no checksum, none of what came later.
OLD_POINTER = f"""
{{"generation": 7, "interval_end": "20260102T020000Z", "source_versions": {{"products": 3}},
  "live": {{"build_id": "b2", "model_id": "{MODEL_ID}"}}, "schema_version": 1}}
"""
OLD_MANIFEST = """
{{"build_id": "b2", "model_id": "{model_id}", "model_fingerprint": "{model_fingerprint}", "dimension": 4, "rows": 7,
  "products": 6, "index_kind": "exact", "factory": "Flat", "photo_search": {{"nprobe": 0, "rerank": 0}},
  "text_search": {{"nprobe": 0, "rerank": 0}}, "source_versions": {{"products": 3}}, "interval_end": "20260102T020000Z",
  "files": {files}, "metric": "inner_product", "schema_version": 1}}
"""


@pytest.fixture
def searcher(folder_shop: ChangingShop, tmp_path: Path) -> Searcher:
    config = searcher_config(folder_shop.store.uri, tmp_path)
    searcher: Searcher = create_app(config, lambda folder: MeanColourEncoder(), watch=False).extensions["searcher"]
    assert searcher.watcher.look() is Look.SWAPPED
    return searcher


def fields_at(store: ObjectStore, key: str) -> dict[str, Any]:
    return dict(json.loads(store.get(key).data))


def test_what_the_release_before_published_is_served(searcher: Searcher, folder_shop: ChangingShop) -> None:
    store = folder_shop.store
    folder_shop.build(2)
    now = fields_at(store, build_key("b2"))
    old = OLD_MANIFEST.format(**(now | {"files": json.dumps(now["files"])}))
    store.put(build_key("b2"), old.encode())
    store.put(POINTER_KEY, OLD_POINTER.encode())
    assert searcher.watcher.look() is Look.SWAPPED
    snapshot = searcher.snapshot()
    assert (snapshot.pointer.generation, snapshot.pointer.live.delta_id) == (7, None)
    assert snapshot.pointer.history == ()
    assert searcher.watcher.look() is Look.UNCHANGED


@pytest.mark.parametrize("key_of", [lambda: POINTER_KEY, lambda: build_key("b2"), lambda: model_key(MODEL_ID)])
def test_what_a_later_release_wrote_is_refused_by_its_name_and_asks_for_the_upgrade(
    searcher: Searcher, folder_shop: ChangingShop, key_of: Callable[[], str], tmp_path: Path
) -> None:
    store, key = folder_shop.store, key_of()
    folder_shop.build(2)
    point_at(store, "b2", 2)
    fields = fields_at(store, key)
    newer = fields | {"schema_version": fields["schema_version"] + 1, "a_field_to_come": {"x": 1}}
    store.put(key, json.dumps(newer).encode())
    if "models" in key:  # the copy on this host's disk would do
        (tmp_path / "cache" / "models" / f"{MODEL_ID}.verified").unlink()
    assert searcher.watcher.look() is Look.REFUSED
    version = newer["schema_version"]
    assert f"{key} has schema version {version}, this release knows {version - 1}: upgrade" in searcher.live.reason
    assert searcher.snapshot().pointer.generation == 1
