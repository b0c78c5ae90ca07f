"""A set of rows tells the same in every form."""

from itertools import pairwise

import numpy as np
import pytest

from retrieval.search.row_sets import RowSet

STARTS = np.array([0, 3, 3, 70, 128, 200])
ROWS = [np.arange(200), np.array([0, 2, 3, 63, 64, 69, 70, 127, 128, 199]), np.empty(0, np.int64)]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("total", [200, 256])
def test_rows_are_counted_by_list(rows: np.ndarray, total: int) -> None:
    starts = np.append(STARTS[:-1], total)
    chosen = RowSet.of_rows(rows, total, starts)
    by_hand = [np.count_nonzero((rows >= start) & (rows < stop)) for start, stop in pairwise(starts)]
    assert chosen.by_list.tolist() == by_hand
    assert len(chosen) == len(rows)
    assert chosen.rows.tolist() == rows.tolist()


def test_the_rows_of_some_lists_are_given_in_order() -> None:
    chosen = RowSet.of_rows(ROWS[1], 200, STARTS)
    assert chosen.rows_of_lists(np.array([3, 0, 1])).tolist() == [0, 2, 70, 127]
    assert chosen.rows_of_lists(np.empty(0, np.int64)).tolist() == []


@pytest.mark.parametrize(("first", "count"), [(0, 25), (1, 50)], ids=["evenly", "none at the sampled distances"])
def test_a_sample_comes_from_all_over_the_set(first: int, count: int) -> None:
    chosen = RowSet.of_rows(np.arange(first, 200, 2), 200, STARTS)
    assert chosen.sample(count).tolist() == list(range(first, 200, 4))


def test_each_row_is_in_the_list_that_holds_it() -> None:
    rows = np.arange(200)
    lists = RowSet.of_rows(rows, 200, STARTS).lists_of(rows)
    assert (STARTS[lists] <= rows).all()
    assert (rows < STARTS[lists + 1]).all()


def test_a_selector_lets_the_rows_of_the_set_through_and_no_others() -> None:
    selector = RowSet.of_rows(ROWS[1], 200, STARTS).selector
    assert [row for row in range(300) if selector.is_member(row)] == ROWS[1].tolist()
