"""The items of a build as columns that filter a million rows in a millisecond: codes, numbers, attribute postings.

Made once for a snapshot, by pyarrow and numpy alone, and never changed: many threads read it at once.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.arrays import Mask

Codes = NDArray[np.int32]

NO_VALUE = -1
DAY_US = 86_400_000_000
_COMPARED_MAX = 8
"""So few values are sooner compared one after the other than looked up row by row."""

_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)$"


@dataclass(frozen=True)
class CodedColumn:
    """A column of few distinct strings: `codes` (rows,) point into `values`, NO_VALUE where there is none. They are as
    narrow as the number of values allows (`narrowest`): comparing ten million of them waits for memory."""

    values: tuple[str, ...]
    codes: NDArray[np.signedinteger]

    @cached_property
    def code_of(self) -> dict[str, int]:
        return {value: code for code, value in enumerate(self.values)}

    def rows_with(self, wanted: Iterable[str]) -> Mask:
        """Which rows (rows,) have one of the values."""
        codes = {self.code_of[value] for value in wanted if value in self.code_of}
        if len(codes) <= _COMPARED_MAX:
            found = np.zeros(len(self.codes), dtype=bool)
            for code in codes:
                found |= self.codes == code
            return found
        chosen = np.zeros(len(self.values) + 1, dtype=bool)  # the last place stands for NO_VALUE
        chosen[list(codes)] = True
        return np.asarray(chosen.take(self.codes, mode="wrap"))


@dataclass(frozen=True)
class Attribute:
    """One attribute: `rows[starts[i] : starts[i + 1]]` have `values[i]` (a pyarrow string array)."""

    values: Any
    starts: NDArray[np.int64]
    rows: Codes
    total_rows: int

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The values (values,) as numbers; NaN where one is none, such as \"5 cm\"."""
        trimmed = pc.utf8_trim_whitespace(self.values)
        is_number = pc.match_substring_regex(trimmed, _NUMBER)
        numbers = pc.if_else(is_number, trimmed, pa.scalar(None, pa.string())).cast(pa.float64())
        return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)

    def rows_with(self, wanted: Iterable[str]) -> Mask:
        """Which rows (rows,) have one of the values."""
        return self._rows_of(pc.is_in(self.values, pa.array(list(wanted), pa.string())).to_numpy(zero_copy_only=False))

    def has_value(self, rows: NDArray[np.int64], value: str) -> Mask:
        """Which of the given rows (n,) have the value."""
        place = pc.index(self.values, value).as_py()
        if place < 0:
            return np.zeros(len(rows), dtype=bool)
        have = self.rows[self.starts[place] : self.starts[place + 1]]
        return np.asarray(have[np.minimum(np.searchsorted(have, rows), len(have) - 1)] == rows)

    def rows_between(self, low: float, high: float) -> Mask:
        """Which rows (rows,) have a number from `low` to `high`, both included."""
        return self._rows_of((self.numbers >= low) & (self.numbers <= high))

    def _rows_of(self, chosen: Mask) -> Mask:
        found = np.zeros(self.total_rows, dtype=bool)
        places = np.flatnonzero(chosen)
        if len(places) <= _COMPARED_MAX:
            for place in places.tolist():
                found[self.rows[self.starts[place] : self.starts[place + 1]]] = True
        else:
            found[self.rows[np.repeat(chosen, np.diff(self.starts))]] = True
        return found


class AnyAttribute(Protocol):
    """An `Attribute`, or one with a delta laid over it."""

    def rows_with(self, wanted: Iterable[str]) -> Mask: ...

    def rows_between(self, low: float, high: float) -> Mask: ...

    def has_value(self, rows: NDArray[np.int64], value: str) -> Mask: ...


@dataclass(frozen=True)
class ItemColumns:
    """What filters, facets and ranking read. `groups` (rows,) int32 numbers the product group of each row.

    `price` is float64 with NaN, `in_stock` int8 with NO_VALUE, `created_day` float32 days since 1970 with NaN.
    `new_groups` names the groups that a delta brought: they have the last numbers, and other numbers in another delta.
    """

    rows: int
    groups: Codes
    group_count: int
    category: CodedColumn
    brand: CodedColumn
    colour: CodedColumn
    currency: CodedColumn
    price: NDArray[np.float64]
    in_stock: NDArray[np.int8]
    created_day: NDArray[np.float32]
    attributes: dict[str, AnyAttribute]
    new_groups: tuple[str, ...] = ()

    @property
    def lasting_groups(self) -> int:
        """How many groups, the first ones, keep their numbers under every delta of their base."""
        return self.group_count - len(self.new_groups)

    @cached_property
    def new_group_digests(self) -> NDArray[np.uint64]:
        """Of each of `new_groups` (m,): what a group can be known by beyond its delta."""
        digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in self.new_groups]
        return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)

    @classmethod
    def of(cls, items: Any) -> "ItemColumns":
        """From a table with the columns of `schemas.items`. A product without a group is a group of its own."""
        groups = group_names(items)
        in_stock = _flat(items.column("in_stock")).cast(pa.int8()).fill_null(NO_VALUE)
        created = _flat(items.column("created_at")).cast(pa.int64()).cast(pa.float64(), safe=False)
        return cls(
            rows=items.num_rows,
            groups=_codes(groups),
            group_count=len(groups.dictionary),
            category=_coded(items.column("category")),
            brand=_coded(items.column("brand")),
            colour=_coded(items.column("colour")),
            currency=_coded(items.column("currency")),
            price=np.asarray(_flat(items.column("price")).to_numpy(zero_copy_only=False), dtype=np.float64),
            in_stock=np.asarray(in_stock.to_numpy(zero_copy_only=False), dtype=np.int8),
            created_day=(created.to_numpy(zero_copy_only=False) / DAY_US).astype(np.float32),
            attributes={**_post_attributes(_flat(items.column("attributes")))},
        )


def group_names(items: Any) -> Any:
    """The group of each item, as a pyarrow DictionaryArray: its product where it has none."""
    return _encode(pc.coalesce(items.column("group_id"), items.column("product_id")))


def _post_attributes(maps: Any) -> dict[str, Attribute]:
    """The postings of each attribute of a map column."""
    offsets = maps.offsets.to_numpy()
    entries = slice(int(offsets[0]), int(offsets[-1]))
    rows = np.repeat(np.arange(len(maps), dtype=np.int32), np.diff(offsets))
    there = np.asarray(maps.items[entries].is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    keys, values = _encode(maps.keys[entries]), _encode(maps.items[entries])
    key_codes, value_codes = _codes(keys), _codes(values)
    order = np.flatnonzero(there)[np.argsort(key_codes[there], kind="stable")]
    counts = np.bincount(key_codes[there], minlength=len(keys.dictionary))
    attributes, start = {}, 0
    for name, count in zip(keys.dictionary.to_pylist(), counts.tolist(), strict=True):
        if count:
            chosen = order[start : start + count]
            attributes[name] = _post_values(rows[chosen], value_codes[chosen], values.dictionary, len(maps))
        start += count
    return attributes


def _post_values(rows: Codes, codes: Codes, dictionary: Any, total_rows: int) -> Attribute:
    order = np.argsort(codes, kind="stable")
    present, counts = np.unique(codes, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Attribute(dictionary.take(pa.array(present)), starts, rows[order], total_rows)


def narrowest(values: int) -> type[np.signedinteger]:
    """The narrowest type for codes of so many values, NO_VALUE, and one beyond the last."""
    types: tuple[type[np.signedinteger], ...] = (np.int8, np.int16, np.int32)
    return next(each for each in types if values <= np.iinfo(each).max)


def _coded(column: Any) -> CodedColumn:
    encoded = _encode(column)
    values = tuple(encoded.dictionary.to_pylist())
    return CodedColumn(values, _codes(encoded).astype(narrowest(len(values))))


def _encode(column: Any) -> Any:
    return _flat(column).dictionary_encode()


def _codes(encoded: Any) -> Codes:
    return np.ascontiguousarray(encoded.indices.fill_null(NO_VALUE).to_numpy(zero_copy_only=False), dtype=np.int32)


def _flat(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
