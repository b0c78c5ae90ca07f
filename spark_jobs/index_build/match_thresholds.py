"""How near the nearest photo must be to count as a match: a cosine for each category, fitted on pairs of photos of one
product and checked on pairs of products that the fit has not seen.

Products are parted by a hash of their group, so that variants of one design stay together and every build parts them
alike.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.arrays import Float32, Int64
from retrieval.encoders.contract import unit_rows
from retrieval.items.codes import NO_VALUE, CodedColumn
from retrieval.search.segments import Segment
from schemas.calibration import CategoryValues

POOR_MATCH_PERCENTILE = 5
"""One in twenty true pairs lies below the threshold of a poor match."""

MEASURED_MIN = 20
"""A category with fewer pairs, or prices, goes by all categories together; a share of fewer pairs is not written."""

_PAIRS = 4_000
_PAIRS_PER_CATEGORY = 1_000
_CATEGORIES_MAX = 1_000
_DIGITS = 4


@dataclass(frozen=True)
class MatchThresholds:
    """`cosines`: below them a photo shows no product of the catalog. `false_rejects`: of the pairs that were kept back,
    the share, 0 to 1, below the threshold that holds for their category."""

    cosines: CategoryValues = field(default_factory=CategoryValues)
    false_rejects: CategoryValues = field(default_factory=CategoryValues)


def fit_match_thresholds(segment: Segment, pairs: Int64, category: CodedColumn) -> MatchThresholds:
    """From shuffled pairs of rows of one product (pairs, 2); nothing where there are too few to fit on."""
    codes = category.codes[pairs[:, 0]]
    fitted, kept_back = part_pairs(segment.items, pairs[:_PAIRS])
    if len(fitted) < MEASURED_MIN:
        return MatchThresholds()
    overall = _threshold(segment, fitted)
    thresholds: dict[str, float] = {}
    shares: dict[str, float] = {}
    for code in largest(codes):
        name = category.values[code]
        own, own_kept_back = part_pairs(segment.items, pairs[np.flatnonzero(codes == code)[:_PAIRS_PER_CATEGORY]])
        if len(own) >= MEASURED_MIN:
            thresholds[name] = _threshold(segment, own)
        if len(own_kept_back) >= MEASURED_MIN:
            shares[name] = _share(cosines_of(segment, own_kept_back) < thresholds.get(name, overall))
    held = np.array(
        [overall, *(thresholds.get(name, overall) for name in category.values)]
    )  # the first for no category
    below = cosines_of(segment, kept_back) < held[category.codes[kept_back[:, 0]] + 1]
    share = _share(below) if len(below) >= MEASURED_MIN else None
    return MatchThresholds(CategoryValues(overall, thresholds), CategoryValues(share, shares))


def part_pairs(items: Any, pairs: Int64) -> tuple[Int64, Int64]:
    """Those to fit on and those that are kept back, about half each; never one group in both."""
    kept_back = _is_kept_back(items, pairs[:, 0])
    return pairs[~kept_back], pairs[kept_back]


def cosines_of(segment: Segment, pairs: Int64) -> Float32:
    """The cosine of each pair of rows (pairs,) float32."""
    left, right = unit_rows(segment.vectors[pairs[:, 0]]), unit_rows(segment.vectors[pairs[:, 1]])
    return np.asarray(np.sum(left * right, axis=1), dtype=np.float32)


def largest(codes: NDArray[np.int32]) -> list[int]:
    """The codes with enough rows to measure, most rows first, and not too many of them."""
    found, counts = np.unique(codes, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_CATEGORIES_MAX]
    return [int(found[n]) for n in order if found[n] != NO_VALUE and counts[n] >= MEASURED_MIN]


def _is_kept_back(items: Any, rows: Int64) -> NDArray[np.bool_]:
    """By the last bit of a hash of each row's group; a product without one is its own."""
    chosen = items.select(["group_id", "product_id"]).take(pa.array(rows))
    groups = pc.coalesce(chosen.column("group_id"), chosen.column("product_id")).to_pylist()
    bits = (hashlib.blake2b(name.encode(), digest_size=1).digest()[0] & 1 for name in groups)
    return np.fromiter(bits, bool, len(groups))


def _threshold(segment: Segment, pairs: Int64) -> float:
    return round(float(np.percentile(cosines_of(segment, pairs), POOR_MATCH_PERCENTILE)), _DIGITS)


def _share(below: NDArray[np.bool_]) -> float:
    return round(float(np.mean(below)), _DIGITS)
