"""Which intervals a lake has taken, and where a new one stands among them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.intervals import DataInterval

MICROSECONDS = 1_000_000


class Mode(StrEnum):
    SNAPSHOT = "snapshot"
    CHANGES = "changes"


AFTER_END_US = {Mode.SNAPSHOT: 0, Mode.CHANGES: 1}
"""So many microseconds after its interval's end an interval is dated: a snapshot and changes with one end have an order."""


@dataclass(frozen=True)
class Applied:
    """One interval as it is applied.

    `moment_us` orders everything: microseconds since 1970 of the interval's end, and AFTER_END_US more.
    """

    interval: DataInterval
    mode: Mode

    @property
    def end_us(self) -> int:
        return end_us(self.interval.end)

    @property
    def start_us(self) -> int:
        return int(self.interval.start.timestamp()) * MICROSECONDS

    @property
    def moment_us(self) -> int:
        return moment_us(self.end_us, self.mode)


def end_us(end: datetime) -> int:
    """Microseconds since 1970 of an interval's end."""
    return int(end.timestamp()) * MICROSECONDS


def moment_us(end_us: int, mode: Mode) -> int:
    return end_us + AFTER_END_US[mode]


class Recorded(NamedTuple):
    """A row of `catalog_intervals`; `products_version`: what `product_images` was last made to agree with."""

    end_us: int
    mode: str
    rows_read: int
    rows_bad: int
    products_version: int

    @property
    def moment_us(self) -> int:
        return moment_us(self.end_us, Mode(self.mode))


@dataclass(frozen=True)
class Timeline:
    """What a lake has taken, as one interval sees it."""

    applied: Applied
    recorded: tuple[Recorded, ...] = ()

    @property
    def own(self) -> Recorded | None:
        """What an earlier run of this interval noted."""
        return next((record for record in self.recorded if record.moment_us == self.applied.moment_us), None)

    @property
    def newest_snapshot_us(self) -> int | None:
        """May be this interval's own, from an earlier run."""
        return max(self._snapshots_us, default=None)

    @property
    def snapshot_before_us(self) -> int | None:
        return max((moment for moment in self._snapshots_us if moment < self.applied.moment_us), default=None)

    @property
    def is_superseded(self) -> bool:
        """A newer snapshot stands: what this interval alone mentions is deleted."""
        return max(self._snapshots_us, default=0) > self.applied.moment_us

    @property
    def is_newest(self) -> bool:
        """No interval that ends later was taken; a snapshot and changes of one end are both the newest.

        Later changes do not make a snapshot old: a build reads the tables as they are, with those changes in them.
        """
        later = [record for record in self.recorded if record.end_us > self.applied.end_us]
        only_changes = all(record.mode == Mode.CHANGES for record in later)
        return not later or (only_changes and self.applied.mode is Mode.SNAPSHOT)

    @property
    def images_agree_with(self) -> int:
        """The version of `products` of which `product_images` surely says all; -1 where there is none."""
        return max((record.products_version for record in self.recorded), default=-1)

    @cached_property
    def _snapshots_us(self) -> list[int]:
        return [record.moment_us for record in self.recorded if record.mode == Mode.SNAPSHOT]


def read_timeline(intervals: DataFrame, applied: Applied) -> Timeline:
    """From `catalog_intervals`: a row an interval, few enough for the driver."""
    rows = intervals.select(F.unix_micros("interval_end"), *Recorded._fields[1:]).collect()
    return Timeline(applied, tuple(Recorded(*row) for row in rows))
