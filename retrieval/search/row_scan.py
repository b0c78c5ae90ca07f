"""The best of chosen rows by their exact scores, read from `vectors.f16` as it lies: one pass, no float32 copy of a row.

FAISS scores float16 rows with the CPU's own instructions, but its indexes ask a selector about every row that they have.
Here its scanner is fed only the rows that are wanted: a thirtieth of a million rows takes a quarter of the time.
"""

from functools import lru_cache
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Float32, Int64

_GATHERED_BYTES = 512 << 10
"""What is gathered at a time stays in a core's own cache until it is scored."""


def scan_rows(vectors: NDArray[np.float16], query: Float32, k: int, rows: Int64 | None = None) -> tuple[Float32, Int64]:
    """The k best of the sorted `rows`, or of all rows of `vectors` (n, d) float16, for one query (d,) float32.

    Returns scores (m,) float32, best first, and rows (m,) int64, m = min(k, rows); ties go to the lower row.
    """
    stored = np.asarray(vectors)
    k = min(k, len(stored) if rows is None else len(rows))
    if not k:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    scores, found = np.full(k, -np.inf, np.float32), np.full(k, -1, np.int64)
    wanted = np.ascontiguousarray(query, dtype=np.float32)
    scanner = _layout(stored.shape[1]).get_InvertedListScanner(False, None, None)
    scanner.set_query(faiss.swig_ptr(wanted))
    scanner.set_list(0, 0.0)
    if rows is None:
        numbers = np.arange(len(stored), dtype=np.int64)
        _feed(scanner, np.ascontiguousarray(stored), numbers, scores, found)
    else:
        _feed_gathered(scanner, stored, np.ascontiguousarray(rows, dtype=np.int64), scores, found)
    order = np.lexsort((found, -scores))
    return scores[order], found[order]


def _feed_gathered(scanner: Any, stored: NDArray[np.float16], rows: Int64, scores: Float32, found: Int64) -> None:
    """A row is taken as one item, so that taking it is one copy."""
    row_bytes = stored.shape[1] * stored.itemsize
    whole = np.ascontiguousarray(stored).view(f"V{row_bytes}")[:, 0]
    step = max(1, _GATHERED_BYTES // row_bytes)
    gathered = np.empty(min(step, len(rows)), whole.dtype)
    for start in range(0, len(rows), step):
        chosen = rows[start : start + step]
        # "clip" takes without a copy in between; rows are within bounds.
        whole.take(chosen, out=gathered[: len(chosen)], mode="clip")
        _feed(scanner, gathered, chosen, scores, found)


def _feed(scanner: Any, codes: NDArray[Any], numbers: Int64, scores: Float32, found: Int64) -> None:
    """Score the rows of `codes` and keep the best in the heap of `scores` and `found`."""
    flat = codes.view(np.uint8).reshape(-1)
    scanner.scan_codes(
        len(numbers),
        faiss.swig_ptr(flat),
        faiss.swig_ptr(numbers),
        faiss.swig_ptr(scores),
        faiss.swig_ptr(found),
        len(scores),
    )


@lru_cache(maxsize=4)
def _layout(dimension: int) -> Any:
    """An index without rows, for its scanner of float16 rows."""
    by_residual = False
    return faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension),
        dimension,
        1,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        by_residual,
    )
