"""A build goes live: what moves with it, and what keeps CURRENT where it is."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.publishing.pointer import read_pointer
from retrieval.publishing.publish import publish, publish_deltas
from retrieval.publishing.rollback import rollback
from retrieval.store.objects import FolderStore
from schemas.errors import BadData
from schemas.pointer import HISTORY_LENGTH, POINTER_KEY, Pointer, Served
from tests.retrieval.publishing.publishers import DAYS, current, publish_day, put_build, put_delta


def test_each_publish_is_a_generation_and_remembers_the_one_before(store: FolderStore) -> None:
    assert read_pointer(store) is None
    first = publish_day(store, "a", 0)
    second = publish_day(store, "b", 1)
    assert (first.pointer.generation, second.pointer.generation) == (1, 2)
    assert second.pointer.live == Served("b", "m")
    assert second.pointer.previous == Served("a", "m")
    assert [line.generation for line in second.pointer.history] == [2, 1]
    assert current(store) == second.pointer


def test_publishing_the_same_thing_again_moves_nothing(store: FolderStore) -> None:
    first = publish_day(store, "a", 0)
    again = publish_day(store, "a", 0)
    other_id = publish_day(store, "a", 0, by="somebody else")
    assert (again.moved, other_id.moved) == (False, False)
    assert (again.reason, other_id.reason) == ("this publish made generation 1 before", "nothing changed")
    assert current(store) == first.pointer


def test_the_same_build_for_a_later_interval_keeps_previous(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    publish_day(store, "b", 1)
    pointer = publish_day(store, "b", 2).pointer
    assert (pointer.generation, pointer.interval_end, pointer.previous) == (3, DAYS[2], Served("a", "m"))


def test_an_older_interval_or_older_tables_leave_current_alone(store: FolderStore) -> None:
    standing = publish_day(store, "new", 5).pointer
    older = publish_day(store, "old", 4)
    older_tables = publish_day(store, "old", 6, version=3)
    assert (older.moved, older_tables.moved) == (False, False)
    assert "older than 20260106T020000Z" in str(older.reason)
    assert "products at version 3 is older than 5" in str(older_tables.reason)
    assert current(store) == standing
    anew = publish(store, Served("old", "m"), DAYS[6], {"products": 0}, "anew", new_lake=True)
    assert anew.moved


def test_a_lake_that_was_made_anew_leaves_no_way_back_to_bases_whose_versions_are_another_lakes(
    store: FolderStore,
) -> None:
    publish_day(store, "a", 4)
    publish_day(store, "b", 5)
    anew = publish(
        store, put_build(store, "c"), DAYS[6], {"products": 0}, "anew", new_lake=True, lake_id="second"
    ).pointer  # fmt: skip
    assert (anew.generation, anew.previous, anew.lake_id) == (3, None, "second")
    for target in (None, "b", 2):
        with pytest.raises(BadData, match=r"names no previous|knows no build"):
            rollback(store, target, by="ann")
    put_delta(store, "c", "c1", {"products": 1})
    later = publish_deltas(store, {"c": "c1"}, DAYS[7], {"products": 1}, "hour 1")
    assert (later.moved, later.pointer.lake_id) == (True, "second")


def test_a_build_that_is_not_in_the_store_cannot_go_live(store: FolderStore) -> None:
    with pytest.raises(BadData, match="no whole build ghost"):
        publish(store, Served("ghost", "m"), DAYS[0], {}, "x")
    assert read_pointer(store) is None


def test_what_was_live_becomes_previous_with_the_delta_that_the_publish_brings(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    put_delta(store, "a", "a1", {"products": 1})
    served = put_build(store, "b")
    pointer = publish(store, served, DAYS[1], {"products": 1}, "night 1", deltas={"a": "a1"}).pointer
    assert (pointer.live, pointer.previous) == (served, Served("a", "m", "a1"))
    assert rollback(store, by="ann").live == Served("a", "m", "a1")
    with pytest.raises(BadData, match="no whole delta ghost of build a"):
        publish(store, served, DAYS[2], {"products": 2}, "night 2", deltas={"a": "ghost"})


def test_a_publisher_changes_only_its_own_section(store: FolderStore) -> None:
    publish_day(store, "a", 0)
    fields = json.loads(store.get(POINTER_KEY).data)  # type: ignore[union-attr]
    fields |= {
        "candidate": {"build_id": "x", "model_id": "n", "delta_id": None},
        "traffic": {"live": 0.9, "candidate": 0.1},
    }
    store.put(POINTER_KEY, json.dumps(fields).encode())
    pointer = publish_day(store, "b", 1).pointer
    assert pointer.candidate == Served("x", "n")
    assert pointer.traffic == {"live": 0.9, "candidate": 0.1}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 9)), max_size=25))
def test_whatever_is_published_in_whatever_order_current_only_goes_forward(
    tmp_path_factory: pytest.TempPathFactory, publishes: list[tuple[str, int, int]]
) -> None:
    store = FolderStore(tmp_path_factory.mktemp("store"))
    before: Pointer | None = None
    for build_id, day, version in publishes:
        outcome = publish_day(store, build_id, day, version)
        now = current(store)
        assert outcome.pointer == now
        if before:
            assert now.interval_end >= before.interval_end
            assert now.source_versions["products"] >= before.source_versions["products"]
            assert now.generation == before.generation + outcome.moved
        assert len(now.history) == min(now.generation, HISTORY_LENGTH)
        before = now
