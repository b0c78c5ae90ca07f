"""Exact search over `vectors.f16`: the truth that recall is measured against, and the scan of a few chosen rows."""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

NO_ROW = -1
_BLOCK_ROWS = 32_768


def exact_search(
    vectors: NDArray[Any], unit_vectors: Float32, k: int, rows: Int64 | None = None
) -> tuple[Float32, Int64]:
    """The k best rows by inner product, of all of `vectors` (n, d) float16 or of the given sorted `rows`.

    Returns scores (q, k) float32, best first, and rows (q, k) int64; ties go to the lower row. Where fewer than k
    rows exist the rest is NO_ROW with a score of -inf. Reads `vectors` in blocks, so that a memory map stays one.
    """
    queries = np.ascontiguousarray(unit_vectors, dtype=np.float32)
    best = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), NO_ROW, np.int64)
    total = len(vectors) if rows is None else len(rows)
    for start in range(0, total, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, total)
        chosen = slice(start, stop) if rows is None else rows[start:stop]
        block = np.ascontiguousarray(vectors[chosen], dtype=np.float32)
        scores, found = faiss.knn(queries, block, min(k, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        found = found + start if rows is None else rows[start:stop][found]
        best = best_k(np.hstack([best[0], scores]), np.hstack([best[1], found]), k)
    return best


def best_k(scores: Float32, rows: Int64, k: int) -> tuple[Float32, Int64]:
    """Of candidates (q, m), the k best of each query, best first; equal scores in order of row."""
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


def rescore(vectors: NDArray[Any], unit_vectors: Float32, rows: Int64) -> Float32:
    """The exact scores (q, m) float32 of candidate rows (q, m); -inf where a row is NO_ROW."""
    scores = np.full(rows.shape, -np.inf, np.float32)
    for query, candidates, line in zip(unit_vectors, rows, scores, strict=True):
        there = candidates >= 0
        # Rows that follow one another in the file are read in file order.
        wanted, back = np.unique(candidates[there], return_inverse=True)
        line[there] = (np.asarray(vectors[wanted], dtype=np.float32) @ query)[back]
    return scores
