"""Care of the Delta tables: small files made into large ones, and removed ones freed once no reader can need them.

The next delta of a base reads the tables' change feed from the versions that the base was built from. So nothing is
vacuumed that these versions, or any change since, still need.

Delta knows when a file was removed only as long as `delta.deletedFileRetentionDuration` (a week by itself): what was
removed before that is vacuumed however long RETAIN says. So tables remember removals as long as Delta keeps its log;
a base older than that is not protected, and its next delta compares all keys.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import functions as F

from schemas.tables import ALL_TABLES, Table, embeddings
from spark_jobs.lake.tables import REMEMBERED_PROPERTY, REMOVALS_REMEMBERED, Lake, retry_conflicts

KEPT_AT_LEAST = timedelta(days=7)
MARGIN = timedelta(hours=1)
"""Clocks of writers and of the store differ."""

CARE_SETTINGS = {
    # Files of this size are left as they are: the table of photos would else be rewritten again and again.
    "spark.databricks.delta.optimize.minFileSize": str(128 << 20),
    "spark.databricks.delta.optimize.maxFileSize": str(256 << 20),
    # A vacuum lists folders in so many tasks; 10,000, the default, take minutes on a laptop.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "32",
    "spark.databricks.delta.vacuum.parallelDelete.enabled": "true",
    # The cutoff below is ours: a week and more, if less than removals are remembered.
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
    # Else a vacuum writes commits of its own, each of them a version without a change.
    "spark.databricks.delta.vacuum.logging.enabled": "false",
}


@dataclass(frozen=True)
class Compacted:
    """Files that one table lost and gained."""

    removed: int
    added: int


def vacuum_cutoff(as_of: datetime, needed: Iterable[datetime]) -> datetime:
    """Files removed before this moment may be freed: seven days ago, or before the oldest of the `needed` versions."""
    return min([as_of - KEPT_AT_LEAST, *needed]) - MARGIN


def standing_tables(lake: Lake) -> Iterator[Table]:
    """The lake's tables that have been made, one for each model's vectors among them."""
    for table in (*ALL_TABLES, *(embeddings(model_id) for model_id in _embedded_models(lake))):
        if lake.exists(table):
            yield table


def version_times(lake: Lake, table: Table, versions: Iterable[int]) -> list[datetime]:
    """When each version was committed; one that Delta's log does not hold any more, or yet, is left out."""
    wanted = set(versions)
    if not wanted:
        return []
    history = DeltaTable.forPath(lake.spark, lake.path(table)).history()
    found = history.where(F.col("version").isin(wanted)).select(F.col("timestamp").cast("double").alias("time_s"))
    return [datetime.fromtimestamp(row["time_s"], UTC) for row in found.collect()]


def remember_removals(lake: Lake, table: Table) -> None:
    """Set how long a table of an earlier release remembers removed files; writes no commit where it is set."""
    path = lake.path(table)
    properties = DeltaTable.forPath(lake.spark, path).detail().select("properties").collect()[0]["properties"]
    if properties.get(REMEMBERED_PROPERTY) != REMOVALS_REMEMBERED:
        wanted = f"'{REMEMBERED_PROPERTY}' = '{REMOVALS_REMEMBERED}'"
        alter = f"ALTER TABLE {lake.sql_name(table)} SET TBLPROPERTIES ({wanted})"
        retry_conflicts(lambda: lake.spark.sql(alter))


def compact(lake: Lake, table: Table) -> Compacted:
    """Merge small files; writes no commit where there is nothing to gain. Raises TryAgain where others keep writing."""

    def optimize() -> Mapping[str, Any]:
        # Not by DeltaTable.optimize(), which stumbles over a backtick in the path.
        done = lake.spark.sql(f"OPTIMIZE {lake.sql_name(table)}").collect()[0]
        return done["metrics"].asDict()  # type: ignore[no-any-return]

    metrics = retry_conflicts(optimize)
    return Compacted(removed=int(metrics["numFilesRemoved"]), added=int(metrics["numFilesAdded"]))


def vacuum(lake: Lake, table: Table, cutoff: datetime, *, dry_run: bool = False) -> int:
    """Free what was removed before the cutoff; the number of files that may go (dry run), else 0."""
    suffix = " DRY RUN" if dry_run else ""
    rows = lake.spark.sql(f"VACUUM {lake.sql_name(table)} RETAIN {_hours_since(lake, cutoff)} HOURS{suffix}")
    return rows.count() if dry_run else 0


def _hours_since(lake: Lake, cutoff: datetime) -> int:
    """Delta counts hours back from the driver's clock, so they are counted from there; rounded up, to free less."""
    now_ms: int = lake.spark._jvm.java.lang.System.currentTimeMillis()  # type: ignore[union-attr, assignment]
    return math.ceil((now_ms / 1000 - cutoff.timestamp()) / 3600)


def _embedded_models(lake: Lake) -> list[str]:
    """The models that have a table under embeddings/."""
    jvm: Any = lake.spark._jvm
    folder = jvm.org.apache.hadoop.fs.Path(lake.path(embeddings("")).rstrip("/"))
    files = folder.getFileSystem(lake.spark._jsparkSession.sessionState().newHadoopConf())
    if not files.exists(folder):
        return []
    return sorted(entry.getPath().getName() for entry in files.listStatus(folder) if entry.isDirectory())
