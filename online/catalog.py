"""The items of a snapshot, made ready for lookups: product → rows, row → tile, and columns to filter and rank by."""

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
