"""A set of a segment's rows that a search is limited to, in the forms that FAISS and the planner want."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Int64, Mask

_WORD_BITS = 64


@dataclass(frozen=True)
class RowSet:
    """`mask` (rows,) says which of a segment's rows are in it; `list_starts` (nlist + 1,) is None for an exact index.

    The other forms are made when first asked for, and kept: a set of live rows serves every search of its segment. All
    come from bits, of which ten million are counted in a millisecond; row numbers are written out only where needed.
    """

    mask: Mask
    list_starts: Int64 | None

    @classmethod
    def of_rows(cls, rows: Int64, total: int, list_starts: Int64 | None) -> Self:
        """Of row numbers, of `total`."""
        mask = np.zeros(total, dtype=bool)
        mask[rows] = True
        return cls(mask, list_starts)

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _count(self) -> int:
        return int(np.count_nonzero(self.mask))

    @property
    def total(self) -> int:
        return len(self.mask)

    @cached_property
    def rows(self) -> Int64:
        """Their numbers, sorted."""
        return np.flatnonzero(self.mask).astype(np.int64, copy=False)

    @cached_property
    def _bits(self) -> NDArray[np.uint8]:
        """A bit for each row, padded to whole words."""
        bits = np.zeros(-(-self.total // _WORD_BITS) * _WORD_BITS // 8 + 8, np.uint8)
        packed = np.packbits(self.mask, bitorder="little")
        bits[: len(packed)] = packed
        return bits

    @cached_property
    def selector(self) -> Any:
        """For FAISS, which only reads it: threads may share it, though not the parameters that name it."""
        return faiss.IDSelectorBitmap(self._bits)  # type: ignore[call-arg,arg-type]

    @cached_property
    def by_list(self) -> Int64:
        """How many of the rows each coarse list (nlist,) holds."""
        assert self.list_starts is not None
        words = self._bits.view("<u8")
        before = np.concatenate([[0], np.cumsum(np.bitwise_count(words), dtype=np.int64)])
        place, bit = np.divmod(self.list_starts, _WORD_BITS)
        below = words[place] & ((np.uint64(1) << bit.astype(np.uint64)) - np.uint64(1))
        return np.asarray(np.diff(before[place] + np.bitwise_count(below)), dtype=np.int64)

    @cached_property
    def list_sizes(self) -> Int64:
        """How many rows each coarse list (nlist,) holds, whether they are in the set or not."""
        assert self.list_starts is not None
        return np.diff(self.list_starts)

    def rows_of_lists(self, lists: Int64) -> Int64:
        """The numbers of the rows that the coarse lists (m,) hold, sorted."""
        assert self.list_starts is not None
        lists = np.sort(lists)
        starts, stops = self.list_starts[lists], self.list_starts[lists + 1]
        spans = zip(starts.tolist(), stops.tolist(), strict=True)
        places = np.flatnonzero(np.concatenate([self.mask[:0], *(self.mask[start:stop] for start, stop in spans)]))
        before = np.cumsum(stops - starts) - (stops - starts)
        return np.asarray(places + np.repeat(starts - before, self.by_list[lists]), dtype=np.int64)

    def lists_of(self, rows: Int64) -> Int64:
        """The coarse list of each of the rows (n,)."""
        assert self.list_starts is not None
        return np.searchsorted(self.list_starts, rows, side="right") - 1

    def sample(self, count: int) -> Int64:
        """About so many of the rows, from all over the set, sorted."""
        step = max(1, len(self) // count)
        rows = np.flatnonzero(self.mask[::step]) * step
        if len(rows) < min(count, len(self)) // 2:  # the set avoids the rows at these distances, as every other row may
            rows = self.rows[::step]
        return rows

    def lists_filled(self, share: float) -> Mask:
        """Of which coarse lists (nlist,) at least that share of the rows, above 0, is in the set."""
        return np.asarray((self.by_list > 0) & (self.by_list >= share * self.list_sizes))
