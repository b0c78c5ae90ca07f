"""What `shoplens doctor` finds out about the lake. Reads a row or so of each table, and leaves nothing that it writes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from retrieval.diagnosis.findings import Finding, State, ok, raised, warning, wrong
from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.publishing.pointer import read_pointer
from retrieval.store.objects import ObjectStore
from schemas.errors import SchemaTooNew, ShopLensError
from schemas.tables import LAKE_VERSION, PRODUCTS, Table
from spark_jobs.lake.refusals import plain_refusals
from spark_jobs.lake.table_care import standing_tables
from spark_jobs.lake.tables import Lake, Snapshot
from spark_jobs.running.job import absolute_lake
from spark_jobs.running.passing_troubles import name_trouble
from spark_jobs.running.session import open_session

_READ_ERRORS = (PySparkException, Py4JError)
_TRIAL = "_doctor"
"""A file in the lake's root, which no table is called."""
_TRIAL_BYTES = 1 << 16


@dataclass(frozen=True)
class Published:
    """Versions by table: those that CURRENT covers, and those that its live build was made from."""

    covered: dict[str, int]
    built_from: dict[str, int]
    lake_id: str = ""


def check_lake(lake: str, store: ObjectStore) -> Iterator[Finding]:
    """Findings about the lake, which must be writable where it is there, and each table: readable, of no later release, its
    change feed on, not older than CURRENT covers."""
    root = absolute_lake(lake)
    spark = open_session("doctor", s3=root.startswith(("s3:", "s3a:")))
    spark.sparkContext.setLogLevel("OFF")  # what cannot be read is a line of ours
    opened = Lake(spark, root)
    published = _published(store)
    try:
        tables = list(standing_tables(opened))
    except _READ_ERRORS as error:
        if trouble := name_trouble(str(error)):
            yield raised("lake", trouble)
            return
        yield wrong("lake", f"{lake} cannot be read: {_first_line(error)}", "check its address, credentials and policy")
        return
    if PRODUCTS not in tables:
        yield warning("lake", f"{lake} has no products yet", "run ingest_catalog, or name another --lake")
    if tables:
        yield check_writes(opened)
    for table in tables:
        yield check_table(opened, table, published)


def check_writes(lake: Lake) -> Finding:
    """Whether jobs could write: what a disk that is full, or a policy for readers, says only to those who try."""
    jvm: Any = lake.spark._jvm
    trial = jvm.org.apache.hadoop.fs.Path(lake.root, _TRIAL)
    try:
        with plain_refusals(lake.root):
            files = trial.getFileSystem(lake.spark._jsparkSession.sessionState().newHadoopConf())
            written = files.create(trial, True)
            written.write(bytearray(_TRIAL_BYTES))
            written.close()
            files.delete(trial, False)
    except ShopLensError as error:
        return raised("lake", error)
    except Py4JError as error:
        return wrong("lake", f"cannot be written: {_first_line(error)}", "check its permissions and policy")
    return ok("lake", "can be written")


def check_table(lake: Lake, table: Table, published: Published) -> Finding:
    """One finding about a table: the worst of what is so."""
    check = f"lake: {table.path}"
    try:
        found = lake.look(table)
        if found.schema > LAKE_VERSION:
            return raised(check, SchemaTooNew(lake.path(table), found.schema, LAKE_VERSION))
        _read_a_row(lake, table)
    except _READ_ERRORS as error:
        remedy = "restore what is missing, or take an older version: RESTORE TABLE … TO VERSION AS OF …"
        return wrong(check, f"cannot be read: {_first_line(error)}", remedy)
    findings = [_check_feed(check, lake, table, found, published), _check_age(check, table, found, published)]
    return max(findings, key=lambda finding: list(State).index(finding.state))


def _check_age(check: str, table: Table, found: Snapshot, published: Published) -> Finding:
    covered = published.covered.get(table.path, 0)
    if table == PRODUCTS and published.lake_id not in ("", found.table_id):
        says = (
            f"version {found.version} of another table than CURRENT covers: this is another lake, or it was made anew"
        )
        return wrong(check, says, "publish with --new-lake if it was made anew, else name the right --lake")
    if found.version < covered:
        says = f"version {found.version}, but CURRENT covers {covered}: this is another lake, or it was restored"
        return wrong(check, says, "publish with --new-lake if it was made anew, else name the right --lake")
    return ok(check, f"version {found.version}, readable")


def _check_feed(check: str, lake: Lake, table: Table, found: Snapshot, published: Published) -> Finding:
    if not table.change_feed:
        return ok(check, f"version {found.version}, readable")
    if not found.has_feed:
        says = f"version {found.version}, its change feed is off: hourly runs compare all keys"
        return warning(check, says, "the next job that writes to it switches it on")
    since = published.built_from.get(table.path)
    if since is not None and since < found.version and not _reads(lambda: _read_changes_of(lake, table, since + 1)):
        says = f"version {found.version}, its changes since {since}, of which the live build is, are gone"
        return warning(check, says, "none needed: the next hourly run compares all keys")
    return ok(check, f"version {found.version}, readable, change feed on")


def _read_a_row(lake: Lake, table: Table) -> None:
    lake.spark.read.format("delta").load(lake.path(table)).select(*table.column_names[:1]).limit(1).collect()


def _read_changes_of(lake: Lake, table: Table, version: int) -> None:
    """All of one version: of those that are needed the oldest is the first to go."""
    feed = lake.spark.read.format("delta").option("readChangeFeed", "true")
    only = feed.option("startingVersion", version).option("endingVersion", version).load(lake.path(table))
    only.select(F.count(table.column_names[0])).collect()


def _reads(read: Callable[[], None]) -> bool:
    try:
        read()
    except _READ_ERRORS:
        return False
    return True


def _published(store: ObjectStore) -> Published:
    """Of CURRENT and its live build; where these cannot be read, that has its own line."""
    try:
        found = read_pointer(store)
        build = BUILD_FOLDERS.find(store, found[0].live.build_id) if found else None
    except ShopLensError:
        return Published({}, {})
    built_from = build.source_versions if build else {}
    return Published(found[0].source_versions, built_from, found[0].lake_id) if found else Published({}, {})


def _first_line(error: Exception) -> str:
    """Of the innermost cause, which says the most; a JVM's trace is long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by:")]
    return (causes[-1].removeprefix("Caused by:").strip() if causes else lines[0])[:300]
