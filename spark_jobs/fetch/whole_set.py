"""What no photo can tell alone: placeholders and near-duplicates, as functions of the whole set of photos."""

from itertools import pairwise

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.running.session import broadcast_few, hold_rows

HASH_BITS = 64


def count_links(shown: DataFrame) -> DataFrame:
    """(content, links, urls): how many live links show a content, and how many URLs these are, by `content_key`.

    shown (url, content_sha256, …) has a row a link; a URL has one content.
    """
    by_url = shown.groupBy(F.xxhash64("url").alias("url"), content_key().alias("content"))
    counted = by_url.agg(F.count("*").alias("links"))
    return counted.groupBy("content").agg(F.sum("links").alias("links"), F.count("*").alias("urls"))


def content_key() -> Column:
    """64 bits in place of content_sha256, for counts: a twelfth of what is shuffled and sorted. Should two contents of
    millions meet, each is counted with the links of both: designs are then counted in vain, and a URL twice."""
    return F.when(F.col("content_sha256").isNotNull(), F.xxhash64("content_sha256"))


def placeholder_hashes(shown: DataFrame, photos: DataFrame, products_max: int) -> DataFrame:
    """(phash): pictures on more than `products_max` designs. Variants of one group, or of one title, count once.

    shown (group_id, title, content_sha256) are the live links, photos (content_sha256, phash, links) those that pass alone,
    with what `count_links` says of them.
    """
    # Nearly every picture has few links at all: designs, which cost more, are counted for the others only.
    by_hash = photos.groupBy("phash").agg(F.sum("links").alias("links"))
    often_shown = hold_rows(by_hash.where(F.col("links") > products_max))
    rows = often_shown.agg(F.sum("links").alias("links")).collect()[0]["links"] or 0
    suspects = photos.join(broadcast_few(often_shown.select("phash"), rows), "phash")
    on_designs = shown.join(broadcast_few(suspects.select("content_sha256", "phash"), rows), "content_sha256")
    designs = F.least(F.countDistinct("group_id"), F.countDistinct(F.coalesce("title", "group_id")))
    counted = on_designs.groupBy("phash").agg(designs.alias("designs"))
    return counted.where(F.col("designs") > products_max).select("phash")


def nearest_originals(photos: DataFrame, fresh: DataFrame, distance_max: int) -> DataFrame:
    """(phash, original): for each hash, the smallest content_sha256 within the distance, its own included.

    photos (content_sha256, phash); only pairs with a side in `fresh`, of the same columns, are compared: a hash that is near
    none of these has no row. With at most d differing bits, one of d + 1 bands of the hash is equal: pairs meet there, so
    that not all are compared. Source: Manku et al. 2007, section 3.
    """
    every, new = _smallest_by_hash(photos), broadcast_few(_smallest_by_hash(fresh), fresh.count())
    pairs = hold_rows(_close_pairs(new, every, distance_max), eager=False)  # read twice
    both_ways = pairs.unionByName(pairs.select(F.col("other").alias("phash"), F.col("phash").alias("other"),
                                               F.col("first").alias("other_first"), F.col("other_first").alias("first")))  # fmt: skip
    originals = hold_rows(both_ways.groupBy("phash").agg(F.min("other_first").alias("original")))
    return broadcast_few(originals, originals.count())


def _smallest_by_hash(photos: DataFrame) -> DataFrame:
    return photos.groupBy("phash").agg(F.min("content_sha256").alias("first"))


def _close_pairs(some: DataFrame, every: DataFrame, distance_max: int) -> DataFrame:
    """(phash, first, other, other_first) within the distance, itself included."""
    left = some.select("phash", "first", F.explode(_bands("phash", distance_max + 1)).alias("band"))
    right = every.select(
        F.col("phash").alias("other"), F.col("first").alias("other_first"),
        F.explode(_bands("phash", distance_max + 1)).alias("band"),
    )  # fmt: skip
    is_close = F.bit_count(F.col("phash").bitwiseXOR(F.col("other"))) <= distance_max
    return left.join(right, "band").where(is_close).drop("band")


def _bands(hash_name: str, count: int) -> Column:
    """The hash cut into `count` bands, each as number · 2³² + its bits."""
    edges = [HASH_BITS * number // count for number in range(count + 1)]
    bands = []
    for number, (low, high) in enumerate(pairwise(edges)):
        bits = F.shiftrightunsigned(hash_name, low).bitwiseAND(F.lit((1 << (high - low)) - 1))
        bands.append(F.struct(F.lit(number).alias("number"), bits.alias("bits")))
    return F.array(*bands)
