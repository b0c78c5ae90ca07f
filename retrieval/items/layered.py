"""The items of a base with a delta's changes over them and its new rows after them, without a copy of the base."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from retrieval.arrays import Int64


@dataclass(frozen=True)
class LayeredItems:
    """Rows are numbered as in a view: those of `base` (a pyarrow Table), then those of `new` (None where there are none).

    `changes` has the items of `changed_rows` (m,) int64, sorted, as they are now. Which product and photo a row is of
    never changes.
    """

    base: Any
    changed_rows: Int64
    changes: Any
    new: Any

    @classmethod
    def of(cls, base: Any) -> "LayeredItems":
        """Items that nothing was laid over."""
        return cls(base, np.empty(0, np.int64), base.slice(0, 0), None)

    @property
    def num_rows(self) -> int:
        return int(self.base.num_rows) + (0 if self.new is None else int(self.new.num_rows))

    @cached_property
    def layer(self) -> Any:
        """The items that are not the base's: the changed rows', then the new rows', as one Table."""
        return self.changes if self.new is None else pa.concat_tables([self.changes, self.new])

    @cached_property
    def layer_rows(self) -> Int64:
        """The row of each item of `layer`."""
        return np.concatenate([self.changed_rows, np.arange(self.base.num_rows, self.num_rows, dtype=np.int64)])

    def select(self, columns: list[str]) -> "LayeredItems":
        """The same rows with these columns only."""
        new = None if self.new is None else self.new.select(columns)
        return LayeredItems(self.base.select(columns), self.changed_rows, self.changes.select(columns), new)

    def take(self, rows: Any) -> Any:
        """The items of the rows (n,) int64, in their order, as one pyarrow Table."""
        rows = np.asarray(rows, dtype=np.int64)
        is_new = rows >= self.base.num_rows
        change = np.searchsorted(self.changed_rows, rows)
        is_changed = np.append(self.changed_rows, -1)[change] == rows
        # Each table is taken from by itself: a take over several chunks would copy them whole.
        parts = (
            (self.base, ~is_new & ~is_changed, rows),
            (self.changes, is_changed, change),
            (self.new, is_new, rows - self.base.num_rows),
        )
        used = [(table, np.flatnonzero(chosen), places[chosen]) for table, chosen, places in parts if chosen.any()]
        tables = [table.take(pa.array(places)) for table, _, places in used]
        if len(tables) < 2:
            return tables[0] if tables else self.base.slice(0, 0)
        order = np.argsort(np.concatenate([chosen for _, chosen, _ in used]))
        return pa.concat_tables(tables).combine_chunks().take(pa.array(order))
