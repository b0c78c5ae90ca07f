"""Which links are looked at tonight, and in which partition: pure functions of Spark tables."""

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.fetch.lanes import Division
from spark_jobs.fetch.ledger import CYCLE_DAYS, FAILED, OK
from spark_jobs.fetch.outcomes import ORDER_SCHEMA
from spark_jobs.fetch.partition import PlannedPartition
from spark_jobs.fetch.photo_checks import REJECTED
from spark_jobs.running.session import broadcast_few, hold_rows

ORDER_COLUMNS = tuple(ORDER_SCHEMA.names)
ORDER_DDL = (
    "url string, place string, hops int, requests int, from_scratch boolean, partition int, status string, "
    "reason string, http_status int, attempts int, failures_in_a_row int, next_try_at timestamp, etag string, "
    "last_modified string, content_sha256 string, content_bytes bigint, final_url string, fetched_as_of timestamp"
)
"""ORDER_SCHEMA in Spark's words."""

_DECIDING = ("status", "reason", "next_try_at", "fetched_as_of", "content_sha256")
_SECONDS_A_DAY = 86_400
_KEYS_TRIED_FOR_EACH_PARTITION = 64


def live_links(products: DataFrame, product_images: DataFrame) -> DataFrame:
    """(url, group_id, title, changed_at): each link of each live product; `changed_at` is its source interval's end."""
    live = products.where(~F.col("deleted")).select(
        "product_id", "group_id", "title", F.col("source_interval").alias("changed_at")
    )
    return product_images.select("product_id", "url").join(live, "product_id").drop("product_id")


def known_links(links: DataFrame, ledger: DataFrame) -> DataFrame:
    """The links with what of the ledger decides about them; nulls where it has none of it."""
    return links.join(ledger.select("url", *_DECIDING), "url", "left")


def select_orders(known: DataFrame, ledger: DataFrame, as_of: datetime) -> DataFrame:
    """Work orders (ORDER_COLUMNS) for links that are new, whose product changed, whose next try or day has come."""
    looked_at, now = F.col("fetched_as_of"), F.lit(as_of)
    is_new = F.col("status").isNull()
    product_changed = (F.col("changed_at") > looked_at) & (F.col("changed_at") <= now)
    is_failing = F.col("status") == FAILED
    next_try_came = is_failing & (F.col("next_try_at") <= now)
    day_came = ~is_failing & _day_came(looked_at, now)
    due = known.where(is_new | product_changed | next_try_came | day_came)
    return _orders(due.select("url", F.lit(False).alias("from_scratch")), ledger)


def select_redriven_orders(known: DataFrame, ledger: DataFrame, photos: DataFrame, reasons: Sequence[str]) -> DataFrame:
    """Work orders for just the links that failed with one of the reasons, or whose photo was rejected with one."""
    rejected = photos.where((F.col("verdict") == REJECTED) & F.col("reason").isin(*reasons))
    contents = rejected.select("content_sha256", F.lit(True).alias("photo_failed"))
    joined = known.join(contents, "content_sha256", "left")
    link_failed = (F.col("status") != OK) & F.col("reason").isin(*reasons)
    photo_failed = F.col("photo_failed").isNotNull()
    due = joined.where(link_failed | photo_failed)
    return _orders(due.select("url", photo_failed.alias("from_scratch")), ledger)


def moved_orders(orders: DataFrame, outcomes: DataFrame) -> DataFrame:
    """The next round: links that were sent to a host of another partition, with what they have behind them."""
    moved = outcomes.where(F.col("outcome") == "moved").select(
        "url", F.col("moved_to").alias("place"), F.col("hops"), F.col("requests")
    )
    return orders.drop("place", "hops", "requests").join(moved, "url").select(*ORDER_COLUMNS)


def place_orders(spark: SparkSession, orders: DataFrame, division: Division) -> DataFrame:
    """The orders in `division.partitions` Spark partitions, each where its host's share lies, mixed by hash."""
    if division.spread == division.partitions:  # every partition has a share of every host: Spark's own hash will do
        number = F.pmod(F.hash("url"), F.lit(division.partitions)).cast("int")
        placed = orders.withColumn("partition", number).repartition(division.partitions, "url")
        return placed.sortWithinPartitions(F.xxhash64("url"))
    planned = orders.mapInArrow(PlannedPartition(division), ORDER_DDL)
    keys = F.array(*(F.lit(key) for key in partition_keys(spark, division.partitions)))
    placed = planned.repartition(division.partitions, keys[F.col("partition")])
    return placed.sortWithinPartitions(F.xxhash64("url"))


def partition_keys(spark: SparkSession, partitions: int) -> list[int]:
    """For each partition a number that Spark's hash partitioning puts there."""
    numbers = spark.range(_KEYS_TRIED_FOR_EACH_PARTITION * partitions, numPartitions=1)
    placed = numbers.select("id", F.pmod(F.hash("id"), F.lit(partitions)).alias("partition")).collect()
    by_partition = {int(row["partition"]): int(row["id"]) for row in placed}
    return [by_partition[number] for number in range(partitions)]


def _orders(due: DataFrame, ledger: DataFrame) -> DataFrame:
    """One order for each link of `due` (url, from_scratch), with its ledger row if it has one."""
    once = hold_rows(due.distinct())
    rows = ledger.join(broadcast_few(once.select("url"), once.count()), "url", "left_semi")
    new = {"place": F.col("url"), "hops": F.lit(0), "requests": F.lit(0), "partition": F.lit(0)}
    return once.join(rows, "url", "left").withColumns(new).select(*ORDER_COLUMNS)


def _day_came(looked_at: Column, now: Column) -> Column:
    """Whether the link's day of the cycle came after a moment and until now; as `ledger.day_has_come`."""
    first, last = (F.floor(F.unix_timestamp(moment) / _SECONDS_A_DAY) for moment in (looked_at, now))
    cycle_day = F.conv(F.substring(F.sha2("url", 256), 1, 8), 16, 10).cast("bigint") % CYCLE_DAYS
    # Days first: within one day none can have come, and a hash of every link costs more than all else that is asked here.
    return (last > first) & (F.pmod(cycle_day - first - 1, F.lit(CYCLE_DAYS)) < last - first)
