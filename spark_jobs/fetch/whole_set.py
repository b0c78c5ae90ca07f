"""What no photo can tell alone: placeholders and near-duplicates, as functions of the whole set of photos."""

from itertools import pairwise

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.running.session import broadcast_few, hold_rows

HASH_BITS = 64


def placeholder_hashes(shown: DataFrame, photos: DataFrame, products_max: int) -> DataFrame:
    """(phash): pictures on more than `products_max` designs. Variants of one group, or of one title, count once.

    shown (group_id, title, content_sha256) are the live links, photos (content_sha256, phash) those that pass alone.
    """
    # Nearly every picture has few links at all: designs, which cost more, are counted for the others only.
    links_of = shown.groupBy("content_sha256").agg(F.count("*").alias("links"))
    by_hash = photos.join(links_of, "content_sha256").groupBy("phash").agg(F.sum("links").alias("links"))
    often_shown = hold_rows(by_hash.where(F.col("links") > products_max))
    rows = often_shown.agg(F.sum("links").alias("links")).collect()[0]["links"] or 0
    suspects = photos.join(broadcast_few(often_shown.select("phash"), rows), "phash")
    on_designs = shown.join(broadcast_few(suspects.select("content_sha256", "phash"), rows), "content_sha256")
    designs = F.least(F.countDistinct("group_id"), F.countDistinct(F.coalesce("title", "group_id")))
    counted = on_designs.groupBy("phash").agg(designs.alias("designs"))
    return counted.where(F.col("designs") > products_max).select("phash")


def near_duplicates(photos: DataFrame, fresh: DataFrame, distance_max: int) -> DataFrame:
    """(content_sha256, original): for each photo that has an original, the smallest content_sha256 within the distance.

    photos (content_sha256, phash); only pairs with a side in `fresh`, of the same columns, are compared. A photo that
    is itself the smallest has no row. With at most d differing bits, one of d + 1 bands of the hash is equal: pairs
    meet there, so that not all are compared. Source: Manku et al. 2007, section 3.
    """
    every, new = _smallest_by_hash(photos), broadcast_few(_smallest_by_hash(fresh), fresh.count())
    pairs = hold_rows(_close_pairs(new, every, distance_max), eager=False)  # read twice
    both_ways = pairs.unionByName(pairs.select(F.col("other").alias("phash"), F.col("phash").alias("other"),
                                               F.col("first").alias("other_first"), F.col("other_first").alias("first")))  # fmt: skip
    originals = both_ways.groupBy("phash").agg(F.min("other_first").alias("original"))
    return (
        photos.join(originals, "phash")
        .where(F.col("original") < F.col("content_sha256"))
        .select("content_sha256", "original")
    )


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
