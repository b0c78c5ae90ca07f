"""What ranking needs of each row, made once for a snapshot: where its price stands among its kind."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Float32
from retrieval.items.codes import NO_VALUE
from retrieval.items.columns import ItemColumns
from retrieval.items.layered import LayeredItems
from retrieval.items.layered_columns import lay_values
from schemas.calibration import NO_CURRENCY, Calibration


@dataclass(frozen=True)
class RankFeatures:
    """`price_place` (rows,) float32: 0 the cheapest of its category and currency, 1 the dearest, NaN where unknown."""

    calibration: Calibration
    price_place: Float32

    @classmethod
    def of(cls, columns: ItemColumns, calibration: Calibration) -> "RankFeatures":
        return cls(calibration, _place_prices(columns, calibration))

    def under(self, items: LayeredItems, layer: ItemColumns) -> "RankFeatures":
        """These features of a base, with a delta over it: `layer` are the columns of `items.layer`."""
        if not layer.rows:
            return self
        places = _place_prices(layer, self.calibration)
        return RankFeatures(self.calibration, lay_values(self.price_place, places, items))


def _place_prices(columns: ItemColumns, calibration: Calibration) -> Float32:
    """Each price among those of its category, or of all where the category has too few, in its currency."""
    places = np.full(columns.rows, np.nan, dtype=np.float32)
    kinds = columns.currency.codes.astype(np.int64) * (len(columns.category.values) + 1) + columns.category.codes
    order = np.argsort(kinds, kind="stable")
    starts = np.flatnonzero(np.diff(kinds[order], prepend=kinds[order][:1] - 1))
    for rows in np.split(order, starts[1:]):
        currency, category = int(columns.currency.codes[rows[0]]), int(columns.category.codes[rows[0]])
        prices = calibration.prices.get(NO_CURRENCY if currency == NO_VALUE else columns.currency.values[currency])
        if prices is None:
            continue
        name = "" if category == NO_VALUE else columns.category.values[category]
        places[rows] = _places(columns.price[rows], np.asarray(prices.by_category.get(name, prices.overall)))
    return places


def _places(prices: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where prices stand among the `ends` of equal parts, 0 to 1; in the middle of ends that are the same price."""
    shares = np.linspace(0, 1, len(ends))
    from_below = np.interp(prices, ends, shares)
    from_above = 1 - np.interp(-prices, -ends[::-1], shares)
    return (from_below + from_above) / 2
