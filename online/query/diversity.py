"""Results that differ from one another: maximal marginal relevance (Carbonell and Goldstein 1998)."""

import numpy as np

from retrieval.arrays import Float32, Int64

POOL_FACTOR = 5
POOL_MIN = 100
"""As many of the best groups, or `POOL_FACTOR` times those wanted, are chosen from."""


def pool_size(wanted: int) -> int:
    return max(POOL_FACTOR * wanted, POOL_MIN)


def diversify(scores: Float32, unit_vectors: Float32, wanted: int, diversity: float) -> Int64:
    """The places of `wanted` of n results, in the order of their choice.

    `scores` (n,) come best first; `unit_vectors` (n, d) are theirs. The first stays first; each next is the one with the
    best of (1 - diversity) · score - diversity · likeness to the nearest chosen, both scaled to 0–1 over these results.
    """
    relevance = _scaled(scores)
    floor = float((unit_vectors @ unit_vectors[:1].T).min(initial=1.0))
    chosen: list[int] = []
    nearest = np.full(len(scores), -np.inf, dtype=np.float32)
    left = np.ones(len(scores), dtype=bool)
    while len(chosen) < min(wanted, len(scores)):
        gain = (1 - diversity) * relevance - (diversity * nearest if chosen else 0)
        best = int(np.argmax(np.where(left, gain, -np.inf)))
        chosen.append(best)
        left[best] = False
        likeness = (unit_vectors @ unit_vectors[best] - floor) / max(1 - floor, 1e-6)
        nearest = np.maximum(nearest, np.clip(likeness, 0, 1))
    return np.array(chosen, np.int64)


def _scaled(scores: Float32) -> Float32:
    if not len(scores):
        return scores
    span = max(float(scores.max() - scores.min()), 1e-6)
    return np.asarray((scores - scores.min()) / span, dtype=np.float32)
