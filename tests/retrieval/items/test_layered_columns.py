"""Columns patched for a delta say what columns made anew would, and keep the numbers that the base gave."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.items.columns import ItemColumns
from retrieval.items.layered import LayeredItems
from retrieval.items.layered_columns import lay_columns
from retrieval.items.table import conform_items

WORDS = st.sampled_from([None, "a", "b", "c", "d"])
ATTRIBUTES = st.none() | st.dictionaries(st.sampled_from("xyz"), st.sampled_from(["1", "2.5", "red"]), max_size=3)
ITEM = st.fixed_dictionaries(
    {
        "group_id": WORDS, "category": WORDS, "brand": WORDS, "colour": WORDS, "currency": WORDS,
        "price": st.none() | st.floats(0, 100), "in_stock": st.sampled_from([None, True, False]),
        "attributes": ATTRIBUTES, "created_at": st.none() | st.integers(0, 10**15),
    }
)  # fmt: skip

EMPTY: dict[str, Any] = dict.fromkeys(
    ("group_id", "category", "brand", "colour", "currency", "price", "in_stock", "attributes", "created_at")
)


def table_of(items: list[dict[str, Any]], product_ids: list[str]) -> pa.Table:
    columns = {"product_id": pa.array(product_ids, pa.string())}
    for name in ("group_id", "category", "brand", "colour", "currency"):
        columns[name] = pa.array([item[name] for item in items], pa.string())
    columns["price"] = pa.array([item["price"] for item in items], pa.float64())
    columns["in_stock"] = pa.array([item["in_stock"] for item in items], pa.bool_())
    entries = [None if item["attributes"] is None else list(item["attributes"].items()) for item in items]
    columns["attributes"] = pa.array(entries, pa.map_(pa.string(), pa.string()))
    columns["created_at"] = pa.array([item["created_at"] for item in items], pa.timestamp("us", tz="UTC"))
    return conform_items(pa.table(columns))


def layered(base: list[dict[str, Any]], changes: dict[int, dict[str, Any]], new: list[dict[str, Any]]) -> LayeredItems:
    """Some products of the base bear the names of groups."""
    ids = [f"p{row}" if row % 3 else "abcd"[row % 4] for row in range(len(base))]
    rows = sorted(changes)
    return LayeredItems(
        table_of(base, ids),
        np.array(rows, np.int64),
        table_of([changes[row] for row in rows], [ids[row] for row in rows]),
        table_of(new, [f"n{number}" for number in range(len(new))]) if new else None,
    )


def lay(items: LayeredItems) -> tuple[ItemColumns, ItemColumns]:
    base = ItemColumns.of(items.base)
    return base, lay_columns(base, ItemColumns.of(items.layer), items)


LAYERS = st.lists(ITEM, min_size=1, max_size=12).flatmap(
    lambda base: st.tuples(
        st.just(base), st.dictionaries(st.integers(0, len(base) - 1), ITEM, max_size=5), st.lists(ITEM, max_size=5)
    )
)


@settings(max_examples=150, deadline=None)
@given(LAYERS)
def test_patched_columns_say_what_columns_made_anew_would(layers: Any) -> None:
    items = layered(*layers)
    _, patched = lay(items)
    anew = ItemColumns.of(items.take(np.arange(items.num_rows)))
    rows = np.arange(items.num_rows)
    assert patched.rows == items.num_rows
    for name in ("category", "brand", "colour", "currency"):
        for word in "abcd":
            assert getattr(patched, name).rows_with([word]).tolist() == getattr(anew, name).rows_with([word]).tolist()
    for name in ("price", "in_stock", "created_day"):
        np.testing.assert_array_equal(getattr(patched, name), getattr(anew, name))
    for name in set(patched.attributes) | set(anew.attributes):
        one, other = patched.attributes[name], anew.attributes.get(name)
        for word in ("1", "2.5", "red"):
            expected = np.zeros(len(rows), bool) if other is None else other.rows_with([word])
            assert one.rows_with([word]).tolist() == expected.tolist()
            assert one.has_value(rows, word).tolist() == expected.tolist()
        expected = np.zeros(len(rows), bool) if other is None else other.rows_between(1, 2)
        assert one.rows_between(1, 2).tolist() == expected.tolist()


@settings(max_examples=150, deadline=None)
@given(LAYERS)
def test_groups_are_the_same_partition_and_old_ones_keep_their_numbers(layers: Any) -> None:
    items = layered(*layers)
    base, patched = lay(items)
    whole = items.take(np.arange(items.num_rows))
    names = [
        group or product
        for group, product in zip(*(whole.column(c).to_pylist() for c in ("group_id", "product_id")), strict=True)
    ]
    number_of = dict(zip(names, patched.groups.tolist(), strict=True))
    assert [number_of[name] for name in names] == patched.groups.tolist()
    assert len(set(number_of.values())) == len(number_of)
    untouched = np.setdiff1d(np.arange(items.base.num_rows), items.changed_rows)
    assert patched.groups[untouched].tolist() == base.groups[untouched].tolist()
    before = [
        group or product
        for group, product in zip(*(items.base.column(c).to_pylist() for c in ("group_id", "product_id")), strict=True)
    ]
    for name, number in zip(before, base.groups.tolist(), strict=True):
        assert number_of.get(name, number) == number
    assert patched.lasting_groups == base.group_count
    assert {
        patched.new_groups[number - base.group_count]
        for name, number in number_of.items()
        if number >= base.group_count
    } == {name for name in number_of if name not in before}


def test_nothing_laid_over_leaves_the_columns_themselves() -> None:
    items = LayeredItems.of(table_of([], []))
    base, patched = lay(items)
    assert patched is base


def test_codes_widen_where_a_delta_brings_more_values_than_fit() -> None:
    base = table_of([{**EMPTY, "brand": f"b{row}"} for row in range(126)], [f"p{row}" for row in range(126)])
    new = table_of([{**EMPTY, "brand": f"n{row}"} for row in range(5)], [f"q{row}" for row in range(5)])
    items = LayeredItems(base, np.empty(0, np.int64), base.slice(0, 0), new)
    brand = lay_columns(ItemColumns.of(base), ItemColumns.of(items.layer), items).brand
    assert [int(brand.rows_with([name]).nonzero()[0][0]) for name in ("b125", "n0", "n4")] == [125, 126, 130]
