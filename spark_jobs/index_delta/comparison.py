"""What became of a base's rows: dead, changed, or as they were; and which rows are new. Rows are known by product and photo."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.arrays import Int64
from retrieval.items.table import ITEMS_SCHEMA

KEY = ["product_id", "image_id"]
_BASE_ROW, _NEW_ROW = "base_row", "new_row"


@dataclass(frozen=True)
class Comparison:
    """`dead` and `changed` are sorted base rows; `changes` holds the items of `changed` as they are now; `new` the rest."""

    dead: Int64
    changed: Int64
    changes: pa.Table
    new: pa.Table

    @property
    def is_empty(self) -> bool:
        return not (len(self.dead) or len(self.changed) or self.new.num_rows)


def compare_items(base: pa.Table, now: pa.Table, product_ids: Collection[str] | None = None) -> Comparison:
    """Compare a base's items with those that the tables hold now; both have the columns of `items.arrow`, conformed.

    With `product_ids`, `now` holds all rows of these products and no others, and only their base rows are looked at.
    """
    base_rows = _rows_of(base, product_ids)
    left = base.select(KEY).take(pa.array(base_rows)).append_column(_BASE_ROW, pa.array(base_rows))
    right = now.select(KEY).append_column(_NEW_ROW, pa.array(np.arange(now.num_rows)))
    joined = left.join(right, KEY, join_type="full outer")
    in_base, in_now = joined.column(_BASE_ROW).is_valid(), joined.column(_NEW_ROW).is_valid()
    dead = _numbers(joined.filter(pc.and_not(in_base, in_now)), _BASE_ROW)
    both = joined.filter(pc.and_(in_base, in_now)).sort_by(_BASE_ROW)
    kept, match = _numbers(both, _BASE_ROW), _numbers(both, _NEW_ROW)
    differs = _differ(base.take(pa.array(kept)), now.take(pa.array(match)))
    new = np.sort(_numbers(joined.filter(pc.and_not(in_now, in_base)), _NEW_ROW))
    return Comparison(
        dead=np.sort(dead),
        changed=kept[differs],
        changes=now.take(pa.array(match[differs])).select(ITEMS_SCHEMA.names),
        new=now.take(pa.array(new)).select(ITEMS_SCHEMA.names),
    )


def combine(parts: Sequence[Comparison]) -> Comparison:
    """One comparison of those of different products with the same base. There must be one at least."""
    changed = np.concatenate([part.changed for part in parts])
    order = np.argsort(changed, kind="stable")
    return Comparison(
        dead=np.sort(np.concatenate([part.dead for part in parts])),
        changed=changed[order],
        changes=pa.concat_tables([part.changes for part in parts]).take(pa.array(order)),
        new=pa.concat_tables([part.new for part in parts]),
    )


def _rows_of(items: pa.Table, product_ids: Collection[str] | None) -> Int64:
    if product_ids is None:
        return np.arange(items.num_rows)
    wanted = pc.is_in(items.column("product_id"), pa.array(list(product_ids), pa.string()))
    return np.flatnonzero(wanted.to_numpy())


def _numbers(table: pa.Table, column: str) -> Int64:
    return np.asarray(table.column(column).to_numpy(), dtype=np.int64)


def _differ(before: pa.Table, now: pa.Table) -> NDArray[np.bool_]:
    """Which rows (n,) differ in any column that is not their key."""
    differs = np.zeros(before.num_rows, dtype=bool)
    for field in ITEMS_SCHEMA:
        if field.name in KEY:
            continue
        left, right = before.column(field.name), now.column(field.name)
        if pa.types.is_map(field.type):  # Arrow has no comparison of maps; conformed, equal ones are equal lists
            pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
            differs |= np.fromiter((one != other for one, other in pairs), bool, before.num_rows)
            continue
        unequal = pc.fill_null(pc.not_equal(left, right), False)
        one_is_null = pc.xor(left.is_null(), right.is_null())
        differs |= pc.or_(unequal, one_is_null).to_numpy()
    return differs
