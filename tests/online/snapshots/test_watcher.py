"""The watcher: a new CURRENT goes live, and a store without one leaves the live snapshot alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from online.config import SearcherConfig
from online.searcher import Searcher, assemble_searcher
from online.snapshots.watcher import Look, Watcher
from retrieval.store.objects import FolderStore, StoredObject
from schemas.errors import StoreUnavailable
from schemas.pointer import POINTER_KEY
from tests.online.snapshots.publishing import CAR, best_product
from tests.online.tiny_shop import SHOP, MeanColourEncoder, point_at, put_build, put_delta


def test_a_new_pointer_is_served_at_the_next_look(
    client: FlaskClient, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    assert best_product(client, "white") != "car-white"
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    point_at(store, "b2", 2)
    assert searcher.watcher.look() is Look.SWAPPED
    assert best_product(client, "white") == "car-white"
    assert client.get("/ready").get_json()["generation"] == 2


def test_an_unchanged_pointer_changes_nothing(searcher: Searcher) -> None:
    before = searcher.live.current
    assert searcher.watcher.look() is Look.UNCHANGED
    assert searcher.live.current is before


def test_the_same_build_under_a_new_generation_is_not_loaded_again(searcher: Searcher, store: FolderStore) -> None:
    before = searcher.snapshot()
    point_at(store, "b1", 2)
    assert searcher.watcher.look() is Look.SWAPPED
    assert searcher.snapshot().base is before.base
    assert searcher.snapshot().pointer.generation == 2


def test_a_pointer_that_vanishes_leaves_the_live_snapshot(searcher: Searcher, store: FolderStore) -> None:
    store.delete(POINTER_KEY)
    assert searcher.watcher.look() is Look.NOTHING_PUBLISHED
    assert searcher.snapshot().pointer.generation == 1


def test_before_anything_is_published_ready_says_so(app: OpenAPI, store: FolderStore) -> None:
    store.delete(POINTER_KEY)
    app.extensions["searcher"].watcher.look()
    answer = app.test_client().get("/ready")
    assert answer.status_code == 503
    assert "nothing is published" in answer.get_json()["detail"]
    assert app.test_client().get("/health").status_code == 200


def test_bases_and_deltas_are_made_aside_and_a_look_that_finds_nothing_new_is_not(
    config: SearcherConfig, store: FolderStore, searcher: Searcher, tmp_path: Path
) -> None:
    happened: list[str] = []

    @contextmanager
    def aside() -> Iterator[None]:
        happened.append("begins")
        yield
        happened.append("ends")

    worker = assemble_searcher(config, lambda folder: MeanColourEncoder(), aside)
    assert worker.watcher.look() is Look.SWAPPED
    assert happened == ["begins", "ends"]
    point_at(store, "b1", 2, delta_id=put_delta(store, tmp_path, SHOP[1:]).delta_id)
    assert worker.watcher.look() is Look.SWAPPED
    assert worker.watcher.look() is Look.UNCHANGED
    assert happened == ["begins", "ends"] * 2


class SilentStore(FolderStore):
    """A store that can stop answering."""

    silent = False

    def get(self, key: str) -> StoredObject | None:
        if self.silent:
            raise StoreUnavailable("no answer")
        return super().get(key)


def test_a_store_that_is_silent_for_a_while_is_waited_out(searcher: Searcher, store: FolderStore) -> None:
    silent = SilentStore(store.root)
    watcher = Watcher(silent, searcher.watcher._loader, searcher.live, searcher.metrics, poll_interval_s=1)
    silent.silent = True
    assert watcher.look() is Look.STORE_UNAVAILABLE
    assert searcher.snapshot().pointer.generation == 1
    silent.silent = False
    assert watcher.look() is Look.SWAPPED


def test_the_thread_serves_before_start_returns(searcher: Searcher) -> None:
    searcher.live.current = None
    watcher = Watcher(searcher.store, searcher.watcher._loader, searcher.live, searcher.metrics, poll_interval_s=60)
    watcher.start(first_look_wait_s=60)
    assert searcher.live.current is not None
    watcher.stop()
