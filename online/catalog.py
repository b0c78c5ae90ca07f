"""The items of a snapshot, made ready for lookups: product → rows, row → tile, and columns to filter and rank by."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.item_columns import ItemColumns

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Catalog:
    """`items` has one row a photo; `by_product` (rows,) int32 numbers the rows in the order of their product ids."""

    items: Any
    columns: ItemColumns
    by_product: NDArray[np.int32]

    @classmethod
    def of(cls, items: Any) -> "Catalog":
        columns = ItemColumns.of(items)
        by_product = np.asarray(pc.sort_indices(items.column("product_id")), dtype=np.int32)
        pa.default_memory_pool().release_unused()  # what making them took
        return cls(items, columns, by_product)

    def rows_of_products(self, product_ids: Collection[str]) -> dict[str, Rows]:
        """The rows of each product's photos, in order; without those that are not there."""
        found = {product_id: self._rows_of(product_id) for product_id in product_ids}
        return {product_id: rows for product_id, rows in found.items() if len(rows)}

    def _rows_of(self, product_id: str) -> Rows:
        """By bisection: pyarrow sorts strings by their UTF-8 bytes, which is how Python compares them too."""
        ids, order = self.items.column("product_id"), self.by_product

        def id_at(place: int) -> str:
            return str(ids[int(order[place])].as_py())

        start = bisect_left(range(len(order)), product_id, key=id_at)
        stop = bisect_right(range(len(order)), product_id, lo=start, key=id_at)
        return np.sort(order[start:stop]).astype(np.int64)

    def tiles(self, rows: Rows) -> list[dict[str, Any]]:
        """The item columns of the rows, in their order; attributes as a dict."""
        tiles: list[dict[str, Any]] = self.items.take(pa.array(rows)).to_pylist()
        for tile in tiles:
            tile["attributes"] = dict(tile["attributes"] or ())
        return tiles
