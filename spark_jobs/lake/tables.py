"""Delta tables as `schemas.tables` describes them: made on first use, refused when newer, merged with retries."""

import logging
import random
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from delta.tables import DeltaTable
from py4j.protocol import Py4JError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession

from schemas.errors import Misconfigured, SchemaTooNew, TryAgain
from schemas.tables import LAKE_VERSION, PRODUCTS, Table
from spark_jobs.lake.refusals import plain_refusals

log = logging.getLogger("shoplens")
Result = TypeVar("Result")

_SCHEMA_PROPERTY = "shoplens.schema"
_FEED_PROPERTY = "delta.enableChangeDataFeed"
REMEMBERED_PROPERTY, REMOVALS_REMEMBERED = "delta.deletedFileRetentionDuration", "interval 30 days"
"""As long as Delta's log is kept. What a table has forgotten to have removed is vacuumed, whatever RETAIN says."""

_IN_PLACE = {"delta.enableDeletionVectors": "true"}
"""A merge marks the rows that it replaces, and writes only these anew: else an hour in which a few products change would
write most files of the catalog again, and those of the photos, with their bytes."""

_OTHER_VERSIONS = re.compile(r"Cannot time travel .* Available versions: (\[.*?\])")
_MERGE_ATTEMPTS = 6
_CONFLICTS = ("ConcurrentModification", "ConcurrentAppend", "ConcurrentDelete", "ConcurrentTransaction",
              "ConcurrentWrite", "MetadataChanged", "ProtocolChanged", "DELTA_CONCURRENT")  # fmt: skip


class Snapshot(NamedTuple):
    """The newest Delta version of a table, Delta's id of it, our schema version in it, and whether its change feed is on.

    The id stays when a table is copied or restored; one that is made anew has another, and counts from version 0.
    """

    version: int
    table_id: str
    schema: int
    has_feed: bool


class Lake:
    """The tables under one root, through one Spark session."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.spark, self.root = spark, root.rstrip("/").replace("s3://", "s3a://", 1)
        self._ensured: set[str] = set()

    def path(self, table: Table) -> str:
        return f"{self.root}/{table.path}"

    def sql_name(self, table: Table) -> str:
        """A table by its path, as SQL names it."""
        return _sql_name(self.path(table))

    def ensure(self, table: Table) -> None:
        """Make the table if it is not there.

        Raises SchemaTooNew where a later release wrote it, StoreNotWritable or Misconfigured where it cannot be made. A
        Lake looks at each table once: no release changes while a job runs.
        """
        path = self.path(table)
        if path not in self._ensured:
            with plain_refusals(path):
                if not DeltaTable.isDeltaTable(self.spark, path):
                    self._create(table)
            found = self._snapshot(path)
            if found.schema > LAKE_VERSION:
                raise SchemaTooNew(path, found.schema, LAKE_VERSION)
            if table.change_feed and not found.has_feed:
                self._switch_feed_on(path)
            self._ensured.add(path)

    def to_write(self, table: Table) -> DeltaTable:
        """The table, to be merged into; made if it is not there. Raises as `ensure` does."""
        self.ensure(table)
        return DeltaTable.forPath(self.spark, self.path(table))

    def look(self, table: Table) -> Snapshot:
        """What a table that is there says of itself; it is not altered, nor refused where a later release wrote it."""
        return self._snapshot(self.path(table))

    def exists(self, table: Table) -> bool:
        return DeltaTable.isDeltaTable(self.spark, self.path(table))

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """The table's rows, at a version where one is given; an empty table where there was none.

        Raises Misconfigured where it has no such version: it was made anew, restored, or has forgotten it.
        """
        self.ensure(table)
        reader = self.spark.read.format("delta")
        if version is None:
            return reader.load(self.path(table)).select(*table.column_names)
        try:
            return reader.option("versionAsOf", version).load(self.path(table)).select(*table.column_names)
        except AnalysisException as error:
            if named := _OTHER_VERSIONS.search(str(error)):
                raise Misconfigured(
                    f"{self.path(table)} has no version {version}, only those of {named[1]}: name the right --lake, "
                    "or run the jobs of this interval again from the first"
                ) from error
            raise

    def version(self, table: Table) -> int:
        """The newest Delta version."""
        self.ensure(table)
        return self._snapshot(self.path(table)).version

    def lake_id(self) -> str:
        """What tells this lake from one that was made anew in its place: the id of its products."""
        self.ensure(PRODUCTS)
        return self.look(PRODUCTS).table_id

    def _create(self, table: Table) -> None:
        self._clear_half_made(table)
        properties = {
            _SCHEMA_PROPERTY: str(LAKE_VERSION), REMEMBERED_PROPERTY: REMOVALS_REMEMBERED, **_IN_PLACE, **table.properties,
        }  # fmt: skip
        if table.change_feed:
            properties[_FEED_PROPERTY] = "true"
        columns = ", ".join(
            f"{column.name} {column.sql_type}{'' if column.nullable else ' NOT NULL'} COMMENT {_sql_text(column.comment)}"
            for column in table.columns
        )
        named = ", ".join(f"{_sql_text(key)} = {_sql_text(value)}" for key, value in properties.items())
        # Not by Delta's builder, which stumbles over a backtick in the path.
        self.spark.sql(
            f"CREATE TABLE IF NOT EXISTS {self.sql_name(table)} ({columns}) USING delta TBLPROPERTIES ({named})"
        )

    def _clear_half_made(self, table: Table) -> None:
        """A run that dies while it makes a table leaves a log without a commit, which Delta neither reads nor replaces.

        Raises Misconfigured where other files lie in the table's place.
        """
        jvm: Any = self.spark._jvm
        folder = jvm.org.apache.hadoop.fs.Path(self.path(table))
        files = folder.getFileSystem(self.spark._jsparkSession.sessionState().newHadoopConf())
        if not files.exists(folder):
            return
        log = jvm.org.apache.hadoop.fs.Path(folder, "_delta_log")
        names = {entry.getPath().getName() for entry in files.listStatus(folder)}
        if names - {"_delta_log"}:
            raise Misconfigured(f"{self.path(table)} holds files, but no table: move them, or name another --lake")
        if names and not any(entry.getPath().getName().endswith(".json") for entry in files.listStatus(log)):
            files.delete(log, True)

    def _switch_feed_on(self, path: str) -> None:
        """For a table that an earlier release made without it. The feed begins here: what came before is not in it."""

        def alter() -> None:
            self.spark.sql(f"ALTER TABLE {_sql_name(path)} SET TBLPROPERTIES ('{_FEED_PROPERTY}' = 'true')")

        retry_conflicts(alter)

    def _snapshot(self, path: str) -> Snapshot:
        """Delta's own log object answers in some 10 ms; its SQL (DESCRIBE DETAIL, DESCRIBE HISTORY) takes a Spark job
        each, which a job of seconds feels."""
        jvm: Any = self.spark._jvm
        try:
            none = getattr(jvm.scala, "None$").__getattr__("MODULE$")
            log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self.spark._jsparkSession, path)
            snapshot = log.update(False, none, none)
            properties = snapshot.metadata().configuration()
            written, feed = properties.get(_SCHEMA_PROPERTY), properties.get(_FEED_PROPERTY)
            return Snapshot(
                version=int(snapshot.version()),
                table_id=str(snapshot.metadata().id()),
                schema=int(written.get()) if written.isDefined() else 0,
                has_feed=feed.isDefined() and str(feed.get()).lower() == "true",
            )
        except (Py4JError, AttributeError):  # a Delta whose inside differs from 4.0's
            table = DeltaTable.forPath(self.spark, path)
            detail = table.detail().collect()[0]
            named = detail["properties"]
            return Snapshot(
                version=int(table.history(1).collect()[0]["version"]),
                table_id=str(detail["id"]),
                schema=int(named.get(_SCHEMA_PROPERTY, 0)),
                has_feed=str(named.get(_FEED_PROPERTY)).lower() == "true",
            )


def retry_conflicts(write: Callable[[], Result]) -> Result:
    """Run a Delta write again, with jitter, when another writer won.

    Raises TryAgain after six losses, StoreNotWritable where the lake refuses the write.
    """
    for attempt in range(_MERGE_ATTEMPTS):
        try:
            with plain_refusals("the lake"):
                return write()
        except PySparkException as error:
            if not any(name in str(error) or name in type(error).__name__ for name in _CONFLICTS):
                raise
            log.info("lost a race for a Delta table, attempt %d", attempt + 1)
            time.sleep(random.uniform(0.2, 1.0) * 2**attempt)
    raise TryAgain("another job kept writing to the same table: run one writer a table (Airflow pool)")


def _sql_name(path: str) -> str:
    return "delta.`{}`".format(path.replace("`", "``"))


def _sql_text(text: str) -> str:
    return "'{}'".format(text.replace("\\", "\\\\").replace("'", "\\'"))
