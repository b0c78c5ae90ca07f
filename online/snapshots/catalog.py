"""The items of a snapshot, made ready for lookups: product → rows, row → tile, and columns to filter and rank by."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.arrays import Mask
from retrieval.items.columns import ItemColumns
from retrieval.items.layered import LayeredItems
from retrieval.items.layered_columns import lay_columns

TILE_COLUMNS = (
    "product_id", "group_id", "image_id", "title", "brand", "category", "colour", "price", "currency", "in_stock",
    "attributes",
)  # fmt: skip

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ProductOrder:
    """`ids` (a pyarrow string column) and `order` (rows,) int32, which numbers the rows in the order of their ids."""

    ids: Any
    order: NDArray[np.int32]

    @classmethod
    def of(cls, items: Any) -> "ProductOrder":
        return cls(items.column("product_id"), np.asarray(pc.sort_indices(items.column("product_id")), dtype=np.int32))

    def rows_of(self, product_id: str) -> Rows:
        """By bisection: pyarrow sorts strings by their UTF-8 bytes, which is how Python compares them too."""

        def id_at(place: int) -> str:
            return str(self.ids[int(self.order[place])].as_py())

        start = bisect_left(range(len(self.order)), product_id, key=id_at)
        stop = bisect_right(range(len(self.order)), product_id, lo=start, key=id_at)
        return np.sort(self.order[start:stop]).astype(np.int64)


@dataclass(frozen=True)
class Catalog:
    """`items` has one row a photo. Rows that are not `live` (None where all are) belong to no product any more.

    `base` and `new` find the rows of a product in both parts of the items; `new` is None where nothing is new.
    """

    items: LayeredItems
    columns: ItemColumns
    base: ProductOrder
    new: ProductOrder | None = None
    live: Mask | None = None

    @cached_property
    def shown(self) -> LayeredItems:
        """The columns of a tile: turning the others into Python's own objects would take longer than these."""
        return self.items.select(list(TILE_COLUMNS))

    @classmethod
    def of(cls, items: Any) -> "Catalog":
        """Of a base's items, a pyarrow Table."""
        catalog = cls(LayeredItems.of(items), ItemColumns.of(items), ProductOrder.of(items))
        pa.default_memory_pool().release_unused()  # what making them took
        return catalog

    def under(self, items: LayeredItems, layer: ItemColumns, live: Mask | None) -> "Catalog":
        """This catalog of a base, with a delta over it: `layer` are the columns of `items.layer`."""
        new = None if items.new is None else ProductOrder.of(items.new)
        return Catalog(items, lay_columns(self.columns, layer, items), self.base, new, live)

    def rows_of_products(self, product_ids: Collection[str]) -> dict[str, Rows]:
        """The rows of each product's photos, in order; without those that are not there."""
        found = {product_id: self._rows_of(product_id) for product_id in product_ids}
        return {product_id: rows for product_id, rows in found.items() if len(rows)}

    def _rows_of(self, product_id: str) -> Rows:
        rows = self.base.rows_of(product_id)
        if self.live is not None:
            rows = rows[self.live[rows]]
        return rows if self.new is None else np.append(rows, self.new.rows_of(product_id) + len(self.base.order))

    def product_ids(self, rows: Rows) -> list[str]:
        """Of the rows, in their order."""
        found: list[str] = (
            self.items.select(["product_id"]).take(rows).column("product_id").to_pylist() if len(rows) else []
        )
        return found

    def tiles(self, rows: Rows) -> list[dict[str, Any]]:
        """What a tile shows of the rows, in their order; attributes as a dict."""
        tiles: list[dict[str, Any]] = self.shown.take(rows).to_pylist()
        for tile in tiles:
            tile["attributes"] = {name: value for name, value in tile["attributes"] or () if value is not None}
        return tiles


def count_products(base_products: int, items: LayeredItems, dead: Rows) -> int:
    """How many products are left of the base's once its rows `dead` are gone, and those of the new rows have come."""
    base_ids = items.base.column("product_id")
    parts = [base_ids.take(pa.array(dead))] + ([] if items.new is None else [items.new.column("product_id")])
    touched = pc.unique(pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string()))
    if not len(touched):
        return base_products
    places = pc.index_in(base_ids, value_set=touched).fill_null(-1).to_numpy()
    alive = np.ones(len(places), dtype=bool)
    alive[dead] = False
    before, after = places[places >= 0], places[(places >= 0) & alive]
    if items.new is not None:
        after = np.append(after, pc.index_in(items.new.column("product_id"), value_set=touched).to_numpy())
    return base_products + len(np.unique(after)) - len(np.unique(before))
