"""Counts by value over the candidates: what a shopper can narrow the search by."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.item_columns import NO_VALUE, Attribute, ItemColumns
from schemas.api import ATTRIBUTE_PREFIX, Facet, FacetRange, FacetValue

Int64 = NDArray[np.int64]
Codes = NDArray[np.int32]

VALUES_MAX = 100
"""The most frequent values of a facet."""

STOCK_VALUES = ("false", "true")


def count_facets(columns: ItemColumns, names: Sequence[str], rows: Int64, *, exact: bool) -> list[Facet]:
    """For each name the product groups among candidate `rows` (n,) that have each value.

    `exact` says that the candidates are all there is under the filters.
    """
    return [_count(columns, name, rows, exact) for name in dict.fromkeys(names)]


def _count(columns: ItemColumns, name: str, rows: Int64, exact: bool) -> Facet:
    if name == "price":
        return Facet(field=name, exact=exact, ranges=_price_ranges(columns, rows))
    if name == "in_stock":
        return Facet(
            field=name, exact=exact, values=_values(STOCK_VALUES, columns.groups[rows], columns.in_stock[rows])
        )
    if name.startswith(ATTRIBUTE_PREFIX):
        attribute = columns.attributes.get(name.removeprefix(ATTRIBUTE_PREFIX))
        return Facet(
            field=name, exact=exact, values=[] if attribute is None else _attribute_values(columns, attribute, rows)
        )
    column = {"category": columns.category, "brand": columns.brand, "colour": columns.colour}[name]
    return Facet(field=name, exact=exact, values=_values(column.values, columns.groups[rows], column.codes[rows]))


def _values(names: Sequence[str], groups: Codes, codes: NDArray[np.integer]) -> list[FacetValue]:
    """A group with two photos, or two variants, of one value counts once."""
    codes_found, counts = _groups_by_code(groups, codes)
    found = sorted(zip((-counts).tolist(), (names[code] for code in codes_found), strict=True))[:VALUES_MAX]
    return [FacetValue(value=value, count=-count) for count, value in found]


def _groups_by_code(groups: Codes, codes: NDArray[np.integer]) -> tuple[Int64, Int64]:
    there = codes != NO_VALUE
    pairs = np.unique(np.stack([codes[there].astype(np.int64), groups[there].astype(np.int64)], axis=1), axis=0)
    return np.unique(pairs[:, 0], return_counts=True)


def _attribute_values(columns: ItemColumns, attribute: Attribute, rows: Int64) -> list[FacetValue]:
    asked = np.zeros(columns.rows, dtype=bool)
    asked[rows] = True
    places = np.flatnonzero(asked[attribute.rows])
    codes = np.searchsorted(attribute.starts, places, side="right") - 1
    found, back = np.unique(codes, return_inverse=True)
    names = attribute.values.take(found).to_pylist()
    return _values(names, columns.groups[attribute.rows[places]], back)


def _price_ranges(columns: ItemColumns, rows: Int64) -> list[FacetRange]:
    """The lowest and the highest price in each currency."""
    prices, groups = columns.price[rows], columns.groups[rows]
    currencies = columns.currency.codes[rows]
    ranges = []
    for code in np.unique(currencies[np.isfinite(prices)]):
        chosen = np.isfinite(prices) & (currencies == code)
        ranges.append(
            FacetRange(
                currency=None if code == NO_VALUE else columns.currency.values[code],
                min=float(prices[chosen].min()),
                max=float(prices[chosen].max()),
                count=len(np.unique(groups[chosen])),
            )
        )
    return sorted(ranges, key=lambda found: -found.count)
