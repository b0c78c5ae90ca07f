"""A run's outcomes on their way into the lake: written once, read for two tables, removed at the end.

Photos are merged first and the ledger second. Whatever a crash leaves undone is asked for again; nothing is lost.
"""

from datetime import datetime

from pyspark.sql import DataFrame, SparkSession

from spark_jobs.fetch.lanes import Division
from spark_jobs.fetch.partition import FetchPartition
from spark_jobs.fetch.work import ORDER_DDL, moved_orders, place_orders
from spark_jobs.lake.refusals import plain_refusals
from spark_jobs.running.session import hold_rows
from spark_jobs.running.worker_errors import worker_errors

OUTCOME_DDL = (
    "url string, outcome string, moved_to string, hops int, requests int, "
    + ORDER_DDL[ORDER_DDL.index("status string") :]
    + ", verdict string, photo_reason string, source_format string, source_bytes bigint, width int, height int, "
    "phash bigint, sharpness double, safety_score double, detail string, stored binary"
)
"""OUTCOME_SCHEMA in Spark's words."""


class Staging:
    """The folder of one run's outcomes, within the lake."""

    def __init__(self, spark: SparkSession, lake_root: str, run_name: str) -> None:
        self._spark, self.folder = spark, f"{lake_root}/_staging/fetch_images/{run_name}"

    def fetch(self, orders: DataFrame, division: Division, fetch: FetchPartition) -> DataFrame:
        """Visit all links; rounds end when no link waits for a host of another partition. Returns OUTCOME rows."""
        self.remove()
        for number in range(division.settings.max_redirects + 2):
            outcomes = self._write_round(number, place_orders(self._spark, orders, division), fetch)
            if division.spread == division.partitions:
                break  # every partition has a share of every host: no link can wait for another
            orders = hold_rows(moved_orders(orders, outcomes))
            if orders.isEmpty():
                break
        return self._read(self.folder).where("outcome <> 'moved'")

    def remove(self) -> None:
        jvm = self._spark._jvm
        assert jvm is not None
        path = jvm.org.apache.hadoop.fs.Path(self.folder)
        path.getFileSystem(self._spark._jsc.hadoopConfiguration()).delete(path, True)  # type: ignore[attr-defined]

    def _write_round(self, number: int, orders: DataFrame, fetch: FetchPartition) -> DataFrame:
        folder = f"{self.folder}/round={number}"
        with worker_errors(), plain_refusals(self.folder):
            orders.mapInArrow(fetch, OUTCOME_DDL).write.option("compression", "lz4").parquet(folder)
        return self._read(folder)

    def _read(self, folder: str) -> DataFrame:
        return self._spark.read.schema(OUTCOME_DDL).parquet(folder)


def run_name(dag: str, interval_key: str, as_of: datetime) -> str:
    """One folder a run, so that two cannot meet."""
    return f"{dag}-{interval_key}-{int(as_of.timestamp())}"
