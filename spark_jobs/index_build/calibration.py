"""What a cosine means for this model and catalog: similarities within a product and between any two, as percentiles."""

import numpy as np

from retrieval.exact import Float32, Int64
from retrieval.segments import Segment

PERCENTILES = (5, 25, 50, 75, 95)
_PAIRS = 2_000
_DIGITS = 4


def calibrate(segment: Segment, seed: int) -> dict[str, dict[str, float]]:
    """Percentiles of cosines: `same_product` (two photos of one product) and `random_pair`; empty where there are none."""
    rng = np.random.default_rng(seed + 3)
    rows = segment.manifest.rows
    random_pairs = rng.integers(0, rows, (min(_PAIRS, rows * rows), 2))
    random_pairs = random_pairs[random_pairs[:, 0] != random_pairs[:, 1]]
    return {
        "same_product": _percentiles(segment, _same_product_pairs(segment, rng)),
        "random_pair": _percentiles(segment, random_pairs),
    }


def _same_product_pairs(segment: Segment, rng: np.random.Generator) -> Int64:
    """Neighbours in order of product, which are photos of one product where their ids agree."""
    codes = segment.items.column("product_id").combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    together = np.flatnonzero(codes[order][1:] == codes[order][:-1])
    kept = np.sort(rng.choice(together, min(_PAIRS, len(together)), replace=False)) if len(together) else together
    return np.stack([order[kept], order[kept + 1]], axis=1)


def _percentiles(segment: Segment, pairs: Int64) -> dict[str, float]:
    if not len(pairs):
        return {}
    left, right = _unit(segment, pairs[:, 0]), _unit(segment, pairs[:, 1])
    values = np.percentile(np.sum(left * right, axis=1), PERCENTILES)
    return {f"p{percentile:02d}": round(float(v), _DIGITS) for percentile, v in zip(PERCENTILES, values, strict=True)}


def _unit(segment: Segment, rows: Int64) -> Float32:
    vectors = np.asarray(segment.vectors[rows], dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
