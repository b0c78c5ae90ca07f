"""The Spark session of a job: Delta on, sized for a laptop unless the cluster says otherwise."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyspark import SparkContext, StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.tables import PRODUCTS
from spark_jobs.running.class_archive import archive_options
from spark_jobs.running.jars import local_jars

BROADCAST_ROWS_MAX = 200_000
S3_BUSY_TRIES, S3_BUSY_WAIT_MS = 10, 100

LOCAL_SETTINGS = {
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "1",
    # Written out for each query, for a page that is off.
    "spark.sql.ui.explainMode": "simple",
    "spark.sql.maxPlanStringLength": "200",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.python.daemon.module": "spark_jobs.running.worker_daemon",
    # To be able to name the line that made a column, PySpark asks the JVM some ten things at each one.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Re-planning after every stage is a Spark job a stage: here it costs more than it can find.
    "spark.sql.adaptive.enabled": "false",
    # By Spark's rule it would be 16 MB: zeroed, and left to the collector, for each join or aggregation of a few rows.
    "spark.buffer.pageSize": "2m",
    # What is held until a row group is full, is copied again and again by the collector of so small a heap: photos most.
    "spark.hadoop.parquet.block.size": str(32 << 20),
}
# Classes fill more than the room that a JVM collects at first; Hadoop starts a process for each chmod, and VFORK is cheaper.
_LOCAL_JVM = "-XX:+UseParallelGC -XX:MetaspaceSize=256m -Djdk.lang.Process.launchMechanism=VFORK"
# Of itself such a JVM has 48 MB for code: an hour in one application can fill them, and then it compiles no more.
_QUICK_START = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
LARGE_LAKE_BYTES = 32 << 20
"""Of the files of `products`: some 400,000 of them. A local job over less is mostly start-up, and compiling for peak speed
would cost more than it saves (JVM time 23 s, so 14 s); over a million products it saves a tenth (`bench.hourly`)."""
DELTA_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    # A photo is up to some MB: small batches bound the memory of a Python worker, and of the reader before it.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "64",
    "spark.sql.parquet.columnarReaderBatchSize": "128",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.speculation": "false",
}


_ready_at: list[float] = []


def session_ready_at() -> float | None:
    """time.monotonic() when this process's session was up, or None: what came before is start-up, not work."""
    return _ready_at[0] if _ready_at else None


def open_session(
    name: str, *, s3: bool = False, settings: dict[str, str] | None = None, lake: str = ""
) -> SparkSession:
    """A session for one job; a local one is started for the size of `lake`, where that is a folder.

    Under spark-submit (SHOPLENS_SPARK=cluster) the cluster's own settings and JARs stand.
    """
    builder = SparkSession.builder.appName(name)
    chosen = dict(DELTA_SETTINGS)
    if os.environ.get("SHOPLENS_SPARK", "local") != "cluster":
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        cores = os.environ.get("SHOPLENS_CORES", "2")
        master = os.environ.get("SPARK_MASTER", f"local[{cores}]")
        builder = builder.master(master)
        chosen |= LOCAL_SETTINGS | _jar_settings(master, local_jars(s3=s3))
        chosen["spark.driver.extraJavaOptions"] = f"{jvm_options(lake)} {archive_options()}".rstrip()
        if s3:
            chosen |= _s3a_settings()
    for key, value in (chosen | (settings or {})).items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    if threading.current_thread() is threading.main_thread():
        # PySpark's own handler asks the JVM to cancel, which the same Ctrl-C has ended: pages of trace.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    session.sparkContext.setLogLevel(os.environ.get("SHOPLENS_SPARK_LOG", "ERROR"))
    if not _ready_at:
        _ready_at.append(time.monotonic())
    return session


def jvm_options(lake: str) -> str:
    """How the JVM of a local job compiles: for a quick start, or where the lake is large for speed."""
    folder = Path(unquote(urlsplit(lake).path) if lake.startswith("file:") else lake) / PRODUCTS.path
    size = sum(path.stat().st_size for path in folder.glob("*.parquet")) if lake else 0
    return _LOCAL_JVM if size >= LARGE_LAKE_BYTES else f"{_LOCAL_JVM} {_QUICK_START}"


def broadcast_few(keys: DataFrame, rows: int) -> DataFrame:
    """Keys of photos to join with: so few that every executor gets them, else the photos' bytes are shuffled to meet them."""
    return F.broadcast(keys) if rows <= BROADCAST_ROWS_MAX else keys


def hold_rows(rows: DataFrame, *, eager: bool = True) -> DataFrame:
    """The rows cut off from how they were made, in memory or on scratch disks; on two executors where there are two, so
    that one which is lost takes none with it."""
    has_executors = not str(rows.sparkSession.sparkContext.master).startswith("local[")
    level = StorageLevel.MEMORY_AND_DISK_2 if has_executors else StorageLevel.MEMORY_AND_DISK
    return rows.localCheckpoint(eager, level)


def _jar_settings(master: str, jars: list[str]) -> dict[str, str]:
    """The driver's own class path where that is enough: `spark.jars` copies every JAR at each start."""
    jvm_is_up = SparkContext._gateway is not None  # its class path cannot grow any more
    if master.startswith("local[") and not jvm_is_up:
        return {"spark.driver.extraClassPath": os.pathsep.join(jars)}
    return {"spark.jars": ",".join(jars)}


def _s3a_settings() -> dict[str, str]:
    """S3A against AWS_ENDPOINT_URL, as boto3 reads it."""
    settings = {
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        # Each wait for a server that says 503 is twice the last: with the default of 20 a job would wait for days.
        "spark.hadoop.fs.s3a.retry.throttle.limit": str(S3_BUSY_TRIES),
        "spark.hadoop.fs.s3a.retry.throttle.interval": f"{S3_BUSY_WAIT_MS}ms",
    }
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL")):
        settings |= {
            "spark.hadoop.fs.s3a.endpoint": endpoint,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.endpoint.region": os.environ.get("AWS_REGION", "us-east-1"),
        }
    return settings
