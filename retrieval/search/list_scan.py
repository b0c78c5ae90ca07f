"""FAISS's search of chosen coarse lists, from which rows may be left out, for one query."""

from typing import Any

import faiss
import numpy as np

from retrieval.arrays import Float32, Int64
from retrieval.search.exact import NO_ROW
from retrieval.search.found import Found


def take_lowest_scores(index: Any) -> None:
    """Let `scan_lists` say how low a score of this IVF index may be. From then on nothing else may search the index."""
    index.parallel_mode |= index.PARALLEL_MODE_NO_HEAP_INIT


def takes_lowest_scores(index: Any) -> bool:
    return bool(index.parallel_mode & index.PARALLEL_MODE_NO_HEAP_INIT)


def scan_lists(
    index: Any, query: Float32, k: int, lists: Int64, near: Float32, selector: Any = None, lowest: float = -np.inf
) -> Found:
    """The k best of the rows that `selector` has, all without one, in the `lists` (m,), whose centroids score `near` (m,).

    Of an index that takes them, rows that score `lowest` or less are left out, which saves a third to a half of
    the time where k is in the thousands and few rows pass: FAISS keeps its k best in a heap, and here it begins full.
    """
    named = {} if selector is None else {"sel": selector}
    made = faiss.SearchParametersIVF(nprobe=len(lists), **named)  # type: ignore[call-arg]
    scores, found = np.full(k, lowest, np.float32), np.full(k, NO_ROW, np.int64)
    lists, near = np.ascontiguousarray(lists, np.int64), np.ascontiguousarray(near, np.float32)
    places = [faiss.swig_ptr(array) for array in (lists, near, scores, found)]
    # By its C++ name: the Python one takes no parameters.
    index.search_preassigned_c(1, faiss.swig_ptr(query), k, *places, False, made)
    there = found != NO_ROW
    scores, found = scores[there], found[there]
    if not takes_lowest_scores(index):
        return scores, found
    order = np.argsort(-scores, kind="stable")  # a heap that was given comes back as a heap
    return scores[order], found[order]
