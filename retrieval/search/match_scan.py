"""The best matches of a filter, found list by list from the query outwards, until no list left can hold one of them.

A row scores what its list's centroid scores, and what it differs from the centroid adds to that: for one query the
differences of rows from all over the set are much alike. So a few hundred rows say how far above its centroid a row may
score; once the best found lie higher than that above the next centroid, the rest need not be read. Filters that lie far
from the query are answered from a small part of their matches.

RaBitQ's codes are small and its scores are estimates: they are passed over where many matches lie together, and the best
of them scored exactly: as many as it takes until none of the others can be among the best. An index of whole vectors
(fp16) has them beside it. Elsewhere whole vectors are read: where an index has them, FAISS passes over lists of which a good
part matches, with a selector; the other matches are read one by one.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Float32, Int64, Mask
from retrieval.search.exact import NO_ROW
from retrieval.search.nearness import Nearness
from retrieval.search.planner import BEST_ROWS
from retrieval.search.row_scan import scan_rows
from retrieval.search.row_sets import RowSet

Found = tuple[Float32, Int64]

ALL_READ_MAX = 2_000
"""So few matches are all read: to choose among them would take as long."""

SAMPLED_ROWS = 500

SPREADS_ABOVE = 7.0
"""No row is expected to score higher above its list's centroid than this many times what sampled rows do on average."""

ROWS_THAT_TELL = 20_000
ABOVE_HIGHEST = 1.2
SPREADS_ABOVE_MIN = 5.0
"""After so many matches the highest that any of the best came above its centroid tells more than a sample: the next is
expected to come no higher than a fifth more, and fifty times the rows would add less than that to a normal tail. It is
never taken for lower than the least of spreads."""

FIRST_ROWS = 4_000
GROWTH = 3
CODED_GROWTH = 16
"""The nearest lists are read first, until so many matches were; then as many times more, and so on: in longer strides
where small codes are read."""

PASS_SHARE = 0.25
"""Where that share of a list matches, passing over all of it with a selector is sooner than reading the matches."""

CODES_A_ROW = 8
"""As many RaBitQ codes are passed over in the time of reading one whole row somewhere."""

CODED_ROWS_MIN = 20_000
RERANK_FACTOR = 2
"""Matches that lie far from the query score alike. Where as many as tuned do not settle which are the best, at least as
many times more are scored exactly."""

ESTIMATES_KEPT = 4
KEPT_SHARE, KEPT_LEAST, KEPT_MOST = 0.04, 4_000, 12_000
"""Of a pass over the codes, as many times the estimates that are scored at first, and that share of the matches within these
bounds: a second pass takes as long again, and to keep more slows the first."""

EXACT_SHARE = 0.3
"""Rather than score a greater share of the matches exactly after a pass over the codes, all of them are."""

SPARE = 1.25
MOST_FOLDS = 20.0
"""How many more are needed is reckoned from the estimates at hand, with a quarter to spare, and within reason."""

ERRORS_APART = 3.0
"""A match left out must seem worse than the tenth best by as many standard errors of the estimates: of a thousand of the
best, one may be left out so."""


@dataclass(frozen=True)
class MatchScan:
    """One query's scan of the rows `chosen`; `rerank` is what was tuned for the index.

    `estimates` has RaBitQ codes in the same lists: another index than `index`, or the same where that is its kind; None
    for a build without. `nearness` is that of all coarse lists; `lists` (m,) int64 are those that hold matches, the nearest
    first, and `near` (m,) float32 is what their centroids score.
    """

    index: Any
    estimates: Any | None
    vectors: NDArray[np.float16]
    query: Float32
    chosen: RowSet
    rerank: int
    nearness: Nearness

    @cached_property
    def lists(self) -> Int64:
        order = self.nearness.order
        return order[self.chosen.by_list[order] > 0]

    @cached_property
    def near(self) -> Float32:
        return self.nearness.scores[self.lists]

    def best(self, k: int) -> Found:
        """The k best, or all matches where there are no more; only the first BEST_ROWS of them are sure to be."""
        seen = np.cumsum(self.chosen.by_list[self.lists])
        growth = GROWTH if self.estimates is None else CODED_GROWTH
        answers: list[Found] = []
        start, end, wanted, floor, spread = 0, len(seen), max(FIRST_ROWS, k), -np.inf, self._spread()
        while start < end:
            stop = min(int(np.searchsorted(seen, wanted)) + 1, end)
            answers += self._scan_lists(slice(start, stop), k, floor)
            floor = _least_of_best(answers, min(k, BEST_ROWS))
            if sum(len(scores) for scores, _ in answers) >= k:  # until then every list is read
                margin = self._margin(spread, answers, int(seen[stop - 1]))
                end = int(np.count_nonzero(self.near + margin >= floor))
            start, wanted = stop, growth * int(seen[stop - 1])
        return _best_of(answers, k)

    def _spread(self) -> float:
        """How far above or below its centroid a match scores, the root of the mean square: of matches at equal distances all
        over the index."""
        sampled = self.chosen.sample(SAMPLED_ROWS)
        scores, rows = scan_rows(self.vectors, self.query, len(sampled), sampled)
        above = scores - self.nearness.scores[self.chosen.lists_of(rows)]
        return float(np.sqrt(np.mean(above**2)))

    def _margin(self, spread: float, answers: list[Found], rows_read: int) -> float:
        """How far above its centroid a match that was not read yet may score."""
        if rows_read < ROWS_THAT_TELL:
            return SPREADS_ABOVE * spread
        highest = max(
            float(np.max(scores - self.nearness.scores[self.chosen.lists_of(rows)], initial=0))
            for scores, rows in answers
        )
        return min(SPREADS_ABOVE * spread, max(SPREADS_ABOVE_MIN * spread, ABOVE_HIGHEST * highest))

    def _scan_lists(self, part: slice, k: int, floor: float) -> list[Found]:
        """Answers that hold the k best of some lists; what scores below `floor` need not be among them."""
        lists = self.lists[part]
        estimated = self._scan_small_codes(lists, self.near[part], k, floor)
        return self._scan_whole_vectors(lists, k) if estimated is None else [estimated]

    def _scan_whole_vectors(self, lists: Int64, k: int) -> list[Found]:
        if self.index is self.estimates:
            return [scan_rows(self.vectors, self.query, k, self.chosen.rows_of_lists(lists))]
        is_dense = self._dense[lists]
        answers = []
        if not is_dense.all():
            rows = self.chosen.rows_of_lists(lists[~is_dense])
            answers.append(scan_rows(self.vectors, self.query, k, rows))
        if is_dense.any():
            # What the centroids score does not matter to whole vectors.
            near = np.zeros(np.count_nonzero(is_dense), np.float32)
            answers.append(self._pass_over(self.index, lists[is_dense], near, k))
        return answers

    @cached_property
    def _dense(self) -> Mask:
        """Which of all lists (nlist,) are passed over."""
        return self.chosen.lists_filled(PASS_SHARE)

    def _scan_small_codes(self, lists: Int64, near: Float32, k: int, floor: float) -> Found | None:
        """None where whole vectors are sooner read."""
        matched = int(self.chosen.by_list[lists].sum())
        if self.estimates is None or matched < CODED_ROWS_MIN or not self._lie_together(lists, matched):
            return None
        # Where a floor is known, the estimates say how many lie above it; else as many are scored as were tuned.
        k, scored = min(k, matched), k if floor > -np.inf else max(k, self.rerank)
        while scored <= EXACT_SHARE * matched:
            share = min(max(int(KEPT_SHARE * matched), KEPT_LEAST), KEPT_MOST)
            estimates, found = self._pass_over(self.estimates, lists, near, max(ESTIMATES_KEPT * scored, share))
            done, answer = scored, self._score(found[:scored])
            needed = _estimates_needed(estimates, found[:done], answer, self._least(answer, k, floor))
            if needed > len(found):
                # What else was kept may raise the bar, and is sooner scored than the codes are passed over again.
                done, answer = len(found), _best_of([answer, self._score(found[scored:])], len(found))
                needed = _estimates_needed(estimates, found, answer, self._least(answer, k, floor))
            if needed <= len(found):
                return _best_of([answer, self._score(found[done:needed])], k)
            scored = max(RERANK_FACTOR * scored, needed)
        return None

    def _least(self, answer: Found, k: int, floor: float) -> float:
        """What a match must score to be among the best."""
        return max(floor, _least_of_best([answer], min(k, BEST_ROWS)))

    def _score(self, rows: Int64) -> Found:
        """All of the rows by their exact scores."""
        return scan_rows(self.vectors, self.query, len(rows), np.sort(rows))

    def _lie_together(self, lists: Int64, matched: int) -> bool:
        assert self.chosen.list_starts is not None
        return bool(np.diff(self.chosen.list_starts)[lists].sum() <= CODES_A_ROW * matched)

    def _pass_over(self, index: Any, lists: Int64, near: Float32, k: int) -> Found:
        """As FAISS's search of the given lists of `index`, `near` the centroids' scores: without gaps."""
        selector = {"sel": self.chosen.selector} if len(self.chosen) < self.chosen.total else {}
        made = faiss.SearchParametersIVF(nprobe=len(lists), **selector)  # type: ignore[call-arg]
        scores, found = np.empty(k, np.float32), np.empty(k, np.int64)
        lists, near = np.ascontiguousarray(lists, np.int64), np.ascontiguousarray(near, np.float32)
        places = [faiss.swig_ptr(array) for array in (lists, near, scores, found)]
        # By its C++ name: the Python one takes no parameters.
        index.search_preassigned_c(1, faiss.swig_ptr(self.query), k, *places, False, made)
        there = found != NO_ROW
        return scores[there], found[there]


def scan_matches(
    index: Any,
    estimates: Any | None,
    vectors: NDArray[np.float16],
    query: Float32,
    k: int,
    chosen: RowSet,
    rerank: int = 0,
    nearness: Nearness | None = None,
) -> Found:
    """The k best of `chosen` for one query (dimension,) of unit length: scores (m,) float32, best first, and rows (m,)
    int64, m = min(k, chosen). The first BEST_ROWS are those of brute force, but for what estimates and samples may miss.
    """
    if chosen.list_starts is None or len(chosen) <= max(k, ALL_READ_MAX):
        return scan_rows(vectors, query, k, chosen.rows)
    query = np.ascontiguousarray(query, np.float32)
    return MatchScan(index, estimates, vectors, query, chosen, rerank, nearness or Nearness(index, query)).best(k)


def _best_of(answers: list[Found], k: int) -> Found:
    """Answers of different rows as one; equal scores in order of row."""
    scores, rows = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    order = np.lexsort((rows, -scores))[:k]
    return scores[order], rows[order]


def _least_of_best(answers: list[Found], count: int) -> float:
    """The lowest of the `count` best scores, or of all where there are no more."""
    best = np.concatenate([scores[:count] for scores, _ in answers])
    return float(np.sort(best)[-min(count, len(best))])


def _estimates_needed(estimates: Float32, found: Int64, scored: Found, least: float) -> int:
    """How many of the best `estimates` must be scored, so that none of the others scores `least`.

    The first of them, of the rows `found`, were: `scored`. Where more are needed than are here, estimates are taken to
    fall on with the logarithm of their rank.
    """
    exact = scored[0][np.argsort(scored[1])]
    error = float(np.std(exact - estimates[: len(found)][np.argsort(found)]))
    least, last, middle = least - ERRORS_APART * error, float(estimates[-1]), float(estimates[len(estimates) // 2])
    if last < least:
        return int(np.count_nonzero(estimates >= least))
    slope = max((middle - last) / np.log(2), 1e-6)
    return int(len(estimates) * np.exp(min((last - least) / slope, MOST_FOLDS)) * SPARE)
