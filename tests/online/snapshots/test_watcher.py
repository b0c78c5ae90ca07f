"""The watcher: a new CURRENT goes live, a bad one leaves the live snapshot alone."""

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from online.config import SearcherConfig
from online.searcher import Searcher, assemble_searcher
from online.snapshots.golden import GoldenQueries
from online.snapshots.host_cache import HostCache
from online.snapshots.snapshot import Snapshot, SnapshotLoader
from online.snapshots.watcher import FIRST_WAIT_S, LONGEST_WAIT_S, LiveSnapshot, Look, Watcher
from online.telemetry.logs import configure_logging
from online.telemetry.metrics import SearcherMetrics
from retrieval.store.objects import FolderStore, StoredObject
from schemas.delta import CHANGES_FILE, delta_key
from schemas.errors import Corrupt, StoreUnavailable
from schemas.manifest import INDEX_FILE, VECTORS_FILE, build_key
from schemas.pointer import POINTER_KEY
from tests.online.running import PATIENCE_S, wait_until
from tests.online.tiny_shop import (
    COLOURS,
    MODEL_ID,
    SHOP,
    Item,
    MeanColourEncoder,
    point_at,
    put_build,
    put_delta,
    put_model,
)

CAR = Item("car-white", COLOURS["white"])


def best_product(client: FlaskClient, words: str) -> str:
    return str(client.post("/search", json={"text": words}).get_json()["results"][0]["product_id"])


def damage(store: FolderStore, key: str) -> None:
    """Change one byte in the middle; the size stays."""
    path = store.root / key
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


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


def test_reload_keeps_the_old_index_when_a_checksum_fails(
    client: FlaskClient, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    damage(store, build_key("b2", INDEX_FILE))
    point_at(store, "b2", 2)
    assert searcher.watcher.look() is Look.REFUSED
    assert client.get("/ready").get_json()["generation"] == 1
    assert best_product(client, "green") == "sock-green"
    assert 'shoplens_snapshot_load_failures_total{error="Corrupt"} 1.0' in client.get("/metrics").text


def test_a_refusal_is_one_line_that_says_why(searcher: Searcher, store: FolderStore, tmp_path: Path) -> None:
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    damage(store, build_key("b2", INDEX_FILE))
    point_at(store, "b2", 2)
    lines = io.StringIO()
    configure_logging(lines)
    for _ in range(5):
        searcher.watcher.look()
    refused = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [line["message"] for line in refused if line["level"] == "error"] == ["snapshot_refused"]
    assert "index.faiss is damaged" in refused[-1]["detail"]
    assert refused[-1]["still_serving"] == 1


def test_a_damaged_build_that_is_repaired_under_a_new_pointer_goes_live(
    searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    sound = (store.root / build_key("b2", INDEX_FILE)).read_bytes()
    damage(store, build_key("b2", INDEX_FILE))
    point_at(store, "b2", 2)
    assert searcher.watcher.look() is Look.REFUSED
    (store.root / build_key("b2", INDEX_FILE)).write_bytes(sound)
    point_at(store, "b2", 3)
    assert searcher.watcher.look() is Look.SWAPPED


def newer_schema(store: FolderStore, delta_id: str) -> None:
    fields = json.loads((store.root / delta_key(delta_id)).read_bytes())
    (store.root / delta_key(delta_id)).write_text(json.dumps({**fields, "schema_version": 99}))


def cut_short(store: FolderStore, delta_id: str) -> None:
    (store.root / delta_key(delta_id, VECTORS_FILE)).unlink()


def flip(store: FolderStore, delta_id: str) -> None:
    damage(store, delta_key(delta_id, CHANGES_FILE))


def remove(store: FolderStore, delta_id: str) -> None:
    (store.root / delta_key(delta_id)).unlink()


@pytest.mark.parametrize(
    ("spoil", "error"), [(newer_schema, "SchemaTooNew"), (cut_short, "Corrupt"), (flip, "Corrupt"), (remove, "BadData")]
)
def test_a_delta_that_cannot_be_loaded_leaves_the_live_snapshot(
    client: FlaskClient, searcher: Searcher, store: FolderStore, tmp_path: Path,
    spoil: Callable[[FolderStore, str], None], error: str,
) -> None:  # fmt: skip
    delta_id = put_delta(store, tmp_path, [*SHOP[1:], CAR]).delta_id
    spoil(store, delta_id)
    point_at(store, "b1", 2, delta_id=delta_id)
    lines = io.StringIO()
    configure_logging(lines)
    assert searcher.watcher.look() is Look.REFUSED
    assert searcher.watcher.look() is Look.WAITING
    assert lines.getvalue().count("snapshot_refused") == 1
    assert f'shoplens_snapshot_load_failures_total{{error="{error}"}} 1.0' in client.get("/metrics").text
    assert client.get("/ready").get_json()["generation"] == 1
    sound = put_delta(store, tmp_path, [*SHOP, CAR]).delta_id
    point_at(store, "b1", 3, delta_id=sound)
    assert searcher.watcher.look() is Look.SWAPPED
    assert best_product(client, "white") == "car-white"


def test_a_delta_of_another_base_is_refused(
    client: FlaskClient, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    put_build(store, tmp_path / "scratch", SHOP[1:], build_id="b2")
    point_at(store, "b1", 2, delta_id=put_delta(store, tmp_path, [*SHOP, CAR], "b2").delta_id)
    assert searcher.watcher.look() is Look.REFUSED
    assert client.get("/ready").get_json()["delta_id"] is None


def test_a_delta_whose_golden_answers_are_wrong_is_refused_and_one_that_explains_them_is_not(
    searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    golden = {"photo": [{"row": row, "product_id": item.product_id} for row, item in enumerate(SHOP)], "text": []}
    base = searcher.snapshot().base
    searcher.live.current = replace(searcher.snapshot(), base=replace(base, golden=GoldenQueries(golden["photo"])))
    delta = put_delta(store, tmp_path, [*SHOP[3:], replace(SHOP[3], product_id="sock-twin")])
    point_at(store, "b1", 2, delta_id=delta.delta_id)
    assert searcher.watcher.look() is Look.SWAPPED
    astray = [{**entry, "product_id": "hat-yellow"} for entry in golden["photo"]]
    searcher.live.current = replace(searcher.snapshot(), base=replace(base, golden=GoldenQueries(astray)))
    point_at(store, "b1", 3, delta_id=put_delta(store, tmp_path, SHOP[2:]).delta_id)
    assert searcher.watcher.look() is Look.REFUSED


def test_a_model_that_did_not_make_the_vectors_is_refused(
    client: FlaskClient, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    other = put_model(store, fingerprint=hashlib.sha256(b"another model").hexdigest())
    put_build(store, tmp_path / "scratch", SHOP, build_id="b2")
    point_at(store, "b2", 2, model_id=other)
    assert searcher.watcher.look() is Look.REFUSED
    assert "EncoderMismatch" in client.get("/metrics").text
    assert client.get("/ready").get_json()["model_id"] == MODEL_ID


@pytest.mark.parametrize("content", [b"{}", b"not json", b'{"schema_version": 99}', b"\xff"])
def test_a_pointer_that_cannot_be_read_leaves_the_live_snapshot(
    searcher: Searcher, store: FolderStore, content: bytes
) -> None:
    store.put(POINTER_KEY, content)
    assert searcher.watcher.look() is Look.REFUSED
    assert searcher.snapshot().pointer.generation == 1


@pytest.mark.parametrize("build_id", ["missing", "../escape", "a/b", ""])
def test_a_build_that_is_not_there_leaves_the_live_snapshot(
    searcher: Searcher, store: FolderStore, build_id: str
) -> None:
    point_at(store, build_id, 2)
    assert searcher.watcher.look() is Look.REFUSED
    assert searcher.snapshot().pointer.generation == 1


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


def test_a_searcher_that_starts_on_a_bad_build_says_why_it_is_not_ready(app: OpenAPI, store: FolderStore) -> None:
    damage(store, build_key("b1", INDEX_FILE))
    assert app.extensions["searcher"].watcher.look() is Look.REFUSED
    assert "damaged" in app.test_client().get("/ready").get_json()["detail"]


def start_worker(config: SearcherConfig) -> Searcher:
    """Another worker of the same host."""
    searcher = assemble_searcher(config, lambda folder: MeanColourEncoder())
    searcher.watcher.look()
    return searcher


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


def test_a_worker_that_starts_while_current_is_bad_serves_what_the_host_served(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    damage(store, build_key("b2", INDEX_FILE))
    point_at(store, "b2", 2)
    late = start_worker(config)
    assert late.snapshot().pointer.generation == 1
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b3")
    point_at(store, "b3", 3)
    assert late.watcher.look() is Look.SWAPPED


def test_a_worker_that_starts_while_the_store_is_gone_serves_from_disk(
    config: SearcherConfig, searcher: Searcher, store: FolderStore
) -> None:
    away = store.root.rename(store.root.with_name("away"))
    store.root.write_text("no folder")
    late = start_worker(config)
    assert late.snapshot().pointer.generation == 1
    store.root.unlink()
    away.rename(store.root)
    assert late.watcher.look() is Look.SWAPPED


def test_a_worker_that_starts_while_the_store_is_gone_serves_the_delta_too(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    delta_id = put_delta(store, tmp_path, [*SHOP[3:], CAR]).delta_id
    point_at(store, "b1", 2, delta_id=delta_id)
    assert searcher.watcher.look() is Look.SWAPPED
    store.root.rename(store.root.with_name("away"))
    store.root.write_text("no folder")
    late = start_worker(config).snapshot()
    assert (late.pointer.generation, late.pointer.live.delta_id, late.products) == (2, delta_id, 4)


def test_a_worker_that_starts_while_another_one_fetches_serves_what_the_host_served(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    point_at(store, "b2", 2)
    late = assemble_searcher(config, lambda folder: MeanColourEncoder(), others_answer=lambda: True)
    with HostCache(store, config.cache_folder, 2).locked():  # as long as a download takes
        late.watcher.start(first_look_wait_s=PATIENCE_S)
        assert late.snapshot().pointer.generation == 1
    wait_until(lambda: late.snapshot().pointer.generation == 2, "what CURRENT names is served")
    late.watcher.stop()


def test_a_host_that_starts_as_a_whole_shows_nothing_before_what_current_names(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other hosts may serve it already: what was deleted must not appear again."""
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    point_at(store, "b2", 2)
    late = assemble_searcher(config, lambda folder: MeanColourEncoder())
    served_while_it_loads, load = [], SnapshotLoader.load

    def load_and_look(self: SnapshotLoader, *arguments: Any) -> Snapshot:
        served_while_it_loads.append(late.live.current)
        return load(self, *arguments)

    monkeypatch.setattr(SnapshotLoader, "load", load_and_look)
    late.watcher.look()
    assert served_while_it_loads == [None]
    assert late.snapshot().pointer.generation == 2


def test_a_worker_that_starts_while_the_store_keeps_it_waiting_serves_from_disk(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where packets are lost nothing is refused, and each request takes minutes to fail."""
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2")
    point_at(store, "b2", 2)
    answers, get = threading.Event(), FolderStore.get

    def get_late(self: FolderStore, key: str) -> StoredObject | None:
        assert answers.wait(PATIENCE_S)
        return get(self, key)

    monkeypatch.setattr(FolderStore, "get", get_late)
    monkeypatch.setattr("online.snapshots.watcher.SILENCE_S", 0.05)
    late = assemble_searcher(config, lambda folder: MeanColourEncoder())
    late.watcher.start(first_look_wait_s=PATIENCE_S)
    assert late.snapshot().pointer.generation == 1
    answers.set()
    wait_until(lambda: late.snapshot().pointer.generation == 2, "what CURRENT names is served")
    late.watcher.stop()


def test_a_host_that_was_off_for_longer_fetches_first(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    """What it served then may show products that are deleted everywhere else."""
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b3")
    coming = point_at(store, "b3", 3)
    loader = SnapshotLoader(HostCache(store, config.cache_folder, 2), lambda folder: MeanColourEncoder())
    assert loader.load_meanwhile(coming) is None
    assert loader.load_meanwhile(replace(coming, generation=2)) is not None


def test_what_was_served_from_another_store_is_not_taken(
    config: SearcherConfig, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    other = FolderStore(tmp_path / "other")
    other.put(POINTER_KEY, b"nonsense")
    assert start_worker(replace(config, store_uri=other.uri)).live.current is None


class SilentStore(FolderStore):
    """A store that can stop answering."""

    silent = False

    def get(self, key: str) -> StoredObject | None:
        if self.silent:
            raise StoreUnavailable("no answer")
        return super().get(key)


class FailingLoader(SnapshotLoader):
    """Refuses everything, and counts how often it was asked."""

    def __init__(self) -> None:
        self.tries = 0

    def load_last_good(self) -> None:
        return None

    def load(self, *_: object) -> object:  # type: ignore[override]
        self.tries += 1
        raise Corrupt("index.faiss", "a checksum", "another")


def test_a_store_that_is_silent_for_a_while_is_waited_out(searcher: Searcher, store: FolderStore) -> None:
    silent = SilentStore(store.root)
    watcher = Watcher(silent, searcher.watcher._loader, searcher.live, searcher.metrics, poll_interval_s=1)
    silent.silent = True
    assert watcher.look() is Look.STORE_UNAVAILABLE
    assert searcher.snapshot().pointer.generation == 1
    silent.silent = False
    assert watcher.look() is Look.SWAPPED


def test_a_bad_generation_is_not_tried_again_in_a_tight_loop(store: FolderStore) -> None:
    now = [0.0]
    loader = FailingLoader()
    watcher = Watcher(store, loader, LiveSnapshot(), SearcherMetrics(), poll_interval_s=1, clock=lambda: now[0])
    for _ in range(2_000):
        watcher.look()
        now[0] += 1.0
    doublings = 6  # 30, 60 … 600 seconds, each up to a quarter shorter
    assert 2 <= loader.tries <= doublings + 2_000 / (0.75 * LONGEST_WAIT_S)
    point_at(store, "b1", 2)
    before = loader.tries
    watcher.look()
    assert loader.tries == before + 1, "a new CURRENT is tried at once"


def test_what_may_pass_is_tried_again_sooner_than_what_will_not() -> None:
    assert FIRST_WAIT_S[True] < FIRST_WAIT_S[False]


def test_the_thread_serves_before_start_returns(searcher: Searcher) -> None:
    searcher.live.current = None
    watcher = Watcher(searcher.store, searcher.watcher._loader, searcher.live, searcher.metrics, poll_interval_s=60)
    watcher.start(first_look_wait_s=60)
    assert searcher.live.current is not None
    watcher.stop()
