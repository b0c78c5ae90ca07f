"""A shop's own attributes as columns: any names and values, a product has at most one value of each."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.arrays import Int64, Mask
from retrieval.items.codes import NO_VALUE, Codes, narrowest, rows_with_codes

_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)$"
_TAKEN_MAX = 100
"""The rows of so few values are sooner taken value by value."""


class Attribute(Protocol):
    """Of the rows of one set of items, or of a base with a delta laid over it."""

    def rows_with(self, wanted: Iterable[str]) -> Mask:
        """Which rows (rows,) have one of the values."""
        ...

    def rows_between(self, low: float, high: float) -> Mask:
        """Which rows (rows,) have a number from `low` to `high`, both included."""
        ...

    def has_value(self, rows: Int64, value: str) -> Mask:
        """Which of the given rows (n,) have the value."""
        ...


@dataclass(frozen=True)
class _ValuedAttribute(ABC):
    """`values` is a pyarrow string array of distinct values."""

    values: Any

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The values (values,) as numbers; NaN where one is none, such as \"5 cm\"."""
        trimmed = pc.utf8_trim_whitespace(self.values)
        is_number = pc.match_substring_regex(trimmed, _NUMBER)
        numbers = pc.if_else(is_number, trimmed, pa.scalar(None, pa.string())).cast(pa.float64())
        return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)

    def rows_with(self, wanted: Iterable[str]) -> Mask:
        chosen = pc.is_in(self.values, pa.array(list(wanted), pa.string()))
        return self._rows_of(np.flatnonzero(chosen.to_numpy(zero_copy_only=False)))

    def rows_between(self, low: float, high: float) -> Mask:
        return self._rows_of(np.flatnonzero((self.numbers >= low) & (self.numbers <= high)))

    def _place_of(self, value: str) -> int:
        """Among the values; below 0 where it is none of them."""
        return int(pc.index(self.values, value).as_py())

    @abstractmethod
    def _rows_of(self, places: Int64) -> Mask:
        """Which rows (rows,) have one of the values at these places."""


@dataclass(frozen=True)
class CodedAttribute(_ValuedAttribute):
    """One that many rows have: `codes` (rows,) point into `values`, NO_VALUE where there is none."""

    codes: NDArray[np.signedinteger]

    def has_value(self, rows: Int64, value: str) -> Mask:
        place = self._place_of(value)
        return np.zeros(len(rows), dtype=bool) if place < 0 else np.asarray(self.codes[rows] == place)

    def _rows_of(self, places: Int64) -> Mask:
        return rows_with_codes(self.codes, places.tolist(), len(self.values))


@dataclass(frozen=True)
class PostedAttribute(_ValuedAttribute):
    """One that few rows have: `rows[starts[i] : starts[i + 1]]` have `values[i]`."""

    starts: Int64
    rows: Codes
    total_rows: int

    def has_value(self, rows: Int64, value: str) -> Mask:
        place = self._place_of(value)
        if place < 0:
            return np.zeros(len(rows), dtype=bool)
        have = self.rows[self.starts[place] : self.starts[place + 1]]
        return np.asarray(have[np.minimum(np.searchsorted(have, rows), len(have) - 1)] == rows)

    def _rows_of(self, places: Int64) -> Mask:
        found = np.zeros(self.total_rows, dtype=bool)
        if len(places) <= _TAKEN_MAX:
            for place in places.tolist():
                found[self.rows[self.starts[place] : self.starts[place + 1]]] = True
        else:
            chosen = np.zeros(len(self.values), dtype=bool)
            chosen[places] = True
            found[self.rows[np.repeat(chosen, np.diff(self.starts))]] = True
        return found


def read_attributes(maps: Any) -> dict[str, Attribute]:
    """Each attribute of a map column, in whichever of the two forms is the smaller."""
    offsets = maps.offsets.to_numpy()
    entries = slice(int(offsets[0]), int(offsets[-1]))
    rows = np.repeat(np.arange(len(maps), dtype=np.int32), np.diff(offsets))
    keys, values = (part[entries].dictionary_encode() for part in (maps.keys, maps.items))
    key_codes, value_codes = _codes(keys), _codes(values)
    there = value_codes != NO_VALUE
    order = np.flatnonzero(there)[np.argsort(key_codes[there], kind="stable")]
    counts = np.bincount(key_codes[there], minlength=len(keys.dictionary))
    attributes, start = {}, 0
    for name, count in zip(keys.dictionary.to_pylist(), counts.tolist(), strict=True):
        if count:
            chosen = order[start : start + count]
            attributes[name] = _attribute_of(rows[chosen], value_codes[chosen], values.dictionary, len(maps))
        start += count
    return attributes


def _attribute_of(rows: Codes, codes: Codes, dictionary: Any, total_rows: int) -> Attribute:
    """Of the rows (n,) that have it, in their order, and the value of each as a place in the dictionary."""
    counts = np.bincount(codes, minlength=len(dictionary))
    present = np.flatnonzero(counts)
    values, kind = dictionary.take(pa.array(present)), narrowest(len(present))
    if total_rows * np.dtype(kind).itemsize <= rows.nbytes:
        place_of = np.zeros(len(dictionary), kind)
        place_of[present] = np.arange(len(present), dtype=kind)
        coded = np.full(total_rows, NO_VALUE, kind)
        coded[rows] = place_of[codes]
        return CodedAttribute(values, coded)
    starts = np.concatenate([[0], np.cumsum(counts[present])]).astype(np.int64)
    return PostedAttribute(values, starts, rows[np.argsort(codes, kind="stable")], total_rows)


def _codes(encoded: Any) -> Codes:
    return np.ascontiguousarray(encoded.indices.fill_null(NO_VALUE).to_numpy(zero_copy_only=False), dtype=np.int32)
