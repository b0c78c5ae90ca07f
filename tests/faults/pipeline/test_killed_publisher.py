"""A publisher killed with -9 at every step: readers see the old build or the new one, and the next run finishes the work."""

import itertools
import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.publishing.cleanup import plan_removals
from retrieval.publishing.pointer import read_pointer
from retrieval.store.s3 import S3Store
from schemas.manifest import build_key
from schemas.pointer import POINTER_KEY, Pointer
from spark_jobs.index_build.assemble import assemble_build
from tests.faults.conftest import repetitions
from tests.faults.pipeline.publishers import Death, count_calls, publish_folder, reader_of, start_process
from tests.spark_jobs.index_build.small_rows import small_rows

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]

DAYS = ("20260101T020000Z", "20260102T020000Z")
PATIENCE_S = 60


@dataclass(frozen=True)
class Shop:
    """A store at generation 1 with an old build, and the folder of a new one."""

    store: S3Store
    old: Path
    new: Path

    def publish_new(self, death: Death) -> int | None:
        """In a process of its own; its exit code, -9 where it was killed."""
        publisher = start_process(publish_folder, self.store.uri, self.new, DAYS[1], 2, death)
        publisher.join(PATIENCE_S)
        return publisher.exitcode

    def pointer(self) -> Pointer:
        found = read_pointer(self.store)
        assert found is not None
        return found[0]

    def is_whole(self) -> bool:
        """Whether what CURRENT names is the old build at generation 1 or the new one at 2, and every byte is right."""
        pointer = self.pointer()
        names = {name for name, _ in BUILD_FOLDERS.verify(self.store, pointer.live.build_id)}
        known = {(1, self.old.name), (2, self.new.name)}
        return (pointer.generation, pointer.live.build_id) in known and len(names) == 4

    def removed_by_clean_up(self) -> set[str]:
        """What clean-up would take in eight days, were nothing done until then."""
        in_eight_days = datetime.now(UTC) + timedelta(days=8)
        removals = plan_removals(self.pointer(), self.store.entries(""), in_eight_days)
        return {key for removal in removals for key in removal.keys}

    def strays(self) -> set[str]:
        """Objects that belong to no whole build, nor to the store's own."""
        belong = {POINTER_KEY}
        for build in (self.old.name, self.new.name):
            if manifest := BUILD_FOLDERS.find(self.store, build):
                belong |= {build_key(build), *(build_key(build, name) for name in manifest.files)}
        return set(self.store.keys("")) - belong


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    out = tmp_path_factory.mktemp("made")
    made = []
    for seed in (1, 2):
        vectors, items = small_rows(40, seed=seed)
        made.append(assemble_build(vectors, items, model_id="m", fingerprint="f", out_folder=out).build_id)
    return out / made[0], out / made[1]


def test_a_publisher_killed_at_any_step_is_finished_by_the_next_run(s3_bucket: str, folders: tuple[Path, Path]) -> None:
    rehearsal = Shop(S3Store(s3_bucket, "rehearsal"), *folders)
    publish_folder(rehearsal.store.uri, rehearsal.old, DAYS[0], 1)
    steps = count_calls(publish_folder, rehearsal.store.uri, rehearsal.new, DAYS[1], 2)
    assert steps == 13  # the manifest, 4 files, the manifest; the manifest and 4 sizes; CURRENT read and written
    ends = []
    for attempt, step in itertools.product(range(repetitions(3, 20)), range(1, steps + 1)):
        shop = Shop(S3Store(s3_bucket, f"shop-{attempt}-{step}"), *folders)
        publish_folder(shop.store.uri, shop.old, DAYS[0], 1)

        with reader_of(shop.store) as seen:
            ends.append(shop.publish_new(Death(step, during=attempt > 0)))
        assert shop.is_whole()
        assert {pointer.generation for pointer in seen} <= {1, 2}
        assert all(key.startswith(f"builds/{shop.new.name}/") for key in shop.strays())
        removed = shop.removed_by_clean_up()
        assert shop.strays() <= removed
        assert not any(key.startswith(f"builds/{shop.pointer().live.build_id}/") for key in removed)

        publish_folder(shop.store.uri, shop.new, DAYS[1], 2)
        pointer = shop.pointer()
        assert (pointer.generation, pointer.live.build_id) == (2, shop.new.name)
        assert pointer.previous is not None
        assert pointer.previous.build_id == shop.old.name
        assert shop.is_whole()
        assert shop.strays() == set()
    assert ends[:steps] == [-signal.SIGKILL] * steps
    assert set(ends) <= {-signal.SIGKILL, 0}  # a kill that came too late
