"""Counts by value over the candidates: what a shopper can narrow the search by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online.snapshots.catalog import Catalog
from retrieval.arrays import Int64
from retrieval.items.codes import NO_VALUE
from retrieval.items.columns import ItemColumns
from schemas.api.answers import Facet, FacetRange, FacetValue
from schemas.api.fields import ATTRIBUTE_FACETS_MAX, ATTRIBUTE_PREFIX, ATTRIBUTES

Codes = NDArray[np.int32]

VALUES_MAX = 100
"""The most frequent values of a facet."""

STOCK_VALUES = ("false", "true")


def count_facets(catalog: Catalog, names: Sequence[str], rows: Int64, *, exact: bool) -> list[Facet]:
    """For each name the product groups among candidate `rows` (n,) that have each value; for `attributes` those that
    the most groups have, in the place where it stands.

    `exact` says that the candidates are all there is under the filters.
    """
    asks_attributes = any(name.startswith(ATTRIBUTES) for name in names)
    attributes = _Attributes.of(catalog, rows) if asks_attributes else None
    fields: list[str] = []
    for name in names:
        fields += [name] if name != ATTRIBUTES or attributes is None else attributes.commonest()
    return [_count(catalog.columns, attributes, name, rows, exact) for name in dict.fromkeys(fields)]


def _count(columns: ItemColumns, attributes: "_Attributes | None", name: str, rows: Int64, exact: bool) -> Facet:
    if name == "price":
        return Facet(field=name, exact=exact, ranges=_price_ranges(columns, rows))
    if name == "in_stock":
        return Facet(
            field=name, exact=exact, values=_values(STOCK_VALUES, columns.groups[rows], columns.in_stock[rows])
        )
    if attributes is not None and name.startswith(ATTRIBUTE_PREFIX):
        return Facet(field=name, exact=exact, values=attributes.values_of(name.removeprefix(ATTRIBUTE_PREFIX)))
    column = {"category": columns.category, "brand": columns.brand, "colour": columns.colour}[name]
    return Facet(field=name, exact=exact, values=_values(column.values, columns.groups[rows], column.codes[rows]))


@dataclass(frozen=True)
class _Attributes:
    """What the candidates have: for each entry (m,) the group of its row, and codes into `names` and `values`."""

    groups: Codes
    names: list[str]
    name_codes: Codes
    values: list[str]
    value_codes: Codes

    @classmethod
    def of(cls, catalog: Catalog, rows: Int64) -> "_Attributes":
        maps = catalog.items.select(["attributes"]).take(rows).column("attributes").combine_chunks()
        offsets = maps.offsets.to_numpy()
        entries = slice(int(offsets[0]), int(offsets[-1]))
        keys, values = maps.keys[entries].dictionary_encode(), maps.items[entries].dictionary_encode()
        return cls(
            np.repeat(catalog.columns.groups[rows], np.diff(offsets)),
            keys.dictionary.to_pylist(),
            keys.indices.to_numpy(),
            values.dictionary.to_pylist(),
            values.indices.fill_null(NO_VALUE).to_numpy(zero_copy_only=False),
        )

    def commonest(self) -> list[str]:
        """The fields of the attributes that the most groups have; the first by name where as many have them."""
        codes, counts = _groups_by_code(self.groups, np.where(self.value_codes == NO_VALUE, NO_VALUE, self.name_codes))
        found = sorted(zip((-counts).tolist(), (self.names[code] for code in codes), strict=True))
        return [f"{ATTRIBUTE_PREFIX}{name}" for _, name in found[:ATTRIBUTE_FACETS_MAX]]

    def values_of(self, name: str) -> list[FacetValue]:
        here = self.name_codes == (self.names.index(name) if name in self.names else NO_VALUE)
        return _values(self.values, self.groups[here], self.value_codes[here])


def _values(names: Sequence[str], groups: Codes, codes: NDArray[np.integer]) -> list[FacetValue]:
    """A group with two photos, or two variants, of one value counts once."""
    codes_found, counts = _groups_by_code(groups, codes)
    found = sorted(zip((-counts).tolist(), (names[code] for code in codes_found), strict=True))[:VALUES_MAX]
    return [FacetValue(value=value, count=-count) for count, value in found]


def _groups_by_code(groups: Codes, codes: NDArray[np.integer]) -> tuple[Int64, Int64]:
    there = codes != NO_VALUE
    pairs = np.unique(np.stack([codes[there].astype(np.int64), groups[there].astype(np.int64)], axis=1), axis=0)
    return np.unique(pairs[:, 0], return_counts=True)


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
