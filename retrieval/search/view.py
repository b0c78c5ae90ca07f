"""A base with a delta laid over it, searched as one: what offline checks before it publishes, and online serves.

    view = View.of(open_build(folder), open_delta(delta_folder, base.manifest))
    scores, rows, plan = view.search_planned(unit_vector, 10, view.manifest.photo_search)
    view.items.take(rows)                                        # as they are now

Rows are numbered on: row i of the delta's new rows is `base.rows + i`. Tombstoned rows keep their numbers and are never
found. The base stays open as it is, so the next delta can be laid over the same one.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from retrieval.arrays import Float32, Int64, Mask
from retrieval.items.layered import LayeredItems
from retrieval.search.deltas import Delta
from retrieval.search.exact import best_k
from retrieval.search.planner import BEST_ROWS, Plan, Stage
from retrieval.search.row_sets import RowSet
from retrieval.search.segments import QueryKind, Segment, stack_answers
from schemas.manifest import Manifest, SearchParameters

ROOM_PART = 4
"""Without filters as many more rows are looked for, a quarter, in case some are dead."""

DEAD_AMONG_BEST_MAX = 5
"""With more dead rows than this before the tenth live one, the neighbourhood of the query was deleted."""


@dataclass(frozen=True)
class View:
    """`base` is whole; `living` is the base without what the delta's tombstones name; `new` holds the delta's rows."""

    base: Segment
    living: Segment
    delta: Delta | None
    items: LayeredItems

    @classmethod
    def of(cls, base: Segment, delta: Delta | None = None) -> "View":
        if delta is None:
            return cls(base, base, None, LayeredItems.of(base.items))
        new = None if delta.segment is None else delta.segment.items
        items = LayeredItems(base.items, delta.changed_rows, delta.changes, new)
        return cls(base, base.without(delta.tombstones), delta, items)

    @property
    def manifest(self) -> Manifest:
        """The base's."""
        return self.base.manifest

    @property
    def new(self) -> Segment | None:
        return None if self.delta is None else self.delta.segment

    @property
    def rows(self) -> int:
        """How many rows there are, dead ones too."""
        return self.base.rows + (0 if self.new is None else self.new.rows)

    @property
    def live_rows(self) -> int:
        return self.living.live_rows + (0 if self.new is None else self.new.rows)

    @cached_property
    def live_mask(self) -> Mask | None:
        """Which rows (rows,) are live; None where all are."""
        of_base = self.living.live_mask
        return None if of_base is None else np.concatenate([of_base, np.ones(self.rows - self.base.rows, dtype=bool)])

    def vectors_of(self, rows: Int64) -> Float32:
        """The stored vectors (n, dimension) float32 of the rows (n,), which may be dead."""
        if self.new is None:
            return np.asarray(self.base.vectors[rows], dtype=np.float32)
        found = np.empty((len(rows), self.manifest.dimension), np.float32)
        is_new = rows >= self.base.rows
        found[~is_new] = self.base.vectors[rows[~is_new]]
        found[is_new] = self.new.vectors[rows[is_new] - self.base.rows]
        return found

    def vector_of(self, row: int) -> Float32:
        """The unit vector (dimension,) float32 of a row. Raises IndexError."""
        if row < self.base.rows or self.new is None:
            return self.base.vector_of(row)
        return self.new.vector_of(row - self.base.rows)

    def search(
        self, unit_vectors: Float32, k: int, kind: QueryKind = "photo", *, rows: Int64 | None = None
    ) -> tuple[Float32, Int64]:
        """As `Segment.search`, over both parts: scores (n, k) and rows (n, k), -inf and -1 where there are fewer."""
        if self.delta is None:
            return self.base.search(unit_vectors, k, kind, rows=rows)
        parameters = self.manifest.text_search if kind == "text" else self.manifest.photo_search
        mask = None if rows is None else RowSet.of_rows(rows, self.rows, None).mask
        return stack_answers([self.search_planned(query, k, parameters, mask)[:2] for query in unit_vectors], k)

    def search_planned(
        self, query: Float32, k: int, parameters: SearchParameters, mask: Mask | None = None, probe_factor: int = 1,
        stage: Stage = nullcontext, mixed: bool = False,
    ) -> tuple[Float32, Int64, Plan]:  # fmt: skip
        """As `Segment.search_planned`, over both parts; the plan is the base's, and says what the delta did."""
        in_base, in_new = self._split(mask)
        scores, found, plan = self._search_base(query, k, parameters, in_base, probe_factor, stage, mixed)
        if self.new is None:
            return scores, found, plan
        # Without filters the new rows are looked for as far out as the base's were.
        probes = parameters.nprobe if mask is not None else plan.nprobe or self.rows
        in_delta = SearchParameters(nprobe=probes)
        new_scores, new_rows, new_plan = self.new.search_planned(query, k, in_delta, in_new, 1, stage, mixed)
        scores, found = self._merge((scores, found), (new_scores, new_rows), k)
        return scores, found, _describe(plan, new_plan, len(found))

    def _search_base(
        self, query: Float32, k: int, parameters: SearchParameters, mask: Mask | None, probe_factor: int, stage: Stage,
        mixed: bool,
    ) -> tuple[Float32, Int64, Plan]:  # fmt: skip
        """Without filters all rows are searched as if none had died, and the dead are dropped: that costs next to nothing.

        Where many of the best were dead, or too few are left, lists are probed for live rows alone, further out.
        """
        live = self.living.live
        if mask is None and live is not None and not self.base.is_exact:
            room = k // ROOM_PART + BEST_ROWS
            scores, found, plan = self.base.search_planned(
                query, k + room, parameters, None, probe_factor, stage, mixed
            )
            places = np.flatnonzero(live.mask[found])[:k]
            best = min(k, BEST_ROWS)
            if len(places) == k and places[best - 1] < best + DEAD_AMONG_BEST_MAX:
                return scores[places], found[places], replace(plan, rows_matched=len(live))
        return self.living.search_planned(query, k, parameters, mask, probe_factor, stage, mixed)

    def scan(self, query: Float32, k: int, mask: Mask) -> tuple[Float32, Int64]:
        """As `Segment.scan`, over both parts."""
        in_base, in_new = self._split(mask)
        assert in_base is not None
        found = self.living.scan(query, k, in_base)
        if self.new is None or in_new is None:
            return found
        return self._merge(found, self.new.scan(query, k, in_new), k)

    def _split(self, mask: Mask | None) -> tuple[Mask | None, Mask | None]:
        """Which rows of the base, and which of the delta's segment."""
        if mask is None or self.new is None:
            return mask, None
        return mask[: self.base.rows], mask[self.base.rows :]

    def _merge(self, of_base: tuple[Float32, Int64], of_new: tuple[Float32, Int64], k: int) -> tuple[Float32, Int64]:
        scores = np.concatenate([of_base[0], of_new[0]])[np.newaxis]
        rows = np.concatenate([of_base[1], of_new[1] + self.base.rows])[np.newaxis]
        scores, rows = best_k(scores, rows, k)
        return scores[0], rows[0]


def _describe(of_base: Plan, of_new: Plan, candidates: int) -> Plan:
    """One plan for both parts: the base's, unless only the delta had anything to search."""
    leading = of_new if of_base.path == "nothing" else of_base
    return replace(
        leading,
        why=f"{of_base.why}; among the delta's new rows: {of_new.why}",
        rows_matched=of_base.rows_matched + of_new.rows_matched,
        nprobe=max(of_base.nprobe, of_new.nprobe),
        candidates=candidates,
    )
