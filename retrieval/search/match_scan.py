"""Every match of a filter scored, by whichever way reads least: the matches alone, or all rows of the lists that hold them.

Where codes are the stored vectors (fp16), FAISS passes over lists of which a good part matches, with a selector, and the
other matches are read one by one; all scores are exact. RaBitQ's codes are small and its scores are estimates: they are
passed over where many matches lie together, and the best of them scored exactly: as many as it takes until none of the
others can be among the best.
"""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Float32, Int64
from retrieval.search.exact import NO_ROW
from retrieval.search.planner import BEST_ROWS
from retrieval.search.row_scan import scan_rows
from retrieval.search.row_sets import RowSet

Found = tuple[Float32, Int64]

PASS_SHARE = 0.25
"""Where that share of a list matches, passing over all of it with a selector is sooner than reading the matches."""

CODES_A_ROW = 8
"""As many RaBitQ codes are passed over in the time of reading one whole row somewhere."""

CODED_ROWS_MIN = 20_000
RERANK_FACTOR = 4
"""Matches that lie far from the query score alike, so that many more of them than usual are scored exactly; and as many
times more again where that does not settle it."""

EXACT_SHARE = 0.1
"""Rather than score a greater share of the matches exactly after a pass over the codes, all of them are."""

ERRORS_APART = 4.0
"""A match left out must seem worse than the tenth best by as many standard errors of the estimates."""


def scan_matches(
    index: Any, kind: str, vectors: NDArray[np.float16], queries: Float32, k: int, chosen: RowSet, rerank: int = 0
) -> Found:
    """The k best of `chosen` for one query (1, dimension): scores (m,) float32, best first, and rows (m,) int64,
    m = min(k, chosen). `kind` is the index's, `rerank` what was tuned for it.
    """
    k = min(k, len(chosen))
    if not k:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    if kind == "ivf_fp16":
        return _scan_whole_codes(index, vectors, queries, k, chosen)
    if kind == "ivf_rabitq" and _lie_together(chosen):
        return _scan_small_codes(index, vectors, queries, k, chosen, RERANK_FACTOR * rerank)
    return scan_rows(vectors, queries[0], k, chosen.rows)


def _scan_whole_codes(index: Any, vectors: NDArray[np.float16], queries: Float32, k: int, chosen: RowSet) -> Found:
    is_dense = chosen.fills_lists(PASS_SHARE)
    apart = chosen.rows[np.repeat(~is_dense, chosen.by_list)]
    scores, found = scan_rows(vectors, queries[0], k, apart)
    lists = np.flatnonzero(is_dense)
    if not len(lists):
        return scores, found
    near = np.zeros(len(lists), np.float32)  # whole vectors: what the centroids score does not matter
    passed = _pass_over(index, queries, k, lists, near, chosen)
    scores, found = np.concatenate([scores, passed[0]]), np.concatenate([found, passed[1]])
    order = np.lexsort((found, -scores))[:k]
    return scores[order], found[order]


def _lie_together(chosen: RowSet) -> bool:
    assert chosen.list_starts is not None
    if len(chosen) < CODED_ROWS_MIN:
        return False
    passed = int(np.diff(chosen.list_starts)[chosen.by_list > 0].sum())
    return passed <= CODES_A_ROW * len(chosen)


def _scan_small_codes(
    index: Any, vectors: NDArray[np.float16], queries: Float32, k: int, chosen: RowSet, rerank: int
) -> Found:
    centroids, nearest = index.quantizer.search(queries, len(chosen.by_list))
    with_matches = chosen.by_list[nearest[0]] > 0
    lists, near = nearest[0][with_matches], centroids[0][with_matches]
    rerank = max(k, rerank)
    while rerank <= EXACT_SHARE * len(chosen):
        estimates, found = _pass_over(index, queries, rerank, lists, near, chosen)
        scores, rows = scan_rows(vectors, queries[0], len(found), np.sort(found))
        if _none_left_out(estimates, found, scores, rows, min(k, BEST_ROWS)):
            return scores[:k], rows[:k]
        rerank *= RERANK_FACTOR
    return scan_rows(vectors, queries[0], k, chosen.rows)


def _none_left_out(estimates: Float32, found: Int64, scores: Float32, rows: Int64, best: int) -> bool:
    """Whether what the codes left out, all estimated below the last of `found`, is worse than the best of `scores`."""
    exact = scores[np.argsort(rows)]
    error = float(np.std(exact - estimates[np.argsort(found)]))
    return bool(estimates.min() + ERRORS_APART * error < scores[best - 1])


def _pass_over(index: Any, queries: Float32, k: int, lists: Int64, near: Float32, chosen: RowSet) -> Found:
    """As FAISS's search of the given lists, `near` the centroids' scores: without gaps."""
    selector = {"sel": chosen.selector} if len(chosen) < chosen.total else {}
    made = faiss.SearchParametersIVF(nprobe=len(lists), **selector)  # type: ignore[call-arg]
    scores, found = np.empty(k, np.float32), np.empty(k, np.int64)
    lists, near = np.ascontiguousarray(lists, np.int64), np.ascontiguousarray(near, np.float32)
    places = [faiss.swig_ptr(array) for array in (lists, near, scores, found)]
    # By its C++ name: the Python one takes no parameters.
    index.search_preassigned_c(1, faiss.swig_ptr(queries), k, *places, False, made)
    there = found != NO_ROW
    return scores[there], found[there]
