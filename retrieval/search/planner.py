"""How a search under filters is run, so that filters do not cost recall.

Few matching rows are scanned. For many, lists are probed with a selector, as long as the lists near the query
hold their share of the matches; probing then goes on until as many matches were seen as a search without filters sees
rows. Where the matches are elsewhere (filters opposed to the query), probing would read much of the index anyway, or the
best that it finds lie beyond the nearest quarter of the probed lists, the matches are scanned: from the query outwards, or
from where probing ended, until none that is left can be among the best (`match_scan`).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Path = Literal["nothing", "exact", "probe", "probe_more", "scan_few", "scan_all"]

Stage = Callable[[str], AbstractContextManager[Any]]
"""Surrounds a part of a search, plan or search, for whoever times them; `nullcontext` where nobody does."""

FEW_ROWS = 30_000
"""As many matching rows or fewer are scanned, in a few milliseconds; to probe for them would take as long."""

NEARBY_FACTOR = 4
"""The matches must begin to show within this many times the tuned probes."""

SHARE_MIN = 0.5
"""Of the matches expected in the probed lists, this share must be there."""

BEST_ROWS = 10
"""As many of the best rows must lie in the nearest of the probed lists."""

NEAREST_PART = 4
"""The nearest quarter of them: what a filter takes out round the query is noticed, and random filters rarely widen."""

PROBED_SHARE_MAX = 0.25
"""Beyond this share of the lists, scanning the matches costs no more than probing."""

MIXED_FACTOR = 4
"""A query that is mixed of several begins with as many times the tuned probes, and re-ranks as many times more: its best
rows lie between lists, and close together in score."""


@dataclass(frozen=True)
class Plan:
    """How one search was run, and why. `nprobe` is 0 where no lists were probed; `candidates` is how many rows came."""

    path: Path
    why: str
    rows_matched: int
    nprobe: int = 0
    candidates: int = 0


def plan_unfiltered(rows: int, nprobe: int, nlist: int) -> Plan:
    """`nlist` 0 stands for an exact index."""
    if not nlist:
        return Plan("exact", f"an exact index: all {rows} rows are scored", rows)
    if nprobe >= nlist:
        return Plan("scan_all", f"all {nlist} lists are probed", rows, nlist)
    return Plan("probe", f"no filters: {nprobe} of {nlist} lists, as tuned or widened", rows, nprobe)


def plan_among_live(
    live: int, nprobe: int, rows_by_nearness: NDArray[np.int64] | None, live_by_nearness: NDArray[np.int64] | None
) -> Plan:
    """The way to search a segment without filters of which `live` rows are left.

    Lists are probed until as many live rows were seen as the `nprobe` tuned lists hold rows, dead ones too. The counts
    (nlist,) are of all rows and of live ones in each list, the list nearest to the query first; None for an exact index.
    The path is "probe" where all rows of the tuned lists are live.
    """
    if live == 0:
        return Plan("nothing", "every row was deleted", 0)
    if rows_by_nearness is None or live_by_nearness is None:
        return Plan("exact", f"an exact index: all {live} live rows are scored", live)
    if live <= FEW_ROWS:
        return Plan("scan_few", f"{live} rows are live: scanned from the query outwards", live)
    nlist = len(rows_by_nearness)
    enough, seen = int(rows_by_nearness[:nprobe].sum()), np.cumsum(live_by_nearness)
    if seen[nprobe - 1] == enough:
        return plan_unfiltered(live, nprobe, nlist)
    wanted = int(np.searchsorted(seen, min(enough, live))) + 1
    if wanted > max(nprobe, PROBED_SHARE_MAX * nlist):
        return Plan("scan_all", f"{wanted} of {nlist} lists would be probed: {live} live rows are scanned", live)
    why = f"{wanted} of {nlist} lists instead of {nprobe}, until {enough} live rows were seen beside deleted ones"
    return Plan("probe_more", why, live, wanted)


def plan_filtered(
    matched: int, rows: int, nprobe: int, count_by_nearness: Callable[[], NDArray[np.int64]] | None
) -> Plan:
    """The way to search `matched` of `rows` rows.

    `count_by_nearness` gives the number of matches in each list (nlist,) int64, the list nearest to the query first;
    None for an exact index. `nprobe` is what was tuned without filters.
    """
    if matched == 0:
        return Plan("nothing", "no row passes the filters", 0)
    if matched <= FEW_ROWS:
        return Plan("scan_few", f"{matched} rows pass the filters: scanned from the query outwards", matched)
    if count_by_nearness is None:
        return Plan("exact", f"an exact index: each of {matched} rows that pass the filters is scored", matched)
    seen = np.cumsum(count_by_nearness())
    nlist = len(seen)
    near = _probes_where_matches_show(seen, matched, nprobe)
    if near is None:
        why = f"the lists near the query hold less than half of their share of {matched} matches: those are scanned"
        return Plan("scan_all", why, matched)
    enough = min(matched, int(np.ceil(nprobe * rows / nlist)))
    wanted = max(near, int(np.searchsorted(seen, enough)) + 1)
    if wanted > max(nprobe, PROBED_SHARE_MAX * nlist):
        return Plan("scan_all", f"{wanted} of {nlist} lists would be probed: {matched} matches are scanned", matched)
    if wanted == nprobe:
        return Plan(
            "probe", f"{matched} matches lie near the query: {nprobe} of {nlist} lists, as tuned", matched, nprobe
        )
    why = f"{wanted} of {nlist} lists instead of {nprobe}, until {enough} of {matched} matches were seen"
    return Plan("probe_more", why, matched, wanted)


def scan_beyond(plan: Plan, nlist: int) -> Plan:
    """The plan after one whose best rows lay far out among the probed lists: the matches are scanned."""
    why = f"the best matches lay far out among {plan.nprobe} of {nlist} lists: all {plan.rows_matched} are scanned"
    return Plan("scan_all", why, plan.rows_matched)


def widen_mixed(plan: Plan, nlist: int) -> Plan | None:
    """The plan after one without filters, for a mixed query whose best rows lay far out: twice the probes, up to a
    quarter of the lists; None where so many were probed, which has to do."""
    nprobe = min(2 * plan.nprobe, int(PROBED_SHARE_MAX * nlist))
    if nprobe <= plan.nprobe:
        return None
    why = f"no filters, a mixed query: {nprobe} of {nlist} lists, since the best rows lay far out among {plan.nprobe}"
    return Plan("probe_more", why, plan.rows_matched, nprobe)


def _probes_where_matches_show(seen: NDArray[np.int64], matched: int, nprobe: int) -> int | None:
    """The fewest probes, by doubling, that hold their share of the matches; None where they lie elsewhere."""
    probes = min(nprobe, len(seen))
    while probes <= min(NEARBY_FACTOR * nprobe, len(seen)):
        if seen[probes - 1] >= SHARE_MIN * matched * probes / len(seen):
            return probes
        probes *= 2
    return None
