"""What cannot be loaded leaves the live snapshot alone, says why, and is not tried again at once."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from online.searcher import Searcher
from online.snapshots.golden import GoldenQueries
from online.snapshots.snapshot import SnapshotLoader
from online.snapshots.watcher import FIRST_WAIT_S, LONGEST_WAIT_S, LiveSnapshot, Look, Watcher
from online.telemetry.logs import configure_logging
from online.telemetry.metrics import SearcherMetrics
from retrieval.store.objects import FolderStore
from schemas.delta import CHANGES_FILE, delta_key
from schemas.errors import Corrupt
from schemas.manifest import INDEX_FILE, VECTORS_FILE, build_key
from schemas.pointer import POINTER_KEY
from tests.online.snapshots.publishing import CAR, best_product, damage
from tests.online.tiny_shop import MODEL_ID, SHOP, point_at, put_build, put_delta, put_model


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


def test_a_searcher_that_starts_on_a_bad_build_says_why_it_is_not_ready(app: OpenAPI, store: FolderStore) -> None:
    damage(store, build_key("b1", INDEX_FILE))
    assert app.extensions["searcher"].watcher.look() is Look.REFUSED
    assert "damaged" in app.test_client().get("/ready").get_json()["detail"]


class FailingLoader(SnapshotLoader):
    """Refuses everything, and counts how often it was asked."""

    def __init__(self) -> None:
        self.tries = 0

    def load_last_good(self) -> None:
        return None

    def load(self, *_: object) -> object:  # type: ignore[override]
        self.tries += 1
        raise Corrupt("index.faiss", "a checksum", "another")


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
