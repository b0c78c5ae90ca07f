"""Chosen lists are searched, and what scores too low is left out where the index takes a lowest score."""

from typing import Any

import faiss
import numpy as np
import pytest

from retrieval.search.list_scan import scan_lists, take_lowest_scores
from retrieval.search.row_sets import RowSet

ROWS, DIMENSION, NLIST = 3_000, 32, 8


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    drawn = np.random.default_rng(11).standard_normal((ROWS, DIMENSION)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


@pytest.fixture
def index(vectors: np.ndarray) -> Any:
    made = faiss.IndexIVFRaBitQ(faiss.IndexFlatIP(DIMENSION), DIMENSION, NLIST, faiss.METRIC_INNER_PRODUCT)
    made.train(vectors)
    made.add(vectors)
    return made


def nearest_lists(index: Any, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    scores, lists = index.quantizer.search(query[np.newaxis], count)
    return lists[0], scores[0]


def test_the_lists_are_searched_as_faiss_itself_does(index: Any, vectors: np.ndarray) -> None:
    expected = index.search(vectors[:1], 50, params=faiss.SearchParametersIVF(nprobe=3))  # type: ignore[call-arg]
    scores, rows = scan_lists(index, vectors[0], 50, *nearest_lists(index, vectors[0], 3))
    assert rows.tolist() == expected[1][0].tolist()
    assert scores == pytest.approx(expected[0][0])


def test_a_lowest_score_leaves_out_what_scores_less_and_nothing_else(index: Any, vectors: np.ndarray) -> None:
    lists = nearest_lists(index, vectors[0], 5)
    scores, rows = scan_lists(index, vectors[0], 200, *lists)
    take_lowest_scores(index)
    lowest = float(scores[40] + scores[41]) / 2
    above = scan_lists(index, vectors[0], 200, *lists, None, lowest)
    assert above[1].tolist() == rows[:41].tolist()
    assert above[0] == pytest.approx(scores[:41])


def test_without_a_lowest_score_all_come_best_first(index: Any, vectors: np.ndarray) -> None:
    lists = nearest_lists(index, vectors[0], 5)
    expected = scan_lists(index, vectors[0], 200, *lists)
    take_lowest_scores(index)
    assert scan_lists(index, vectors[0], 200, *lists)[1].tolist() == expected[1].tolist()


def test_rows_that_the_selector_lacks_are_never_found(index: Any, vectors: np.ndarray) -> None:
    take_lowest_scores(index)
    even = RowSet(np.arange(ROWS) % 2 == 0, None)
    lists = nearest_lists(index, vectors[1], NLIST)
    _, rows = scan_lists(index, vectors[1], ROWS, *lists, even.selector)
    assert sorted(rows.tolist()) == list(range(0, ROWS, 2))
