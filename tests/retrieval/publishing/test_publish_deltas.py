"""An hour's deltas go live over whichever bases CURRENT names."""

import pytest

from retrieval.publishing.publish import publish_deltas
from retrieval.publishing.rollback import release, rollback
from retrieval.store.objects import FolderStore
from schemas.errors import BadData, PointerMoved, PublishingHeld
from schemas.pointer import Served
from tests.retrieval.publishing.publishers import DAYS, current, publish_day, put_delta


@pytest.fixture
def two_bases(store: FolderStore) -> FolderStore:
    """b is live, a previous; each has a delta at version 2 in the store."""
    publish_day(store, "a", 0)
    publish_day(store, "b", 1)
    for build_id in "ab":
        put_delta(store, build_id, f"{build_id}2", {"products": 2})
    return store


def test_an_hour_lays_a_delta_over_every_base_and_moves_none(two_bases: FolderStore) -> None:
    before = current(two_bases)
    done = publish_deltas(two_bases, {"a": "a2", "b": "b2"}, "20260102T030000Z", {"products": 2}, "hour 3")
    pointer = current(two_bases)
    assert (done.moved, done.pointer) == (True, pointer)
    assert (pointer.live, pointer.previous) == (Served("b", "m", "b2"), Served("a", "m", "a2"))
    assert (pointer.generation, pointer.interval_end) == (before.generation + 1, "20260102T030000Z")
    assert (pointer.source_versions, pointer.history[0].live) == ({"products": 2}, pointer.live)
    again = publish_deltas(two_bases, {"a": "a2", "b": "b2"}, "20260102T030000Z", {"products": 2}, "hour 3")
    assert (again.moved, again.reason) == (False, "this publish made generation 3 before")
    other = publish_deltas(two_bases, {"a": "a2", "b": "b2"}, "20260102T030000Z", {"products": 2}, "other")
    assert (other.moved, other.reason) == (False, "nothing changed")


def test_an_older_hour_keeps_the_newer_interval_and_older_tables_are_not_published(two_bases: FolderStore) -> None:
    late = publish_deltas(two_bases, {"a": "a2", "b": "b2"}, DAYS[0], {"products": 2}, "late, with more in it")
    assert (late.moved, late.pointer.interval_end) == (True, DAYS[1])
    older = publish_deltas(two_bases, {"a": None, "b": None}, DAYS[5], {"products": 1}, "older tables")
    assert (older.moved, older.reason) == (
        False, "products at version 1 is older than 2, which CURRENT covers",
    )  # fmt: skip
    assert current(two_bases) == late.pointer


def test_a_base_published_meanwhile_makes_the_hour_try_again(two_bases: FolderStore) -> None:
    publish_day(two_bases, "c", 2, version=1)
    standing = current(two_bases)
    with pytest.raises(PointerMoved, match="names base c, published meanwhile: run build_delta again"):
        publish_deltas(two_bases, {"a": "a2", "b": "b2"}, DAYS[2], {"products": 2}, "hour")
    assert current(two_bases) == standing


def test_an_hour_obeys_a_hold_and_needs_a_first_publish_and_whole_deltas(two_bases: FolderStore) -> None:
    with pytest.raises(BadData, match="no whole delta b2 of build a"):
        publish_deltas(two_bases, {"a": "b2", "b": "b2"}, DAYS[2], {"products": 2}, "the wrong base's")
    publish_deltas(two_bases, {"a": "a2", "b": "b2"}, DAYS[1], {"products": 2}, "hour 1")
    rollback(two_bases, by="ann")
    assert current(two_bases).live == Served("a", "m", "a2")
    with pytest.raises(PublishingHeld):
        publish_deltas(two_bases, {"a": None, "b": None}, DAYS[3], {"products": 3}, "hour 2")
    release(two_bases)
    assert publish_deltas(two_bases, {"a": None, "b": None}, DAYS[3], {"products": 3}, "hour 2").moved
    with pytest.raises(BadData, match="nothing was published"):
        publish_deltas(FolderStore(two_bases.root / "empty"), {}, DAYS[0], {}, "x")
