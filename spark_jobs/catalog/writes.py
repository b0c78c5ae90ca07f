"""What an interval writes: each table by its difference, so that no difference writes no commit.

The order is quarantine, products, mentions, images, and the interval itself last. A run that dies in between leaves
rows of its own interval; the same interval run again finds what is missing. One ingest at a time writes a lake (an
Airflow pool of one slot): a race for `products` is noticed, but two intervals that race do not know of each other.
"""

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.intervals import parse_time
from schemas.tables import CATALOG_INTERVALS, CATALOG_QUARANTINE, PRODUCT_IMAGES, PRODUCT_MENTIONS, PRODUCTS, Table
from spark_jobs.catalog.moments import Applied, Mode, Recorded, end_us
from spark_jobs.catalog.settlement import KNOWN_COLUMNS, WRITES, Action
from spark_jobs.lake.refusals import plain_refusals
from spark_jobs.lake.tables import Lake, retry_conflicts
from spark_jobs.running.session import hold_rows

IMAGE_ID_HEX_DIGITS = 16


def rejected(sifted: DataFrame, applied: Applied) -> DataFrame:
    """The bad rows of SIFTED_COLUMNS as rows of `catalog_quarantine`."""
    return (
        sifted.where(F.size("faults") > 0)
        .select(
            _moment(applied.end_us).alias("interval_end"),
            F.lit(str(applied.mode)).alias("mode"),
            "row_hash",
            F.inline("faults"),
            "product_id",
            "raw",
        )
        .dropDuplicates(["row_hash", "reason", "field"])
        .select(*CATALOG_QUARANTINE.column_names)
    )


def rejected_before(lake: Lake, interval_end: str, applied: Applied) -> DataFrame:
    """The rows of an earlier interval of the same mode, its end as in keys, as those of this one."""
    before = lake.read(CATALOG_QUARANTINE).where(_is_of(end_us(parse_time(interval_end)), applied.mode))
    return before.withColumn("interval_end", _moment(applied.end_us))


def write_quarantine(lake: Lake, now: DataFrame, applied: Applied, rows_bad: int) -> None:
    """Make this interval's rows in `catalog_quarantine` those of this run."""
    before = lake.read(CATALOG_QUARANTINE).where(_is_of(applied.end_us, applied.mode))
    is_first = lake.version(CATALOG_QUARANTINE) == 0 or before.isEmpty()
    if is_first and not rows_bad:
        return
    if is_first:
        _append(lake, CATALOG_QUARANTINE, now)
    else:
        _merge_difference(lake, CATALOG_QUARANTINE, before, now)


def write_products(lake: Lake, settled: DataFrame) -> None:
    """Merge rows of SETTLED_COLUMNS. A row that changed since it was settled is left as it is."""
    columns: dict[str, str | Column] = {name: f"settled.{name}" for name in PRODUCTS.column_names}
    unchanged_since = " AND ".join(f"known.{name} <=> settled.known_{name}" for name in KNOWN_COLUMNS)
    # Cut off from how it was settled: a merge plans and reads its source three times over.
    written = hold_rows(settled.where(F.col("action").isin(*map(str, WRITES))))
    (
        lake.to_write(PRODUCTS).alias("known")
        .merge(written.alias("settled"),
               "known.product_id = settled.product_id")
        .whenMatchedUpdate(f"settled.action = '{Action.UPDATE}' AND {unchanged_since}", set=columns)
        .whenMatchedUpdate(f"settled.action = '{Action.DELETE}' AND {unchanged_since}",
                           set={name: columns[name] for name in ("deleted", "source_interval")})
        .whenMatchedUpdate(f"settled.action = '{Action.ANTEDATE}' AND {unchanged_since}",
                           set={"first_seen": columns["first_seen"]})
        .whenNotMatchedInsert(f"settled.action = '{Action.INSERT}'", values=columns)
        .execute()
    )  # fmt: skip


def write_mentions(lake: Lake, settled: DataFrame) -> None:
    """Note when a product was last heard of, where that alone changed."""
    mentioned = settled.where(F.col("action") == str(Action.MENTION))
    values: dict[str, str | Column] = {"product_id": "now.product_id", "interval_end": "now.source_interval"}
    retry_conflicts(lambda: (
        lake.to_write(PRODUCT_MENTIONS).alias("before").merge(mentioned.alias("now"), "before.product_id = now.product_id")
        .whenMatchedUpdate("now.source_interval > before.interval_end", set=values)
        .whenNotMatchedInsert(values=values).execute()
    ))  # fmt: skip


def write_images(lake: Lake, touched: DataFrame | None) -> None:
    """Make `product_images` say what `products` says: of the touched product ids, or of all where that is None.

    Deleted products keep their rows: one that comes back finds its photos as they were.
    """
    products, before = lake.read(PRODUCTS), lake.read(PRODUCT_IMAGES)
    if touched is not None:
        products, before = (frame.join(touched, "product_id", "left_semi") for frame in (products, before))
    now = products.select("product_id", F.posexplode("image_urls").alias("position", "url")).select(
        "product_id", F.left(F.sha2("url", 256), F.lit(IMAGE_ID_HEX_DIGITS)).alias("image_id"), "url", "position"
    )
    _merge_difference(lake, PRODUCT_IMAGES, before, now)


def write_interval(lake: Lake, record: Recorded, start_us: int, *, is_new: bool) -> None:
    """Note that the interval was taken. Last: until then its snapshot vouches for nothing."""
    now = lake.spark.range(1).select(
        F.timestamp_micros(F.lit(record.end_us)).alias("interval_end"),
        F.timestamp_micros(F.lit(start_us)).alias("interval_start"),
        F.lit(record.mode).alias("mode"),
        *[F.lit(getattr(record, name)).cast("bigint").alias(name) for name in record._fields[2:]],
    )
    if is_new:
        _append(lake, CATALOG_INTERVALS, now)
        return
    intervals = lake.to_write(CATALOG_INTERVALS).alias("before").merge(now.alias("now"), _same_key(CATALOG_INTERVALS))
    retry_conflicts(intervals.whenMatchedUpdateAll().execute)


def _moment(us: int) -> Column:
    return F.timestamp_micros(F.lit(us))


def _is_of(interval_end_us: int, mode: Mode) -> Column:
    return (F.col("interval_end") == _moment(interval_end_us)) & (F.col("mode") == str(mode))


def _append(lake: Lake, table: Table, rows: DataFrame) -> None:
    """For rows whose keys name this interval, of which there are none yet: cheaper than a merge."""
    with plain_refusals(lake.path(table)):
        rows.select(*table.column_names).write.format("delta").mode("append").save(lake.path(table))


def _merge_difference(lake: Lake, table: Table, before: DataFrame, now: DataFrame) -> None:
    """Turn `before`, a part of the table, into `now`; both have its columns."""
    others = [name for name in table.column_names if name not in table.key]
    keys_match = [F.col(f"before.{name}").eqNullSafe(F.col(f"now.{name}")) for name in table.key]
    differs: Column = F.lit(False)
    for name in others:
        differs = differs | ~F.col(f"before.{name}").eqNullSafe(F.col(f"now.{name}"))
    first = table.key[0]
    is_gone, is_new = F.col(f"now.{first}").isNull(), F.col(f"before.{first}").isNull()
    difference = hold_rows(
        before.alias("before").join(now.alias("now"), keys_match, "full_outer")
        .where(is_gone | is_new | differs)
        .select(*[F.coalesce(f"now.{name}", f"before.{name}").alias(name) for name in table.key],
                *[F.col(f"now.{name}").alias(name) for name in others], is_gone.alias("gone"))
    )  # fmt: skip
    if not difference.isEmpty():
        retry_conflicts(lambda: _merge(lake.to_write(table), table, difference))


def _merge(target: DeltaTable, table: Table, difference: DataFrame) -> None:
    columns: dict[str, str | Column] = {name: f"now.{name}" for name in table.column_names}
    (
        target.alias("before").merge(difference.alias("now"), _same_key(table))
        .whenMatchedDelete("now.gone").whenMatchedUpdate(set=columns)
        .whenNotMatchedInsert("NOT now.gone", values=columns)
        .execute()
    )  # fmt: skip


def _same_key(table: Table) -> str:
    return " AND ".join(f"before.{name} <=> now.{name}" for name in table.key)
