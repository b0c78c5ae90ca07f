"""The items of a snapshot, made ready for lookups: product → rows, row → tile, and columns to filter and rank by."""

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
    """`items` has one row a photo."""

    items: Any
    columns: ItemColumns

    @classmethod
    def of(cls, items: Any) -> "Catalog":
        columns = ItemColumns.of(items)
        pa.default_memory_pool().release_unused()  # what making them took
        return cls(items, columns)

    def rows_of_products(self, product_ids: Collection[str]) -> dict[str, Rows]:
        """The rows of each product's photos; without those that are not there."""
        column = self.items.column("product_id")
        rows = np.flatnonzero(pc.is_in(column, pa.array(list(product_ids), pa.string())).to_numpy()).astype(np.int64)
        found: dict[str, list[int]] = {}
        for row, product_id in zip(rows.tolist(), column.take(pa.array(rows)).to_pylist(), strict=True):
            found.setdefault(product_id, []).append(row)
        return {product_id: np.array(each, np.int64) for product_id, each in found.items()}

    def tiles(self, rows: Rows) -> list[dict[str, Any]]:
        """The item columns of the rows, in their order; attributes as a dict."""
        tiles: list[dict[str, Any]] = self.items.take(pa.array(rows)).to_pylist()
        for tile in tiles:
            tile["attributes"] = dict(tile["attributes"] or ())
        return tiles
