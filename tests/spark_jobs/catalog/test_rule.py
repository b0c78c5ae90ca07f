"""The rule of settlement, as a model: thousands of histories, in any order, with anything said twice."""

import os
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.catalog.moments import Mode, Recorded, Timeline
from spark_jobs.catalog.settlement import WRITES, Action
from tests.spark_jobs.catalog.model import Interval, Said, ShelfModel, interval_of_day, random_history, shelf_in_order

PRODUCTS = ("coat", "hat", "scarf")

said = st.builds(Said, content=st.sampled_from(["plain", "striped"]), deleted=st.sampled_from([False, False, True]))
intervals = st.builds(
    Interval,
    day=st.integers(1, 8),
    mode=st.sampled_from(Mode),
    rows=st.dictionaries(st.sampled_from(PRODUCTS), said, max_size=3),
)
histories = st.lists(intervals, max_size=8, unique_by=lambda interval: (interval.day, interval.mode))


def shelf_as_it_arrives(history: list[Interval], order: random.Random) -> ShelfModel:
    """In a random order, some of it twice."""
    arriving = [*history, *order.sample(history, k=len(history) // 2)]
    order.shuffle(arriving)
    shelf = ShelfModel()
    for interval in arriving:
        shelf.apply(interval)
    return shelf


@settings(max_examples=200, deadline=None)
@given(histories, st.integers(0, 1000))
def test_any_order_of_intervals_gives_the_same_products(history: list[Interval], order_seed: int) -> None:
    shelf = shelf_as_it_arrives(history, random.Random(order_seed))
    assert shelf.business() == shelf_in_order(history)


def test_thousands_of_histories_give_the_same_products_in_any_order() -> None:
    for seed in range(50_000 if os.environ.get("SHOPLENS_SOAK") == "1" else 4000):
        dice = random.Random(seed)
        history = random_history(dice, intervals=dice.randrange(2, 9))
        assert shelf_as_it_arrives(history, dice).business() == shelf_in_order(history), f"seed {seed}"


@settings(max_examples=100, deadline=None)
@given(histories, st.randoms(use_true_random=False))
def test_an_interval_taken_again_does_nothing(history: list[Interval], order: random.Random) -> None:
    shelf = ShelfModel()
    order.shuffle(history)
    for interval in history:
        shelf.apply(interval)
    for interval in history:
        assert shelf.apply(interval) == []


@settings(max_examples=100, deadline=None)
@given(histories, st.data())
def test_the_newest_interval_taken_again_with_other_rows_replaces_what_it_said(
    history: list[Interval], data: st.DataObject
) -> None:
    if not history:
        return
    newest = max(history, key=lambda interval: interval.applied.moment_us)
    mended = Interval(newest.day, newest.mode, data.draw(st.dictionaries(st.sampled_from(PRODUCTS), said, max_size=3)))
    shelf = ShelfModel()
    for interval in [*history, mended]:
        shelf.apply(interval)
    live = {product for product, known in shelf.products.items() if not known.deleted}
    for product, row in mended.said().items():
        assert shelf.products[product].content == row.content
        assert (product in live) is not row.deleted
    if newest.mode is Mode.SNAPSHOT:
        assert live == set(mended.said())


def test_a_snapshot_deletes_what_it_lacks_but_not_what_is_newer() -> None:
    shelf = ShelfModel()
    shelf.apply(Interval(1, Mode.SNAPSHOT, {"coat": Said("plain"), "hat": Said("plain")}))
    shelf.apply(Interval(5, Mode.CHANGES, {"scarf": Said("plain")}))
    assert shelf.apply(Interval(3, Mode.SNAPSHOT, {"coat": Said("plain")})) == [Action.DELETE]
    assert {product: known.deleted for product, known in shelf.products.items()} == {
        "coat": False, "hat": True, "scarf": False,
    }  # fmt: skip


def test_a_product_first_met_before_the_newest_snapshot_enters_deleted() -> None:
    shelf = ShelfModel()
    shelf.apply(Interval(5, Mode.SNAPSHOT, {"coat": Said("plain")}))
    shelf.apply(Interval(2, Mode.CHANGES, {"hat": Said("plain")}))
    assert shelf.products["hat"].deleted


def test_a_change_that_falls_between_a_snapshot_that_had_it_and_one_that_lacked_it_is_kept_but_stays_deleted() -> None:
    shelf = ShelfModel()
    shelf.apply(Interval(1, Mode.SNAPSHOT, {"coat": Said("plain")}))
    shelf.apply(Interval(3, Mode.SNAPSHOT, {"coat": Said("plain")}))
    shelf.apply(Interval(5, Mode.SNAPSHOT, {}))
    shelf.apply(Interval(2, Mode.CHANGES, {"coat": Said("striped")}))
    assert shelf.products["coat"].content == "plain"
    shelf.apply(Interval(4, Mode.CHANGES, {"coat": Said("striped")}))
    assert (shelf.products["coat"].content, shelf.products["coat"].deleted) == ("striped", True)


def test_an_older_mention_only_brings_first_seen_forward() -> None:
    shelf = ShelfModel()
    shelf.apply(Interval(5, Mode.CHANGES, {"coat": Said("plain")}))
    assert shelf.apply(Interval(2, Mode.CHANGES, {"coat": Said("striped")})) == [Action.ANTEDATE]
    assert shelf.products["coat"].business == ("plain", interval_of_day(2, Mode.CHANGES).end_us, False)


def test_an_unchanged_row_in_changes_is_only_noted_and_then_outlives_an_older_snapshot() -> None:
    shelf = ShelfModel()
    shelf.apply(Interval(1, Mode.SNAPSHOT, {"coat": Said("plain")}))
    actions = shelf.apply(Interval(5, Mode.CHANGES, {"coat": Said("plain")}))
    assert actions == [Action.MENTION]
    assert Action.MENTION not in WRITES
    shelf.apply(Interval(3, Mode.SNAPSHOT, {}))
    assert not shelf.products["coat"].deleted


def test_of_one_end_changes_come_after_the_snapshot() -> None:
    for first, second in ((0, 1), (1, 0)):
        both = (Interval(2, Mode.SNAPSHOT, {"coat": Said("plain")}), Interval(2, Mode.CHANGES, {"hat": Said("plain")}))
        shelf = ShelfModel()
        shelf.apply(both[first])
        shelf.apply(both[second])
        assert not shelf.products["hat"].deleted


def test_a_snapshot_and_changes_of_one_end_are_both_the_newest() -> None:
    taken = (interval_of_day(2, Mode.CHANGES), interval_of_day(1, Mode.SNAPSHOT))
    recorded = tuple(Recorded(applied.end_us, str(applied.mode), 0, 0, 0) for applied in taken)
    assert Timeline(interval_of_day(2, Mode.SNAPSHOT), recorded).is_newest
    assert not Timeline(interval_of_day(1, Mode.CHANGES), recorded).is_newest


def test_later_changes_do_not_make_a_snapshot_old_and_a_later_snapshot_does() -> None:
    night, hour = interval_of_day(2, Mode.SNAPSHOT), interval_of_day(3, Mode.CHANGES)
    later_hour = Recorded(hour.end_us, str(Mode.CHANGES), 0, 0, 0)
    later_night = Recorded(hour.end_us, str(Mode.SNAPSHOT), 0, 0, 0)
    assert Timeline(night, (later_hour,)).is_newest
    assert not Timeline(night, (later_hour, later_night)).is_newest
    assert not Timeline(interval_of_day(2, Mode.CHANGES), (later_hour,)).is_newest
