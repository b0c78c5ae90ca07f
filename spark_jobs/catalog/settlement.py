"""What an interval means for each product: the rule that makes `products` a function of the set of intervals.

Read in the order of their ends, a snapshot upserts its rows and deletes every other product; changes upsert, or delete
where a row says so. Intervals arrive in any order, so the rule asks when a product was last heard of:

    effective = the newest of  source_interval                   it was written
                               product_mentions                  changes named it, and altered nothing
                               the newest snapshot, if it lives  a live product was in it, or it would not live

- A mention older than that is ignored, but may bring `first_seen` forward.
- Any other mention gives the content; the product is deleted if the mention says so or a newer snapshot stands.
- A snapshot deletes the live products that it lacks and that were not heard of since.

A row that a snapshot deletes keeps, as source_interval, when it was last heard of: what comes late from in between
still finds its place. Unchanged rows are not written; an unchanged row in changes is noted in `product_mentions`,
because no snapshot vouches for it. The same interval again replaces itself, as far as its rows still name a product.
"""

from enum import StrEnum

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.catalog.moments import Mode, Timeline
from spark_jobs.catalog.rows import CONTENT_COLUMNS

KNOWN_COLUMNS = ("content_hash", "first_seen", "source_interval", "deleted")
SETTLED_COLUMNS = (
    *CONTENT_COLUMNS, "content_hash", "first_seen", "source_interval", "deleted",
    *[f"known_{name}" for name in KNOWN_COLUMNS], "action",
)  # fmt: skip
"""A row of `products` to be, what stood there when it was settled, and what to do."""


class Action(StrEnum):
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    """A snapshot lacks it: only `deleted` and `source_interval` change."""
    ANTEDATE = "antedate"
    """Only `first_seen` changes."""
    MENTION = "mention"
    """Nothing changes but when it was last heard of: a row of `product_mentions`."""


WRITES = (Action.INSERT, Action.UPDATE, Action.DELETE, Action.ANTEDATE)


def settle(said: DataFrame, products: DataFrame, mentions: DataFrame, timeline: Timeline) -> DataFrame:
    """One row for each product that is said or (in a snapshot) known, as SETTLED_COLUMNS; `action` null: leave it.

    said: CONTENT_COLUMNS, content_hash, deleted; one row for each product_id.
    products, mentions: the tables as they stand.
    """
    is_snapshot = timeline.applied.mode is Mode.SNAPSHOT
    if not is_snapshot:  # few are said: the rest of the catalog need not be shuffled
        products = products.join(said.select("product_id"), "product_id", "left_semi")
    joined = _known(products, mentions, timeline).join(
        said.select(*[F.col(name).alias(f"said_{name}") for name in (*CONTENT_COLUMNS, "content_hash", "deleted")]),
        F.col("known_product_id") == F.col("said_product_id"),
        "full_outer" if is_snapshot else "right_outer",
    )
    end, moment = _instant(timeline.applied.end_us), _instant(timeline.applied.moment_us)
    action = _action(timeline)
    deleted_by_absence = action == str(Action.DELETE)
    return joined.select(
        F.coalesce("said_product_id", "known_product_id").alias("product_id"),
        *[F.col(f"said_{name}").alias(name) for name in (*CONTENT_COLUMNS[1:], "content_hash")],
        F.least(F.col("known_first_seen"), end).alias("first_seen"),
        F.when(deleted_by_absence, F.col("heard_before")).otherwise(moment).alias("source_interval"),
        (F.coalesce(deleted_by_absence, F.lit(False)) | _deleted_if_taken(timeline)).alias("deleted"),
        *[f"known_{name}" for name in KNOWN_COLUMNS],
        action.alias("action"),
    ).select(*SETTLED_COLUMNS)


def _known(products: DataFrame, mentions: DataFrame, timeline: Timeline) -> DataFrame:
    """Each product's state, when it was last heard of, and when it was but for this interval's own snapshot."""
    heard = mentions.select(F.col("product_id").alias("heard_product_id"), F.col("interval_end").alias("heard_at"))
    known = products.select(*[F.col(name).alias(f"known_{name}") for name in ("product_id", *KNOWN_COLUMNS)])
    live = ~F.col("known_deleted")
    written = (F.col("known_source_interval"), F.col("heard_at"))
    return (
        known.join(heard, F.col("known_product_id") == F.col("heard_product_id"), "left")
        .withColumn("effective", F.greatest(*written, F.when(live, _instant(timeline.newest_snapshot_us))))
        .withColumn("heard_before", F.greatest(*written, F.when(live, _instant(timeline.snapshot_before_us))))
    )


def _action(timeline: Timeline) -> Column:
    moment = _instant(timeline.applied.moment_us)
    known, said = F.col("known_product_id").isNotNull(), F.col("said_product_id").isNotNull()
    live = ~F.col("known_deleted")
    is_snapshot = F.lit(timeline.applied.mode is Mode.SNAPSHOT)
    deleted = _deleted_if_taken(timeline)
    older = F.col("effective") > moment
    same = (F.col("said_content_hash") == F.col("known_content_hash")) & (deleted == F.col("known_deleted"))
    earlier = _instant(timeline.applied.end_us) < F.col("known_first_seen")
    vouched_for = is_snapshot & ~deleted  # this snapshot is the newest, and the row is live: no note is needed
    return (
        F.when(~said, F.when(is_snapshot & live & ~older, str(Action.DELETE)))
        .when(~known, str(Action.INSERT))
        .when(older, F.when(earlier, str(Action.ANTEDATE)))
        .when(~same, str(Action.UPDATE))
        .when((F.col("effective") < moment) & ~vouched_for, str(Action.MENTION))
    )


def _deleted_if_taken(timeline: Timeline) -> Column:
    return F.coalesce("said_deleted", F.lit(False)) | F.lit(timeline.is_superseded)


def _instant(moment_us: int | None) -> Column:
    return F.timestamp_micros(F.lit(moment_us).cast("bigint"))
