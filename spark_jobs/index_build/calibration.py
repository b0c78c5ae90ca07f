"""What a cosine and a price mean in this catalog: the constants that ranking scales its terms by (`schemas.calibration`).

Pairs of photos of one product stand for a shopper's photo of a product that the shop has (`match_thresholds.py`); random
pairs for one that it has not. Words are titles and categories of the catalog, so each has something to find.
"""

from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.arrays import Float32, Int64
from retrieval.encoders.contract import unit_rows
from retrieval.items.codes import NO_VALUE
from retrieval.items.columns import ItemColumns
from retrieval.search.exact import exact_search
from retrieval.search.segments import Segment
from schemas.calibration import NO_CURRENCY, PRICE_QUANTILES, Calibration, CategoryValues, CosineScale
from spark_jobs.index_build.match_thresholds import (
    POOR_MATCH_PERCENTILE,
    cosines_of,
    fit_match_thresholds,
    largest,
)

PERCENTILES = (5, 25, 50, 75, 95)

_PAIRS = 2_000
_SCALE_MIN = 0.01
_PHOTO_QUERIES = 200
_FAR_RANK = 100
_DIGITS = 4


def calibrate(segment: Segment, seed: int, text_vectors: Float32 | None = None) -> Calibration:
    """Measure a build's own rows; `text_vectors` (n, dimension) are words of the catalog. Parts without data stay out."""
    rng = np.random.default_rng(seed + 3)
    columns = ItemColumns.of(segment.items)
    rows = segment.manifest.rows
    random_pairs = rng.integers(0, rows, (min(_PAIRS, rows * rows), 2))
    random_cosines = cosines_of(segment, random_pairs[random_pairs[:, 0] != random_pairs[:, 1]])
    products = _product_codes(segment)
    pairs = _same_product_pairs(products, rng)
    same_cosines = cosines_of(segment, pairs[:_PAIRS])
    scales: dict[str, CosineScale] = {}
    if len(random_cosines):
        asked = unit_rows(segment.vectors[np.sort(rng.choice(rows, min(_PHOTO_QUERIES, rows), replace=False))])
        scales |= _scale("photo", random_cosines, _nearest(segment, asked)[:, -1], 1.0)
    text_match = None
    if text_vectors is not None and len(text_vectors):
        nearest = _nearest(segment, text_vectors)
        anywhere = unit_rows(segment.vectors[rng.integers(0, rows, len(text_vectors))])
        scales |= _scale("text", np.sum(anywhere * text_vectors, axis=1), nearest[:, -1], float(nearest.max()))
        text_match = _rounded(np.percentile(nearest[:, 0], POOR_MATCH_PERCENTILE))
    match = fit_match_thresholds(segment, pairs, columns.category)
    return Calibration(
        percentiles={"same_product": _percentiles(same_cosines), "random_pair": _percentiles(random_cosines)},
        visual_scale=scales,
        photo_match=match.cosines,
        photo_match_false_rejects=match.false_rejects,
        text_match=text_match,
        prices=_price_quantiles(columns, np.unique(products, return_index=True)[1]),
    )


def _same_product_pairs(products: NDArray[np.int32], rng: np.random.Generator) -> Int64:
    """Pairs of photos of one product (pairs, 2), neighbours in the order of rows, shuffled."""
    order = np.argsort(products, kind="stable")
    together = np.flatnonzero(products[order][1:] == products[order][:-1])
    pairs = np.stack([order[together], order[together + 1]], axis=1)
    return np.asarray(pairs[rng.permutation(len(pairs))], dtype=np.int64)


def _price_quantiles(columns: ItemColumns, products: Int64) -> dict[str, CategoryValues]:
    """The ends of ten equal parts of the prices, by currency, overall and by category; `products` has a row for each."""
    prices, currencies = columns.price[products], columns.currency.codes[products]
    categories = columns.category.codes[products]
    found: dict[str, CategoryValues] = {}
    for code in np.unique(currencies):
        chosen = (currencies == code) & np.isfinite(prices)
        if not chosen.any():
            continue
        name = NO_CURRENCY if code == NO_VALUE else columns.currency.values[code]
        found[name] = CategoryValues(
            _quantiles(prices[chosen]),
            {
                columns.category.values[category]: _quantiles(prices[chosen & (categories == category)])
                for category in largest(categories[chosen])
            },
        )
    return found


def _product_codes(segment: Segment) -> NDArray[np.int32]:
    encoded = pc.dictionary_encode(segment.items.column("product_id").combine_chunks())
    return np.asarray(encoded.indices.to_numpy(), dtype=np.int32)


def _quantiles(prices: NDArray[np.float64]) -> list[float]:
    return [_rounded(price) for price in np.quantile(prices, np.linspace(0, 1, PRICE_QUANTILES + 1))]


def _percentiles(cosines: Float32) -> dict[str, float]:
    if not len(cosines):
        return {}
    values = np.percentile(cosines, PERCENTILES)
    return {f"p{percentile:02d}": _rounded(value) for percentile, value in zip(PERCENTILES, values, strict=True)}


def _nearest(segment: Segment, unit_vectors: Float32) -> Float32:
    """The cosines (n, ranks) of the nearest rows, down to the hundredth, or in a small catalog to the tenth part."""
    ranks = min(_FAR_RANK, max(segment.manifest.rows // 10, 1))
    return exact_search(segment.vectors, unit_vectors, ranks)[0]


def _scale(kind: str, unrelated: Float32, far: Float32, best: float) -> dict[str, CosineScale]:
    """Nothing where the hundredth nearest is as near as the best: there is nothing to tell apart."""
    scale = CosineScale(_rounded(np.median(unrelated)), _rounded(np.median(far)), _rounded(best))
    return {kind: scale} if scale.best - scale.far >= _SCALE_MIN else {}


def _rounded(value: Any) -> float:
    return round(float(value), _DIGITS)
