"""The best matches of a filter, found list by list from the query outwards, until no list left can hold one of them.

A row scores what its list's centroid scores, and what it differs from the centroid adds to that: for one query the
differences of rows from all over the set are much alike. So a few hundred rows say how far above its centroid a row may
score; once the best found lie higher than that above the next centroid, the rest need not be read. Filters that lie far
from the query are answered from a small part of their matches.

Where many matches lie together, RaBitQ's small codes are passed over (`coded_scan`); an index of whole vectors (fp16) has them
beside it. Elsewhere whole vectors are read: where an index has them, FAISS passes over lists of which a good part matches, with a
selector; the other matches are read one by one.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Float32, Int64, Mask
from retrieval.search.coded_scan import CODES_A_ROW, CodedScan
from retrieval.search.found import Found, best_of, least_of_best
from retrieval.search.list_scan import scan_lists
from retrieval.search.nearness import Nearness
from retrieval.search.planner import BEST_ROWS
from retrieval.search.row_scan import scan_rows
from retrieval.search.row_sets import RowSet

ALL_READ_MAX = 2_000
"""So few matches are all read: to choose among them would take as long."""

SAMPLED_ROWS = 500

SPREADS_ABOVE = 7.0
"""No row is expected to score higher above its list's centroid than this many times what sampled rows do on average."""

ROWS_THAT_TELL = 20_000
ABOVE_HIGHEST = 1.3
SPREADS_ABOVE_MIN, SPREADS_ABOVE_MAX = 5.0, 14.0
"""After so many matches the highest that any of the best came above its centroid tells more than a sample: the next is
expected to come no higher than three tenths more. A fifth more, which would do for a normal tail, lost one in forty of the
best ten of ten million products. It is never taken for lower than the least of spreads, nor higher than the greatest: under
filters that leave whole lists out, the best rows lie in a few wide ones, as far as that above."""

FIRST_ROWS = 4_000
GROWTH = 3
CODED_GROWTH = 16
STRIDE_ROWS = 360_000
"""The nearest lists are read first, until so many matches were; then as many times more, and so on: in longer strides
where small codes are read. Of a stride of a million, more estimates would have to be kept than a pass keeps at first, and
all its codes be passed over again."""

CODES_LEAST = 100_000
"""So many small codes of the nearest lists are read at least, in two milliseconds: before there are best rows of a few wide lists,
the highest of what was read says nothing of them."""

MATCHES_MOST, MATCHES_SHARE = 1_000_000, 0.2
"""So many of the nearest matches are read at most, or that share of them where it is more: what no margin ends would be a scan
of the whole index. Of ten million products under a filter that lets the far half through, none of the best lay further."""

PASS_SHARE = 0.25
"""Where that share of a list matches, passing over all of it with a selector is sooner than reading the matches."""


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

    def best(self, k: int, probed: int = 0, found: Found | None = None) -> Found:
        """The k best, or all matches where there are no more; only the first BEST_ROWS of them are sure to be.

        `found` are the k best of the `probed` nearest lists, where those were read before.
        """
        seen = np.concatenate([[0], np.cumsum(self.chosen.by_list[self.lists])])
        growth = GROWTH if self.estimates is None else CODED_GROWTH
        answers: list[Found] = [] if found is None else [found]
        start, end = int(np.count_nonzero(self.chosen.by_list[self.nearness.order[:probed]])), len(self.lists)
        last = int(np.searchsorted(seen, max(MATCHES_MOST, MATCHES_SHARE * len(self.chosen))))
        least = self._lists_read_at_least()
        wanted, floor, error, spread = int(seen[start]) + max(FIRST_ROWS, k), -np.inf, np.inf, self._spread()
        while True:
            if sum(len(scores) for scores, _ in answers) >= k:  # until then every list is read
                floor = least_of_best(answers, min(k, BEST_ROWS))
                in_reach = np.count_nonzero(self.near + self._margin(spread, answers, int(seen[start])) >= floor)
                end = min(max(int(in_reach), least), last)
                wanted = min(growth * int(seen[start]), int(seen[start]) + STRIDE_ROWS)
            if start >= end:
                return best_of(answers, k)
            stop = min(int(np.searchsorted(seen, wanted)), end)
            more, error = self._scan_lists(slice(start, stop), k, floor, error)
            answers += more
            start = stop

    def _lists_read_at_least(self) -> int:
        """How many of the nearest lists are read whatever the margin says: none where whole vectors are, which takes long."""
        if self.estimates is None:
            return 0
        codes = np.cumsum(self.chosen.list_sizes[self.lists])
        least = int(np.searchsorted(codes, CODES_LEAST))
        least_matches = int(self.chosen.by_list[self.lists[:least]].sum())
        return least if least and codes[least - 1] <= CODES_A_ROW * least_matches else 0

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
        return min(SPREADS_ABOVE_MAX * spread, max(SPREADS_ABOVE_MIN * spread, ABOVE_HIGHEST * highest))

    def _scan_lists(self, part: slice, k: int, floor: float, error: float) -> tuple[list[Found], float]:
        """Answers that hold the k best of some lists, and the error of estimates; what scores below `floor` need not be among
        them."""
        lists = self.lists[part]
        if self._coded is not None:
            wanted, codes = int(self.chosen.by_list[lists].sum()), int(self.chosen.list_sizes[lists].sum())
            estimated = self._coded.best(lists, self.near[part], wanted, codes, k, floor, error)
            if estimated is not None:
                return [estimated[0]], estimated[1]
        return self._scan_whole_vectors(lists, k), error

    @cached_property
    def _coded(self) -> CodedScan | None:
        if self.estimates is None:
            return None
        return CodedScan(self.estimates, self.vectors, self.query, self._selector, self.rerank)

    @property
    def _selector(self) -> Any | None:
        return self.chosen.selector if len(self.chosen) < self.chosen.total else None

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
            answers.append(scan_lists(self.index, self.query, k, lists[is_dense], near, self._selector))
        return answers

    @cached_property
    def _dense(self) -> Mask:
        """Which of all lists (nlist,) are passed over."""
        return self.chosen.lists_filled(PASS_SHARE)


def scan_matches(
    index: Any,
    estimates: Any | None,
    vectors: NDArray[np.float16],
    query: Float32,
    k: int,
    chosen: RowSet,
    rerank: int = 0,
    nearness: Nearness | None = None,
    probed: int = 0,
    found: Found | None = None,
) -> Found:
    """The k best of `chosen` for one query (dimension,) of unit length: scores (m,) float32, best first, and rows (m,)
    int64, m = min(k, chosen). The first BEST_ROWS are those of brute force, but for what estimates and samples may miss.

    `found` are the k best of the `probed` nearest lists, where those were searched before.
    """
    if chosen.list_starts is None or len(chosen) <= max(k, ALL_READ_MAX):
        return scan_rows(vectors, query, k, chosen.rows)
    query = np.ascontiguousarray(query, np.float32)
    scan = MatchScan(index, estimates, vectors, query, chosen, rerank, nearness or Nearness(index, query))
    return scan.best(k, probed, found)
