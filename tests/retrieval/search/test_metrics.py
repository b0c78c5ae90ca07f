"""Figures of rankings against literals worked out by hand, and against a slow reference."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from retrieval.search.metrics import (
    FIGURES,
    average_precision_at,
    mean_over_categories,
    ndcg_at,
    precision_at,
    rank_queries,
    ranked_relevance,
    reciprocal_rank,
    score_rankings,
)

YES, NO = True, False


def ranked(*places: bool) -> np.ndarray:
    return np.array([list(places)])


def test_precision_divides_by_k_even_where_the_ranking_is_shorter():
    scores, relevant = np.array([[0.9, 0.5]]), np.array([[YES, YES]])
    first = ranked_relevance(scores, relevant, np.ones_like(relevant), 10)
    assert precision_at(first, 1)[0] == 1.0
    assert precision_at(first, 5)[0] == pytest.approx(2 / 5)


def test_average_precision_sums_over_relevant_places_and_divides_by_what_could_be_found():
    # Relevant at places 1 and 3 of three relevant photos in all: (1/1 + 2/3) / 3.
    assert average_precision_at(ranked(YES, NO, YES, NO), np.array([3]), 10)[0] == pytest.approx((1 + 2 / 3) / 3)


def test_average_precision_of_ten_hits_is_one_although_twenty_are_relevant():
    assert average_precision_at(np.ones((1, 10), dtype=bool), np.array([20]), 10)[0] == pytest.approx(1.0)


def test_ndcg_discounts_by_the_logarithm_of_the_place():
    gained = 1 / math.log2(2) + 1 / math.log2(4)
    ideal = 1 / math.log2(2) + 1 / math.log2(3)
    assert ndcg_at(ranked(YES, NO, YES), np.array([2]), 10)[0] == pytest.approx(gained / ideal)


def test_reciprocal_rank_looks_past_the_tenth_place():
    scores = np.linspace(1, 0, 20)[None, :]
    relevant = np.zeros((1, 20), dtype=bool)
    relevant[0, 12] = True
    assert reciprocal_rank(scores, relevant, np.ones_like(relevant))[0] == pytest.approx(1 / 13)


def test_equal_scores_rank_by_row_number():
    scores = np.zeros((1, 4))
    relevant = np.array([[NO, NO, YES, NO]])
    assert reciprocal_rank(scores, relevant, np.ones_like(relevant))[0] == pytest.approx(1 / 3)
    assert ranked_relevance(scores, relevant, np.ones_like(relevant), 4).tolist() == [[NO, NO, YES, NO]]


def test_leave_one_out_hides_the_query_but_not_its_twin():
    rows = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    figures = rank_queries(rows, rows, np.array([0, 0, 1]), np.array([0, 0, 1]), leave_one_out=True)
    assert figures.values["p_at_1"].tolist() == [1.0, 1.0, 0.0]
    assert figures.relevant.tolist() == [1, 1, 0]


def test_photos_of_the_same_sender_are_hidden_from_a_query():
    rows = np.array([[1, 0], [1, 0], [0.8, 0.6]], dtype=np.float32)
    labels, senders = np.array([0, 0, 0]), np.array([7, 7, 8])
    figures = rank_queries(rows, rows, labels, labels, senders, senders, leave_one_out=True)
    assert figures.relevant.tolist() == [1, 1, 2]


def test_a_negative_group_hides_nothing():
    rows = np.array([[1, 0], [1, 0]], dtype=np.float32)
    labels, nobody = np.array([0, 0]), np.array([-1, -1])
    assert rank_queries(rows, rows, labels, labels, nobody, nobody, leave_one_out=True).relevant.tolist() == [1, 1]


def test_a_query_with_nothing_to_find_takes_part_in_no_mean():
    figures = score_rankings(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([[YES, NO], [NO, NO]]))
    mean = figures.mean()
    assert (mean.queries, mean.unanswerable, mean.p_at_1) == (1, 1, 1.0)


def test_the_mean_over_categories_counts_each_category_once():
    figures = score_rankings(np.array([[2.0, 1.0]] * 4), np.array([[YES, NO], [YES, NO], [YES, NO], [NO, YES]]))
    by_category = figures.mean_by(["shoe", "shoe", "shoe", "hat"])
    assert figures.mean().p_at_1 == pytest.approx(3 / 4)
    assert mean_over_categories(by_category).p_at_1 == pytest.approx((1.0 + 0.0) / 2)


def test_an_empty_gallery_answers_nothing():
    figures = rank_queries(
        np.ones((2, 3), np.float32), np.ones((0, 3), np.float32), np.zeros(2, np.int64), np.zeros(0, np.int64)
    )
    assert figures.mean().unanswerable == 2


def test_labels_that_do_not_fit_are_refused():
    rows = np.ones((2, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="one a row"):
        rank_queries(rows, rows, np.zeros(3, np.int64), np.zeros(2, np.int64))


def slow_figures(scores: list[float], relevant: list[bool]) -> dict[str, float]:
    """One query, by loops, as the definitions read."""
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    hits = [relevant[row] for row in order]
    count = sum(hits)
    first = next(place for place, hit in enumerate(hits, 1) if hit)
    precisions = [sum(hits[:place]) / place for place, hit in enumerate(hits[:10], 1) if hit]
    gained = sum(1 / math.log2(place + 1) for place, hit in enumerate(hits[:10], 1) if hit)
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(count, 10) + 1))
    return {
        **{f"p_at_{k}": sum(hits[:k]) / k for k in (1, 5, 10)},
        "mrr": 1 / first,
        "map_at_10": sum(precisions) / min(count, 10),
        "ndcg_at_10": gained / ideal,
    }


RANKINGS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30).filter(
    lambda rows: any(relevant for _, relevant in rows)
)


@given(RANKINGS)
def test_figures_equal_a_slow_reference(rows):
    scores, relevant = [float(score) for score, _ in rows], [hit for _, hit in rows]
    figures = score_rankings(np.array([scores]), np.array([relevant]))
    expected = slow_figures(scores, relevant)
    assert {name: figures.values[name][0] for name in FIGURES} == pytest.approx(expected)


@given(st.permutations(range(15)), st.lists(st.booleans(), min_size=15, max_size=15).filter(any))
def test_ndcg_equals_scikit_learn(order, relevant):
    scores, truth = np.array([order], dtype=float), np.array([relevant])
    figures = score_rankings(scores, truth)
    assert figures.values["ndcg_at_10"][0] == pytest.approx(ndcg_score(truth, scores, k=10))
