"""How good a ranking is: P@k, MRR, mAP@10 and nDCG@10 of queries against a labelled gallery.

A photo is relevant to a query when their labels are equal. A photo that the query may not see (the query itself,
or one of the same group, such as the same sender) is neither ranked nor counted. Equal scores rank by row number.
Queries that have nothing relevant to find take part in no mean; they are counted in `unanswerable`.

Definitions follow Manning, Raghavan & Schütze 2008, chapter 8, with binary gains; R is the number of relevant photos
that a query may see:

    P@k       relevant among the first k, divided by k (by k also where fewer than k can be ranked)
    MRR       mean of 1 / rank of the first relevant photo, over the whole ranking
    mAP@10    mean of the sum of P@i over the relevant places i ≤ 10, divided by min(10, R)
    nDCG@10   sum of 1 / log2(i + 1) over the relevant places i ≤ 10, divided by the same sum over i ≤ min(10, R)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Mask

Scores = NDArray[np.floating]
Values = NDArray[np.float64]
Labels = NDArray[np.int64]

DEPTH = 10
FIGURES = ("p_at_1", "p_at_5", "p_at_10", "mrr", "map_at_10", "ndcg_at_10")
QUERIES_A_BLOCK = 512


@dataclass(frozen=True)
class RankingFigures:
    """Means over queries, each 0–1. `queries` took part; `unanswerable` had nothing relevant to find."""

    queries: int
    unanswerable: int
    p_at_1: float
    p_at_5: float
    p_at_10: float
    mrr: float
    map_at_10: float
    ndcg_at_10: float


@dataclass(frozen=True)
class QueryFigures:
    """One value a query: `values` maps each of FIGURES to (q,) float64; `relevant` (q,) int64 is R."""

    values: dict[str, Values]
    relevant: NDArray[np.int64]

    def mean(self, chosen: Mask | None = None) -> RankingFigures:
        """Means over the chosen queries (q,) bool, all by default; NaN where none of them is answerable."""
        picked = np.ones(len(self.relevant), dtype=bool) if chosen is None else chosen
        answerable = picked & (self.relevant > 0)
        count = int(answerable.sum())
        means = {name: float(self.values[name][answerable].mean()) if count else float("nan") for name in FIGURES}
        return RankingFigures(queries=count, unanswerable=int(picked.sum()) - count, **means)

    def mean_by(self, labels: Sequence[str]) -> dict[str, RankingFigures]:
        """Means over the queries of each label, in the labels' order; `labels` names one a query."""
        named = np.asarray(labels, dtype=object)
        return {label: self.mean(named == label) for label in sorted(set(labels))}


def mean_over_categories(by_category: dict[str, RankingFigures]) -> RankingFigures:
    """The mean of the categories' means, each counting once; categories without an answerable query are left out."""
    counted = [figures for figures in by_category.values() if figures.queries]
    means = {
        name: float(np.mean([getattr(figures, name) for figures in counted])) if counted else float("nan")
        for name in FIGURES
    }
    return RankingFigures(
        queries=sum(figures.queries for figures in by_category.values()),
        unanswerable=sum(figures.unanswerable for figures in by_category.values()),
        **means,
    )


def rank_queries(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    query_labels: Labels,
    gallery_labels: Labels,
    query_groups: Labels | None = None,
    gallery_groups: Labels | None = None,
    leave_one_out: bool = False,
) -> QueryFigures:
    """Figures of unit rows `queries` (q, d) ranked by dot product against unit rows `gallery` (g, d).

    Labels and groups are int64 codes, (q,) and (g,). Photos of a query's own group are hidden from it; a negative
    group hides nothing. With `leave_one_out` the queries are the gallery's own rows, each hidden from itself.
    Raises ValueError on shapes that do not fit.
    """
    _check_shapes(queries, gallery, query_labels, gallery_labels, leave_one_out)
    blocks = []
    for start in range(0, len(queries), QUERIES_A_BLOCK):
        rows = slice(start, start + QUERIES_A_BLOCK)
        scores = queries[rows] @ gallery.T
        visible = np.ones(scores.shape, dtype=bool)
        if leave_one_out:
            own = np.arange(start, start + len(scores))
            visible[np.arange(len(scores)), own] = False
        if query_groups is not None and gallery_groups is not None:
            own_group = query_groups[rows, None]
            visible &= (own_group != gallery_groups[None, :]) | (own_group < 0)
        blocks.append(score_rankings(scores, query_labels[rows, None] == gallery_labels[None, :], visible))
    return _join(blocks)


def score_rankings(scores: Scores, relevant: Mask, visible: Mask | None = None) -> QueryFigures:
    """Figures of each row of `scores` (q, g), with `relevant` and `visible` (q, g) bool."""
    shown = np.ones(scores.shape, dtype=bool) if visible is None else visible
    hits = relevant & shown
    counts = hits.sum(axis=1).astype(np.int64)
    first = ranked_relevance(scores, hits, shown, DEPTH)
    values = {
        "p_at_1": precision_at(first, 1),
        "p_at_5": precision_at(first, 5),
        "p_at_10": precision_at(first, 10),
        "mrr": reciprocal_rank(scores, hits, shown),
        "map_at_10": average_precision_at(first, counts, DEPTH),
        "ndcg_at_10": ndcg_at(first, counts, DEPTH),
    }
    return QueryFigures(values, counts)


def ranked_relevance(scores: Scores, relevant: Mask, visible: Mask, depth: int) -> Mask:
    """(q, depth) bool: whether the photo at each place is relevant; False past the end of a short ranking."""
    ordered = np.argsort(np.where(visible, -scores, np.inf), axis=1, kind="stable")[:, :depth]
    ranked = np.take_along_axis(relevant & visible, ordered, axis=1)
    return np.pad(ranked, ((0, 0), (0, depth - ranked.shape[1])))


def precision_at(ranked: Mask, k: int) -> Values:
    """(q,): the share of relevant photos among the first k of `ranked` (q, ≥ k); the denominator is always k."""
    return np.asarray(ranked[:, :k].sum(axis=1) / k, dtype=np.float64)


def reciprocal_rank(scores: Scores, relevant: Mask, visible: Mask) -> Values:
    """(q,): 1 / rank of the first relevant photo in the whole ranking; 0 where there is none."""
    if scores.shape[1] == 0:
        return np.zeros(len(scores))
    found = relevant & visible
    best = np.argmax(np.where(found, scores, -np.inf), axis=1)
    top = np.take_along_axis(scores, best[:, None], axis=1)
    earlier = np.arange(scores.shape[1])[None, :] < best[:, None]
    ahead = visible & ((scores > top) | ((scores == top) & earlier))
    return np.where(found.any(axis=1), 1.0 / (1 + ahead.sum(axis=1)), 0.0)


def average_precision_at(ranked: Mask, relevant_counts: NDArray[np.int64], k: int) -> Values:
    """(q,): the sum of P@i over relevant places i ≤ k, divided by min(k, R); 0 where R is 0."""
    top = ranked[:, :k]
    precisions = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    ideal = np.minimum(relevant_counts, k)
    return np.asarray((precisions * top).sum(axis=1) / np.maximum(ideal, 1), dtype=np.float64)


def ndcg_at(ranked: Mask, relevant_counts: NDArray[np.int64], k: int) -> Values:
    """(q,): discounted gain of the first k, divided by that of a ranking with all min(k, R) relevant first."""
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(relevant_counts, k)]
    gained = ranked[:, :k] @ discounts[: ranked[:, :k].shape[1]]
    return np.asarray(np.divide(gained, ideal, out=np.zeros_like(gained), where=ideal > 0), dtype=np.float64)


def _check_shapes(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], query_labels: Labels, gallery_labels: Labels, same: bool
) -> None:
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"queries {queries.shape} and gallery {gallery.shape} are not rows of one dimension")
    if len(query_labels) != len(queries) or len(gallery_labels) != len(gallery):
        raise ValueError("labels are not one a row")
    if same and len(queries) != len(gallery):
        raise ValueError("leave-one-out needs the gallery's own rows as queries")


def _join(blocks: list[QueryFigures]) -> QueryFigures:
    if not blocks:
        return QueryFigures({name: np.zeros(0) for name in FIGURES}, np.zeros(0, dtype=np.int64))
    values = {name: np.concatenate([block.values[name] for block in blocks]) for name in FIGURES}
    return QueryFigures(values, np.concatenate([block.relevant for block in blocks]))
