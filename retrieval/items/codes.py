"""Columns of few distinct strings as numbers, which compare a million rows in a fraction of a millisecond."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Mask

Codes = NDArray[np.int32]

NO_VALUE = -1
_COMPARED_MAX = 8
"""So few values are sooner compared one after the other than looked up row by row."""

_BLOCK_ROWS = 1 << 17
"""So many are compared with each value while they are in a core's own cache."""


@dataclass(frozen=True)
class CodedColumn:
    """`codes` (rows,) point into `values`, NO_VALUE where there is none. They are as narrow as the number of values
    allows (`narrowest`): comparing ten million of them waits for memory."""

    values: tuple[str, ...]
    codes: NDArray[np.signedinteger]

    @cached_property
    def code_of(self) -> dict[str, int]:
        return {value: code for code, value in enumerate(self.values)}

    def rows_with(self, wanted: Iterable[str]) -> Mask:
        """Which rows (rows,) have one of the values."""
        chosen = {self.code_of[value] for value in wanted if value in self.code_of}
        return rows_with_codes(self.codes, chosen, len(self.values))


def rows_with_codes(codes: NDArray[np.signedinteger], chosen: Collection[int], values: int) -> Mask:
    """Which of the `codes` (rows,) are among the chosen, of `values` that there are."""
    if len(chosen) <= _COMPARED_MAX:
        first, *others = chosen or (values + 1,)
        found = np.empty(len(codes), dtype=bool)
        for start in range(0, len(codes), _BLOCK_ROWS):
            block, into = codes[start : start + _BLOCK_ROWS], found[start : start + _BLOCK_ROWS]
            np.equal(block, first, out=into)
            for code in others:
                into |= block == code
        return found
    is_chosen = np.zeros(values + 1, dtype=bool)  # the last place stands for NO_VALUE
    is_chosen[list(chosen)] = True
    return np.asarray(is_chosen.take(codes, mode="wrap"))


def narrowest(values: int) -> type[np.signedinteger]:
    """The narrowest type for codes of so many values, NO_VALUE, and one beyond the last."""
    types: tuple[type[np.signedinteger], ...] = (np.int8, np.int16, np.int32)
    return next(each for each in types if values <= np.iinfo(each).max)
