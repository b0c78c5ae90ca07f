"""Going back, and going on again."""

import pytest

from retrieval.publishing.publish import publish, publish_deltas
from retrieval.publishing.rollback import release, rollback
from retrieval.store.objects import FolderStore
from schemas.delta import delta_key
from schemas.errors import BadData, PublishingHeld
from schemas.manifest import build_key
from schemas.pointer import Served
from tests.retrieval.publishing.publishers import DAYS, current, publish_day, put_build, put_delta


def test_rollback_goes_to_the_previous_build_and_holds_until_release(store: FolderStore) -> None:
    publish_day(store, "a", 0, version=1)
    publish_day(store, "b", 1)
    pointer = rollback(store, by="ann", reason="odd results")
    assert (pointer.generation, pointer.live.build_id) == (3, "a")
    assert (pointer.interval_end, pointer.source_versions) == (DAYS[1], {"products": 1})
    assert pointer.previous == Served("b", "m")
    with pytest.raises(PublishingHeld, match=r"odd results, by ann.*shoplens index release"):
        publish_day(store, "c", 2)
    assert release(store).hold is None
    assert release(store).generation == 3
    assert publish_day(store, "c", 2).pointer.generation == 4


def test_rollback_goes_to_a_named_build_or_generation(store: FolderStore) -> None:
    for day, build_id in enumerate("abcd"):
        publish_day(store, build_id, day, version=1)
    assert rollback(store, "b", by="ann").live.build_id == "b"
    assert rollback(store, "3", by="ann").live.build_id == "c"
    assert rollback(store, 1, by="ann").live.build_id == "a"
    with pytest.raises(BadData, match="no build or generation zzz"):
        rollback(store, "zzz", by="ann")
    store.delete(build_key("d"))
    with pytest.raises(BadData, match="no whole build d"):
        rollback(store, "d", by="ann")


def test_rollback_takes_the_newest_delta_so_that_deleted_products_stay_deleted(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    publish_day(store, "b", 1)
    with pytest.raises(BadData, match=r"what was deleted since: run `python -m spark_jobs.build_delta --base a"):
        rollback(store, by="ann")
    put_delta(store, "a", "too-old", {"products": 0})
    put_delta(store, "a", "failed", {"products": 2}, passed=False)
    with pytest.raises(BadData, match="build_delta"):
        rollback(store, by="ann")
    put_delta(store, "a", "a1", {"products": 1, "embeddings/m": 4})
    assert rollback(store, by="ann").live == Served("a", "m", "a1")


def test_rollback_takes_no_delta_that_was_judged_at_the_versions_of_another_lake(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    put_delta(store, "a", "a9", {"products": 9}, lake_id="before")
    publish(store, put_build(store, "b"), DAYS[1], {"products": 1}, "night 1", lake_id="now")
    with pytest.raises(BadData, match="build_delta"):
        rollback(store, by="ann")
    put_delta(store, "a", "a1", {"products": 1}, lake_id="now")
    assert rollback(store, by="ann").live == Served("a", "m", "a1")


def test_rollback_takes_no_delta_that_is_gone_from_the_store(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    put_delta(store, "a", "a1", {"products": 1})
    assert publish_deltas(store, {"a": "a1"}, DAYS[1], {"products": 1}, "hour 1").moved
    publish_day(store, "b", 2, version=1)
    store.delete(delta_key("a1"))
    with pytest.raises(BadData, match=r"run `python -m spark_jobs.build_delta --base a"):
        rollback(store, by="ann")
    assert current(store).live.build_id == "b"
    put_delta(store, "a", "a2", {"products": 1})
    assert rollback(store, by="ann").live == Served("a", "m", "a2")


def test_there_is_nothing_to_roll_back_to_at_first(store: FolderStore) -> None:
    with pytest.raises(BadData, match="nothing was published"):
        rollback(store, by="ann")
    publish_day(store, "a", 0)
    with pytest.raises(BadData, match="no previous build"):
        rollback(store, by="ann")
