"""The items of a build as columns that filter a million rows in a millisecond: codes, numbers, attributes.

Made once for a snapshot, by pyarrow and numpy alone, and never changed: many threads read it at once.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.items.attributes import Attribute, read_attributes
from retrieval.items.codes import NO_VALUE, CodedColumn, Codes, narrowest

DAY_US = 86_400_000_000


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
    attributes: dict[str, Attribute]
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
            attributes=read_attributes(_flat(items.column("attributes"))),
        )


def group_names(items: Any) -> Any:
    """The group of each item, as a pyarrow DictionaryArray: its product where it has none."""
    return _encode(pc.coalesce(items.column("group_id"), items.column("product_id")))


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
