"""From filters to the rows that pass them."""

from collections.abc import Sequence

import numpy as np

from retrieval.arrays import Mask
from retrieval.items.attributes import Attribute
from retrieval.items.codes import CodedColumn
from retrieval.items.columns import ItemColumns
from schemas.api.filters import (
    AttributeFilter,
    AttributeMatch,
    Filters,
    NumberMatch,
    PriceFilter,
    WordFilter,
    WordMatch,
)


def rows_that_pass(columns: ItemColumns, filters: Filters | None) -> Mask | None:
    """Which rows (rows,) bool pass every filter; None where nothing is asked of them.

    A row without a value passes no filter but `not`.
    """
    if filters is None:
        return None
    masks = [
        _passing_words(column, wanted)
        for column, wanted in (
            (columns.category, filters.category),
            (columns.brand, filters.brand),
            (columns.colour, filters.colour),
        )
        if wanted is not None
    ]
    if filters.price is not None:
        masks.append(_passing_price(columns, filters.price))
    if filters.in_stock is not None:
        masks.append(columns.in_stock == int(filters.in_stock))
    masks += [
        _passing_attribute(columns.attributes.get(name), wanted, columns.rows)
        for name, wanted in (filters.attributes or {}).items()
    ]
    return _all_of(masks) if masks else None


def _all_of(masks: Sequence[Mask]) -> Mask:
    """Where all of one or more masks (rows,) are true, in the place of the first: memory for ten million rows that was
    not touched yet takes as long as comparing them."""
    first, *others = masks
    for mask in others:
        first &= mask
    return first


def _passing_words(column: CodedColumn, wanted: WordFilter) -> Mask:
    passing = _matching_words(column, wanted)
    return passing if wanted.not_ is None else _all_of([passing, ~_matching_words(column, wanted.not_)])


def _matching_words(column: CodedColumn, wanted: WordMatch) -> Mask:
    accepted = _accepted_words(wanted)
    return np.ones(len(column.codes), dtype=bool) if accepted is None else column.rows_with(accepted)


def _accepted_words(wanted: WordMatch) -> set[str] | None:
    """The values that satisfy both `equals` and `in`; None where neither is given."""
    given = [set(values) for values in ([wanted.equals] if wanted.equals is not None else None, wanted.in_) if values]
    return set.intersection(*given) if given else None


def _passing_price(columns: ItemColumns, wanted: PriceFilter) -> Mask:
    passing = _matching_numbers(columns.price, wanted)
    if wanted.not_ is not None:
        passing &= ~_matching_numbers(columns.price, wanted.not_)
    if wanted.currency is not None:
        passing &= columns.currency.rows_with([wanted.currency])
        if set(wanted.model_dump(exclude_none=True)) == {"currency"}:
            # A shop may give its one currency to products without a price too.
            passing &= ~np.isnan(columns.price)
    return passing


def _matching_numbers(values: np.ndarray[tuple[int], np.dtype[np.float64]], wanted: NumberMatch) -> Mask:
    matching: list[Mask] = []
    if wanted.min is not None:
        matching.append(values >= wanted.min)
    if wanted.max is not None:
        matching.append(values <= wanted.max)
    if wanted.equals is not None:
        matching.append(values == wanted.equals)
    if wanted.in_ is not None:
        matching.append(np.isin(values, wanted.in_))
    return _all_of(matching or [np.ones(len(values), dtype=bool)])


def _passing_attribute(attribute: Attribute | None, wanted: AttributeFilter, rows: int) -> Mask:
    passing = _matching_attribute(attribute, wanted, rows)
    return passing if wanted.not_ is None else _all_of([passing, ~_matching_attribute(attribute, wanted.not_, rows)])


def _matching_attribute(attribute: Attribute | None, wanted: AttributeMatch, rows: int) -> Mask:
    accepted, in_range = _accepted_words(wanted), wanted.min is not None or wanted.max is not None
    if attribute is None:
        return np.full(rows, accepted is None and not in_range)
    matching: list[Mask] = []
    if accepted is not None:
        matching.append(attribute.rows_with(accepted))
    if in_range:
        low = -np.inf if wanted.min is None else wanted.min
        matching.append(attribute.rows_between(low, np.inf if wanted.max is None else wanted.max))
    return _all_of(matching or [np.ones(rows, dtype=bool)])
