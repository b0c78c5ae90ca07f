"""A set of a segment's rows that a search is limited to, in the forms that FAISS and the planner want."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import faiss
import numpy as np

from retrieval.arrays import Int64, Mask


@dataclass(frozen=True)
class RowSet:
    """`rows` are sorted and without repeats, of `total`. `list_starts` (nlist + 1,) is None for an exact index.

    The other forms are made when first asked for, and kept: a set of live rows serves every search of its segment.
    """

    rows: Int64
    total: int
    list_starts: Int64 | None

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def mask(self) -> Mask:
        """Which of all rows (total,) are in the set."""
        flags = np.zeros(self.total, dtype=bool)
        flags[self.rows] = True
        return flags

    @cached_property
    def selector(self) -> Any:
        """For FAISS, which only reads it: threads may share it, though not the parameters that name it."""
        return faiss.IDSelectorBitmap(np.packbits(self.mask, bitorder="little"))  # type: ignore[call-arg,arg-type]

    @cached_property
    def by_list(self) -> Int64:
        """How many of the rows each coarse list (nlist,) holds."""
        assert self.list_starts is not None
        return np.diff(np.searchsorted(self.rows, self.list_starts)).astype(np.int64)

    def fills_lists(self, share: float) -> Mask:
        """Of which coarse lists (nlist,) at least that share of the rows, above 0, is in the set."""
        assert self.list_starts is not None
        return np.asarray((self.by_list > 0) & (self.by_list >= share * np.diff(self.list_starts)))

    def keep(self, rows: Int64) -> Int64:
        """Those of the given rows that are in the set."""
        there = self.mask[rows]
        return rows if there.all() else rows[there]
