"""An hourly publisher killed with -9 at every step: the base answers with its delta or without it."""

import itertools
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.folders.kinds import DELTA_FOLDERS
from retrieval.store.objects import FolderStore
from retrieval.store.s3 import S3Store
from schemas.pointer import POINTER_KEY
from tests.faults.conftest import repetitions
from tests.faults.pipeline.publishers import Death, count_calls, publish_hour, reader_of, start_process
from tests.online.tiny_shop import SHOP, point_at, put_build, put_delta
from tests.retrieval.publishing.publishers import current

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]

HOUR = "20260102T030000Z"
PATIENCE_S = 60


@pytest.fixture(scope="module")
def delta_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delta of base b1 that takes a product away and changes another."""
    folder = tmp_path_factory.mktemp("deltas")
    store = FolderStore(folder / "store")
    put_build(store, folder / "builds")
    items = [replace(SHOP[0], columns={**SHOP[0].columns, "price": 1.0}), *SHOP[1:-1]]
    return folder / put_delta(store, folder, items).delta_id


def shop_at_generation_1(bucket: str, name: str, scratch: Path) -> S3Store:
    store = S3Store(bucket, name)
    put_build(store, scratch / name, thumbnails=False)
    point_at(store, "b1", 1)
    return store


def test_an_hourly_publisher_killed_at_any_step_is_finished_by_the_next_run(
    s3_bucket: str, delta_folder: Path, tmp_path: Path
) -> None:
    rehearsal = shop_at_generation_1(s3_bucket, "rehearsal", tmp_path)
    steps = count_calls(publish_hour, rehearsal.uri, delta_folder, HOUR, 2)
    ends = []
    for attempt, step in itertools.product(range(repetitions(1, 20)), range(1, steps + 1)):
        store = shop_at_generation_1(s3_bucket, f"shop-{attempt}-{step}", tmp_path)
        with reader_of(store) as seen:
            publisher = start_process(publish_hour, store.uri, delta_folder, HOUR, 2, Death(step, during=attempt > 0))
            publisher.join(PATIENCE_S)
        ends.append(publisher.exitcode)
        seen.append(current(store))
        assert {(pointer.generation, pointer.live.delta_id) for pointer in seen} <= {(1, None), (2, delta_folder.name)}
        if seen[-1].live.delta_id:
            assert len(list(DELTA_FOLDERS.verify(store, delta_folder.name))) == len(list(delta_folder.iterdir())) - 1

        publish_hour(store.uri, delta_folder, HOUR, 2)
        pointer = current(store)
        assert (pointer.generation, pointer.live.build_id, pointer.live.delta_id) == (2, "b1", delta_folder.name)
        assert sum(1 for _ in DELTA_FOLDERS.verify(store, delta_folder.name)) == len(list(delta_folder.iterdir())) - 1
        strays = {key for key in store.keys("") if not key.startswith(("builds/b1/", f"deltas/{delta_folder.name}/"))}
        assert strays == {POINTER_KEY}
    assert ends[:steps] == [-signal.SIGKILL] * steps
    assert set(ends) <= {-signal.SIGKILL, 0}
