"""Candidates for k groups of variants: wider and wider searches, until k groups are among them or there are no more."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Float32, Int64, Mask
from retrieval.items.codes import Codes
from retrieval.search.match_scan import ALL_READ_MAX
from retrieval.search.planner import Plan, Stage
from schemas.manifest import SearchParameters

WIDTHS = (500, 2_000)
PROBES_WIDENED = 4
"""A wider search probes as many times more lists."""


@dataclass(frozen=True)
class Candidates:
    """The rows that ranking chooses from: `scores` (n,) float32 cosines, best first, and `rows` (n,) int64.

    `complete` says that they are all the rows there are under the filters.
    """

    scores: Float32
    rows: Int64
    plan: Plan
    complete: bool

    def at_least(self, score: float | None) -> "Candidates":
        """Those that score as much, as answers show it: a score that was shown is reached by what had it. All of them
        where nothing is asked."""
        if score is None:
            return self
        kept = int(np.count_nonzero(shown_scores(self.scores) >= score))
        # Where every row was scored, those that did not come are poorer than those that did.
        all_scored = self.plan.path == "exact" or (not self.plan.nprobe and self.plan.rows_matched <= ALL_READ_MAX)
        complete = self.complete or (all_scored and kept < len(self.scores))
        return replace(self, scores=self.scores[:kept], rows=self.rows[:kept], complete=complete)


def shown_scores(scores: Float32) -> NDArray[np.float64]:
    """Cosines (n,) as answers show them: to six decimals, and never beyond 1, though kept vectors are rounded and may be a
    little longer."""
    return np.clip(np.round(scores.astype(np.float64), 6), -1, 1)


class Searchable(Protocol):
    """What candidates are found in: a `Segment`, or a `View` of one under a delta."""

    @property
    def rows(self) -> int: ...

    @property
    def live_rows(self) -> int: ...

    @property
    def live_mask(self) -> Mask | None: ...

    def search_planned(
        self, query: Float32, k: int, parameters: SearchParameters, mask: Mask | None = None, probe_factor: int = 1,
        stage: Stage = nullcontext, mixed: bool = False,
    ) -> tuple[Float32, Int64, Plan]: ...  # fmt: skip

    def scan(self, query: Float32, k: int, mask: Mask) -> tuple[Float32, Int64]: ...


def find_candidates(
    segment: Searchable,
    unit_vector: Float32,
    groups_wanted: int,
    groups: Codes,
    parameters: SearchParameters,
    mask: Mask | None = None,
    hidden_groups: NDArray[np.int32] | None = None,
    stage: Stage = nullcontext,
    *,
    mixed: bool = False,
) -> Candidates:
    """The nearest rows to a query (dimension,), of at least `groups_wanted` groups wherever so many exist.

    `groups` (rows,) numbers the group of each row; rows of `hidden_groups` are left out; `mask` (rows,) says which rows
    may be found at all. `stage` surrounds what is planned and what is searched. `mixed` says that the query is mixed of
    several, so that its neighbours are not where the probes were tuned.
    """
    live, matched = segment.live_mask, segment.live_rows
    if mask is not None:
        with stage("plan"):
            mask = mask if live is None else mask & live
            matched = int(np.count_nonzero(mask))
    hidden = np.empty(0, np.int32) if hidden_groups is None else hidden_groups
    for step, width in enumerate(WIDTHS):
        scores, found, plan = segment.search_planned(
            unit_vector, min(width + 2 * len(hidden), matched), parameters, mask, PROBES_WIDENED**step, stage, mixed
        )
        complete = len(found) == matched
        kept = ~np.isin(groups[found], hidden)
        scores, found = scores[kept], found[kept]
        if complete or _count(groups, found) >= groups_wanted:
            return Candidates(scores, found, replace(plan, candidates=len(found)), complete)
    with stage("search"):
        allowed = next((known for known in (mask, live) if known is not None), np.ones(segment.rows, dtype=bool))
        return _scan_for_groups(segment, unit_vector, groups_wanted, groups, _without(allowed, groups, hidden), matched)


def _scan_for_groups(
    segment: Searchable, unit_vector: Float32, groups_wanted: int, groups: Codes, allowed: Mask, matched: int
) -> Candidates:
    """Score every allowed row, and again without the groups found, until there are enough groups or no more rows.

    A crowd of photos of one group takes one pass; each pass finds the best rows of groups that no pass found before.
    """
    scores, rows = np.empty(0, np.float32), np.empty(0, np.int64)
    complete = False
    while not complete and _count(groups, rows) < groups_wanted:
        left = int(np.count_nonzero(allowed))
        more_scores, more = segment.scan(unit_vector, min(WIDTHS[-1], left), allowed)
        complete = len(more) == left
        scores, rows = np.concatenate([scores, more_scores]), np.concatenate([rows, more])
        allowed = _without(allowed, groups, groups[more])
    why = f"candidates of {WIDTHS[-1]} rows held fewer than {groups_wanted} groups: {matched} rows are scanned"
    return Candidates(scores, rows, Plan("scan_all", why, matched, candidates=len(rows)), complete)


def _count(groups: Codes, rows: Int64) -> int:
    return len(np.unique(groups[rows]))


def _without(allowed: Mask, groups: Codes, refused: NDArray[np.int32]) -> Mask:
    if not len(refused):
        return allowed
    # A group whose last row moved to another may be refused still.
    table = np.zeros(max(int(groups.max()), int(refused.max())) + 1, dtype=bool)
    table[refused] = True
    return np.asarray(allowed & ~table[groups])
