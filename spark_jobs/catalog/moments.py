"""Which intervals a lake has taken, and where a new one stands among them."""

from dataclasses import dataclass
from enum import StrEnum

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.intervals import DataInterval

MICROSECONDS = 1_000_000


class Mode(StrEnum):
    SNAPSHOT = "snapshot"
    CHANGES = "changes"


@dataclass(frozen=True)
class Applied:
    """One interval as it is applied.

    `moment_us` orders everything: microseconds since 1970 of the interval's end, and one more for changes, so that a
    snapshot and changes with one end have an order too.
    """

    interval: DataInterval
    mode: Mode

    @property
    def end_us(self) -> int:
        return int(self.interval.end.timestamp()) * MICROSECONDS

    @property
    def start_us(self) -> int:
        return int(self.interval.start.timestamp()) * MICROSECONDS

    @property
    def moment_us(self) -> int:
        return self.end_us + (1 if self.mode is Mode.CHANGES else 0)


@dataclass(frozen=True)
class Timeline:
    """What a lake has taken, as far as one interval must know it. None where there is none.

    `newest_snapshot_us` may be this interval's own, from an earlier run; `snapshot_before_us` is older than it.
    """

    newest_snapshot_us: int | None
    snapshot_before_us: int | None
    newest_us: int | None
    recorded: tuple[int, int] | None
    """(rows_read, rows_bad) that an earlier run noted for this interval."""

    def superseded(self, applied: Applied) -> bool:
        """A newer snapshot stands: what this interval alone mentions is deleted."""
        return self.newest_snapshot_us is not None and self.newest_snapshot_us > applied.moment_us

    def is_newest(self, applied: Applied) -> bool:
        return self.newest_us is None or applied.moment_us >= self.newest_us


def read_timeline(intervals: DataFrame, applied: Applied) -> Timeline:
    """From `catalog_intervals`, in one small job."""
    is_snapshot = F.col("mode") == str(Mode.SNAPSHOT)
    moment_us = F.unix_micros("interval_end") + F.when(is_snapshot, 0).otherwise(1)
    snapshot_us = F.when(is_snapshot, moment_us)
    own = moment_us == applied.moment_us
    row = intervals.agg(
        F.max(snapshot_us).alias("newest_snapshot_us"),
        F.max(F.when(snapshot_us < applied.moment_us, snapshot_us)).alias("snapshot_before_us"),
        F.max(moment_us).alias("newest_us"),
        F.max(F.when(own, F.col("rows_read"))).alias("rows_read"),
        F.max(F.when(own, F.col("rows_bad"))).alias("rows_bad"),
    ).collect()[0]
    recorded = None if row["rows_read"] is None else (int(row["rows_read"]), int(row["rows_bad"]))
    return Timeline(row["newest_snapshot_us"], row["snapshot_before_us"], row["newest_us"], recorded)
