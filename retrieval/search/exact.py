"""Exact search over `vectors.f16`: the truth that recall is measured against, and the scan of a few chosen rows."""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Float32, Int64

NO_ROW = -1
_BLOCK_ROWS = 32_768
_SMALL_BLOCK_ROWS = 4_096
_FEW_QUERIES = 4


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
    step = _BLOCK_ROWS if len(queries) > _FEW_QUERIES else _SMALL_BLOCK_ROWS
    for start in range(0, total, step):
        stop = min(start + step, total)
        chosen = slice(start, stop) if rows is None else rows[start:stop]
        scores, found = _search_block(vectors[chosen], queries, min(k, stop - start))
        found = found + start if rows is None else rows[start:stop][found]
        best = best_k(np.hstack([best[0], scores]), np.hstack([best[1], found]), k)
    return best


def _search_block(block: NDArray[Any], queries: Float32, k: int) -> tuple[Float32, Int64]:
    """Few queries are scored on float16 rows as they are: widening them would take longer than scoring."""
    if len(queries) <= _FEW_QUERIES and block.dtype == np.float16:
        scanner = faiss.IndexScalarQuantizer(block.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        scanner.add_sa_codes(np.ascontiguousarray(block).view(np.uint8))
        return scanner.search(queries, k)  # type: ignore[no-any-return]
    wide = np.ascontiguousarray(block, dtype=np.float32)
    return faiss.knn(queries, wide, k, metric=faiss.METRIC_INNER_PRODUCT)  # type: ignore[no-any-return]


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
