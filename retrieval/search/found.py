"""What a scan of rows finds for one query: their scores and numbers, and answers of different scans laid together."""

from collections.abc import Sequence

import numpy as np

from retrieval.arrays import Float32, Int64

Found = tuple[Float32, Int64]
"""Scores (m,) float32, best first, and rows (m,) int64."""


def best_of(answers: Sequence[Found], k: int) -> Found:
    """The k best of answers of different rows; equal scores in order of row."""
    scores, rows = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    order = np.lexsort((rows, -scores))[:k]
    return scores[order], rows[order]


def least_of_best(answers: Sequence[Found], count: int) -> float:
    """The lowest of the `count` best scores, or of all where there are no more; -inf where there are none."""
    best = np.concatenate([scores[:count] for scores, _ in answers])
    return float(np.sort(best)[-min(count, len(best))]) if len(best) else -np.inf
