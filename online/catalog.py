"""The items of a snapshot, made ready for lookups: row → group, product → rows, row → tile."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Catalog:
    """`items` has one row a photo; `group_codes` (rows,) int32 numbers the product group of each row."""

    items: Any
    group_codes: NDArray[np.int32]
    group_count: int

    @classmethod
    def of(cls, items: Any) -> "Catalog":
        """A product without a group is a group of its own."""
        groups = pc.coalesce(items.column("group_id"), items.column("product_id"))
        encoded = (groups.combine_chunks() if isinstance(groups, pa.ChunkedArray) else groups).dictionary_encode()
        codes = np.ascontiguousarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int32)
        return cls(items, codes, len(encoded.dictionary))

    def rows_of_product(self, product_id: str) -> Rows:
        """The rows of a product's photos; empty where there is no such product."""
        found = pc.equal(self.items.column("product_id"), product_id)
        return np.flatnonzero(found.fill_null(False).to_numpy()).astype(np.int64)

    def tiles(self, rows: Rows) -> list[dict[str, Any]]:
        """The item columns of the rows, in their order; attributes as a dict."""
        tiles: list[dict[str, Any]] = self.items.take(pa.array(rows)).to_pylist()
        for tile in tiles:
            tile["attributes"] = dict(tile["attributes"] or ())
        return tiles
