"""Which products may have other rows than before: Delta's change feeds between two sets of versions, brought to product ids.

The feeds only narrow what is compared. A product that is named here and did not change costs a look; one that changed and
is not named would be lost, so wherever a feed cannot tell, the answer is None: all products.
"""

import logging
from collections.abc import Collection, Mapping

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCT_IMAGES, PRODUCTS, Table, embeddings
from spark_jobs.lake.tables import Lake
from spark_jobs.running.session import broadcast_few

log = logging.getLogger("shoplens")

Versions = Mapping[str, int]

KEYS_MAX = 200_000
"""Beyond so many changed keys of one kind, naming them on the driver costs more than it spares."""

# What a row of the index takes from a table besides its key; where a table is not named here, every change counts.
_COMPARED = {
    IMAGE_FETCHES.path: "struct(content_sha256, status = 'gave_up')",
    IMAGES.path: "struct(verdict)",
}
_KEYS = {PRODUCTS.path: "product_id", PRODUCT_IMAGES.path: "product_id", IMAGE_FETCHES.path: "url"}


def changed_products(lake: Lake, model_id: str, since: Versions, until: Versions) -> set[str] | None:
    """The id of every product whose rows may differ between the versions; None where that is too many, or unknown.

    A product counts where its own row or links changed, where one of its links has other content or was given up on,
    where a photo it shows got another verdict, or where the model made a vector for one.
    """
    changed: dict[str, set[str]] = {}
    for table in (PRODUCTS, PRODUCT_IMAGES, IMAGE_FETCHES, IMAGES, embeddings(model_id)):
        keys = _changed_keys(lake, table, since, until)
        if keys is None:
            return None
        changed[table.path] = keys
    contents = changed[IMAGES.path] | changed[embeddings(model_id).path]
    fetches = lake.read(IMAGE_FETCHES, until[IMAGE_FETCHES.path])
    urls = changed[IMAGE_FETCHES.path] | _column(rows_with(fetches, "content_sha256", contents), "url")
    links = lake.read(PRODUCT_IMAGES, until[PRODUCT_IMAGES.path])
    by_photo = _column(rows_with(links, "url", urls), "product_id")
    named = by_photo | changed[PRODUCTS.path] | changed[PRODUCT_IMAGES.path]
    return named if len(named) <= KEYS_MAX else None


def rows_with(rows: DataFrame, key: str, values: Collection[str]) -> DataFrame:
    """The rows whose `key` is one of a few values: the table is passed over once and not shuffled."""
    if not values:
        return rows.limit(0)
    wanted = rows.sparkSession.createDataFrame(pa.table({key: pa.array(sorted(values), pa.string())}))
    return rows.join(broadcast_few(wanted, len(values)), key, "left_semi")


def _changed_keys(lake: Lake, table: Table, since: Versions, until: Versions) -> set[str] | None:
    """The keys that the feed names, read through to the end so that a hole in it is noticed; None where there is one."""
    key = _KEYS.get(table.path, "content_sha256")
    first, last = since.get(table.path), until.get(table.path)
    if first is None or last is None or first > last:
        log.info("%s: no version to start from, all products are compared", table.path)
        return None
    if first == last:
        return set()
    try:
        feed = (
            lake.spark.read.format("delta").option("readChangeFeed", "true")
            .option("startingVersion", first + 1).option("endingVersion", last).load(lake.path(table))
        )  # fmt: skip
        if compared := _COMPARED.get(table.path):
            # A row that was written again as it was has two images, before and after, that say the same.
            versions = feed.groupBy(key, "_commit_version").agg(
                F.countDistinct(F.expr(compared)).alias("states"),
                F.bool_or(F.col("_change_type").isin("insert", "delete")).alias("came_or_went"),
            )
            feed = versions.where((F.col("states") > 1) | F.col("came_or_went"))
        keys = _column(feed.select(key).distinct().limit(KEYS_MAX + 1), key)
    except (PySparkException, Py4JError) as error:
        why = str(error).strip().splitlines()[0]
        log.warning("the change feed of %s does not reach back to version %d, all products are compared: %s",
                    table.path, first + 1, why)  # fmt: skip
        return None
    return keys if len(keys) <= KEYS_MAX else None


def _column(rows: DataFrame, name: str) -> set[str]:
    return set(rows.select(name).toArrow().column(name).to_pylist())
