"""Search parameters by measurement: the fewest probes that reach the recall goal against exact search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.arrays import Float32
from retrieval.search.exact import exact_search, rescore
from retrieval.search.segments import Segment
from schemas.manifest import SearchParameters
from spark_jobs.index_build.queries import QuerySlice

RECALL_AT = 10
_SAME_SCORE = 1e-5
_RERANK_CHOICES = (500, 1_000, 2_000)


@dataclass(frozen=True)
class Question:
    """A slice of queries with the exact score of its k-th best row, for each query."""

    slice: QuerySlice
    k: int
    kth_scores: Float32


def with_truth(segment: Segment, queries: QuerySlice) -> Question:
    """Search exactly, so that recall can be measured many times."""
    possible = segment.manifest.rows if queries.rows is None else len(queries.rows)
    k = min(RECALL_AT, possible)
    scores, _ = exact_search(segment.vectors, queries.unit_vectors, k, queries.rows)
    return Question(queries, k, scores[:, -1])


def recall(segment: Segment, question: Question, parameters: SearchParameters | None = None) -> float:
    """The share of the k best that a search finds. Rows that score as the k-th best are as good: many photos are equal."""
    asked = question.slice
    _, found = segment.search(asked.unit_vectors, question.k, asked.kind, rows=asked.rows, parameters=parameters)
    scores = rescore(segment.vectors, asked.unit_vectors, found)
    return float(np.mean(scores >= question.kth_scores[:, np.newaxis] - _SAME_SCORE))


def tune(segment: Segment, questions: Sequence[Question], goal: float) -> SearchParameters:
    """The fewest probes with which every question reaches the goal; all lists where none does."""
    if segment.list_starts is None:
        return SearchParameters()
    nlist = len(segment.list_starts) - 1
    reranks = _RERANK_CHOICES if segment.manifest.index_kind == "ivf_rabitq" else (0,)
    for rerank in reranks:

        def reaches(nprobe: int, rerank: int = rerank) -> bool:
            tried = SearchParameters(nprobe=nprobe, rerank=rerank)
            return all(recall(segment, question, tried) >= goal for question in questions)

        if (nprobe := _fewest(reaches, nlist)) is not None:
            return SearchParameters(nprobe=nprobe, rerank=rerank)
    return SearchParameters(nprobe=nlist, rerank=reranks[-1])


def tuning_goal(goal: float) -> float:
    """More than half-way from the goal to 1: the gate asks other queries and must not fail by chance."""
    return goal + 0.6 * (1 - goal)


def _fewest(reaches: Callable[[int], bool], limit: int) -> int | None:
    """The smallest number in [1, limit] for which `reaches` holds, given that it holds from there on; None for none."""
    low, high = 0, 1
    while not reaches(high):
        if high == limit:
            return None
        low, high = high, min(2 * high, limit)
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high
