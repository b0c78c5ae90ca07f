"""Which products may have other rows than before: Delta's change feeds between two sets of versions, brought to product ids.

The feeds only narrow what is compared. A product that is named here and did not change costs a look; one that changed and
is not named would be lost, so wherever a feed cannot tell, the answer is None: all products.
"""

import logging
from collections.abc import Mapping

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCT_IMAGES, PRODUCTS, Table, embeddings
from spark_jobs.lake import Lake
from spark_jobs.session import broadcast_few

log = logging.getLogger("shoplens")

Versions = Mapping[str, int]


def changed_products(lake: Lake, model_id: str, since: Versions, until: Versions) -> DataFrame | None:
    """(product_id) of every product whose rows may differ between the versions; None where the feeds cannot tell.

    A product counts where its own row or links changed, where one of its links has other content or was given up on,
    where a photo it shows got another verdict, or where the model made a vector for one.
    """
    tables = (PRODUCTS, PRODUCT_IMAGES, IMAGE_FETCHES, IMAGES, embeddings(model_id))
    keys: dict[str, DataFrame] = {}
    for table in tables:
        found = _changed_keys(lake, table, since, until, _COMPARED.get(table.path))
        if found is None:
            return None
        keys[table.path] = found
    contents = keys[IMAGES.path].union(keys[embeddings(model_id).path]).distinct().localCheckpoint()
    fetches = lake.read(IMAGE_FETCHES, until.get(IMAGE_FETCHES.path)).select("url", "content_sha256")
    urls = _matching(fetches, contents, "content_sha256").select("url").union(keys[IMAGE_FETCHES.path])
    links = lake.read(PRODUCT_IMAGES, until.get(PRODUCT_IMAGES.path)).select("product_id", "url")
    by_photo = _matching(links, urls.distinct().localCheckpoint(), "url").select("product_id")
    named = by_photo.union(keys[PRODUCTS.path]).union(keys[PRODUCT_IMAGES.path])
    return named.distinct().localCheckpoint()


# What a row of the index takes from a table besides its key; where a table is not named here, every change counts.
_COMPARED = {
    IMAGE_FETCHES.path: "struct(content_sha256, status = 'gave_up')",
    IMAGES.path: "struct(verdict)",
}
_KEYS = {PRODUCTS.path: "product_id", PRODUCT_IMAGES.path: "product_id", IMAGE_FETCHES.path: "url"}


def _changed_keys(lake: Lake, table: Table, since: Versions, until: Versions, compared: str | None) -> DataFrame | None:
    """One column of keys, read through to the end so that a feed with a hole is noticed here; None where there is one."""
    key = _KEYS.get(table.path, "content_sha256")
    first, last = since.get(table.path), until.get(table.path)
    if first is None or last is None or first > last:
        log.info("%s: no version to start from, all products are compared", table.path)
        return None
    if first == last:
        return lake.read(table, last).select(key).limit(0)
    try:
        feed = (
            lake.spark.read.format("delta").option("readChangeFeed", "true")
            .option("startingVersion", first + 1).option("endingVersion", last).load(lake.path(table))
        )  # fmt: skip
        if compared is not None:
            # A row that was written again as it was has two images, before and after, that say the same.
            versions = feed.groupBy(key, "_commit_version").agg(
                F.countDistinct(F.expr(compared)).alias("states"),
                F.bool_or(F.col("_change_type").isin("insert", "delete")).alias("came_or_went"),
            )
            feed = versions.where((F.col("states") > 1) | F.col("came_or_went"))
        return feed.select(key).distinct().localCheckpoint()
    except (PySparkException, Py4JError) as error:
        why = str(error).strip().splitlines()[0]
        log.warning("the change feed of %s does not reach back to version %d, all products are compared: %s",
                    table.path, first + 1, why)  # fmt: skip
        return None


def _matching(rows: DataFrame, keys: DataFrame, name: str) -> DataFrame:
    """The rows with one of the keys, each large table passed over once and not shuffled."""
    return rows.join(broadcast_few(keys, keys.count()), name, "left_semi")
