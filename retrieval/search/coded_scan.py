"""The best rows of some coarse lists by RaBitQ's small codes: passed over for estimates of their scores, of which the best are
scored exactly: as many as it takes until none of the others can be among the best.

RaBitQ: Gao and Long 2024, arXiv:2405.12497, as FAISS has it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Float32, Int64
from retrieval.search.found import Found, best_of, least_of_best
from retrieval.search.list_scan import scan_lists, takes_lowest_scores
from retrieval.search.planner import BEST_ROWS
from retrieval.search.row_scan import scan_rows

CODED_ROWS_MIN = 3_000
CODES_A_ROW = 16
"""Where fewer rows are wanted, or they lie so far apart that more codes would be passed over for each, whole rows are sooner
read."""

RERANK_FACTOR = 2
"""Rows that lie far from the query score alike. Where as many as tuned do not settle which are the best, at least as many times
more are scored exactly."""

ESTIMATES_KEPT = 4
KEPT_SHARE, KEPT_LEAST, KEPT_MOST = 0.067, 2_000, 12_000
"""Of a pass over the codes, as many times the estimates that are scored at first, and that share of the rows within these
bounds: a second pass takes as long again, and to keep more slows the first, unless it is known how low they may be."""

EXACT_SHARE = 0.3
"""Rather than score a greater share of the rows exactly after a pass over the codes, all of them are."""

SPARE = 1.25
MOST_FOLDS = 20.0
"""How many more are needed is reckoned from the estimates at hand, with a quarter to spare, and within reason."""

ERRORS_APART = 3.0
"""A row left out must seem worse than the tenth best by as many standard errors of the estimates: of a thousand of the
best, one may be left out so."""


@dataclass(frozen=True)
class CodedScan:
    """`estimates` is an IVF index with RaBitQ codes of `vectors`, `selector` FAISS's set of the rows that may be found,
    None for all; `rerank` was tuned for the index."""

    estimates: Any
    vectors: NDArray[np.float16]
    query: Float32
    selector: Any | None
    rerank: int

    def best(
        self, lists: Int64, near: Float32, wanted: int, codes: int, k: int, floor: float, error: float
    ) -> tuple[Found, float] | None:
        """The k best of the lists, and the standard error of the estimates; None where whole rows are sooner read.

        Of the `codes` that the lists hold, `wanted` are of rows that may be found. Rows that score less than `floor`
        need not be among the best; `error` is that of a pass before, of the same query, infinite for the first.
        """
        if wanted < CODED_ROWS_MIN or codes > CODES_A_ROW * wanted:
            return None
        # Where a floor is known, the estimates say how many lie above it; else as many are scored as were tuned.
        k, scored = min(k, wanted), k if floor > -np.inf else max(k, self.rerank)
        lowest = floor - ERRORS_APART * error
        while scored <= EXACT_SHARE * wanted:
            kept = self._kept(scored, wanted, lowest)
            estimates, rows = scan_lists(self.estimates, self.query, kept, lists, near, self.selector, lowest)
            done, answer = scored, self._score(rows[:scored])
            if len(rows) <= done:  # nothing else reaches the floor
                return (answer[0][:k], answer[1][:k]), error
            error = _error_of(estimates, rows, answer)
            needed = self._needed(estimates, answer, k, floor, error)
            if needed > len(rows) == kept:
                # What else was kept may raise the bar, and is sooner scored than the codes are passed over again.
                done, answer = kept, best_of([answer, self._score(rows[done:])], kept)
                needed = self._needed(estimates, answer, k, floor, error)
            if needed <= kept or len(rows) < kept:
                return best_of([answer, self._score(rows[done:needed])], k), error
            scored = max(RERANK_FACTOR * scored, needed)
        return None

    def _kept(self, scored: int, wanted: int, lowest: float) -> int:
        if lowest > -np.inf and takes_lowest_scores(self.estimates):
            return max(ESTIMATES_KEPT * scored, KEPT_MOST)
        return max(ESTIMATES_KEPT * scored, min(max(int(KEPT_SHARE * wanted), KEPT_LEAST), KEPT_MOST))

    def _needed(self, estimates: Float32, answer: Found, k: int, floor: float, error: float) -> int:
        """How many of the best estimates must be scored, so that none of the others is among the best."""
        least = max(floor, least_of_best([answer], min(k, BEST_ROWS)))
        return _estimates_above(estimates, least - ERRORS_APART * error)

    def _score(self, rows: Int64) -> Found:
        """All of the rows by their exact scores."""
        return scan_rows(self.vectors, self.query, len(rows), np.sort(rows))


def _error_of(estimates: Float32, rows: Int64, scored: Found) -> float:
    """The standard error of the first `estimates`, those of the rows that were scored exactly."""
    count = len(scored[1])
    exact = scored[0][np.argsort(scored[1])]
    return float(np.std(exact - estimates[:count][np.argsort(rows[:count])]))


def _estimates_above(estimates: Float32, lowest: float) -> int:
    """How many estimates reach `lowest`. Where the worst of those at hand does, further ones are taken to fall on with the
    logarithm of their rank."""
    last, middle = float(estimates[-1]), float(estimates[len(estimates) // 2])
    if last < lowest:
        return int(np.count_nonzero(estimates >= lowest))
    slope = max((middle - last) / np.log(2), 1e-6)
    return int(len(estimates) * np.exp(min((last - lowest) / slope, MOST_FOLDS)) * SPARE)
