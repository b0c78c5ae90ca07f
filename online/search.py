"""From a question to the best product groups: vector → filters → candidates → best photo a group → the first k."""

import numpy as np
from numpy.typing import NDArray

from online.composition import Query, compose_query
from online.filtering import rows_that_pass
from online.parsing import Question
from online.snapshot import Snapshot
from online.stopwatch import Stopwatch
from retrieval.candidates import find_candidates
from retrieval.item_columns import Codes, Mask
from schemas.api import SearchResult

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


def answer_question(snapshot: Snapshot, question: Question, stopwatch: Stopwatch) -> list[SearchResult]:
    """The best groups, best first, at most `k`. Raises ProblemRaised."""
    query = compose_query(snapshot, question, stopwatch)
    mask = None
    if question.fields.filters is not None:
        with stopwatch.stage("filter"):
            mask = rows_that_pass(snapshot.catalog.columns, question.fields.filters)
    with stopwatch.stage("search"):
        scores, rows = nearest_groups(snapshot, query, question.fields.k, mask)
    with stopwatch.stage("read"):
        return read_results(snapshot, scores, rows)


def nearest_groups(snapshot: Snapshot, query: Query, k: int, mask: Mask | None = None) -> tuple[Float32, Int64]:
    """The best row of each of the k best groups: scores (m,) float32, best first, and rows (m,) int64.

    m is k wherever k groups exist among the rows of `mask`.
    """
    groups, manifest = snapshot.catalog.columns.groups, snapshot.segment.manifest
    parameters = query.parameters(manifest.photo_search, manifest.text_search)
    found = find_candidates(snapshot.segment, query.unit_vector, k, groups, parameters, mask, query.hidden_groups)
    return best_of_groups(found.scores, found.rows, groups, k)


def best_of_groups(scores: Float32, rows: Int64, groups: Codes, k: int) -> tuple[Float32, Int64]:
    """The first row of each group, for rows (n,) that come best first."""
    _, first = np.unique(groups[rows], return_index=True)
    first.sort()
    return scores[first[:k]], rows[first[:k]]


def read_results(snapshot: Snapshot, scores: Float32, rows: Int64) -> list[SearchResult]:
    return [
        SearchResult(
            product_id=tile["product_id"],
            group_id=tile["group_id"] or tile["product_id"],
            score=round(float(score), 6),
            image_id=tile["image_id"],
            uri=f"/images/{tile['image_id']}",
            title=tile["title"],
            brand=tile["brand"],
            category=tile["category"],
            colour=tile["colour"],
            price=tile["price"],
            currency=tile["currency"],
            in_stock=tile["in_stock"],
            attributes=tile["attributes"],
        )
        for score, tile in zip(scores, snapshot.catalog.tiles(rows), strict=True)
    ]
