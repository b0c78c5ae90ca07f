"""The rows of `images` after a run: which are new, and which old ones get another verdict. Pure functions of tables."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.reasons import PhotoReason
from spark_jobs.fetch.photo_checks import ACCEPTED, REJECTED
from spark_jobs.fetch.whole_set import content_key, count_links, nearest_originals, placeholder_hashes
from spark_jobs.running.session import BROADCAST_ROWS_MAX, broadcast_few, hold_rows


@dataclass(frozen=True)
class SetRules:
    """What makes a picture a placeholder (on more designs than this), and two photos near-duplicates (bits apart)."""

    placeholder_products_max: int = 3
    near_duplicate_bits: int = 4


def checked_photos(outcomes: DataFrame) -> DataFrame:
    """(content_sha256, url, from_scratch, verdict, reason, phash): one row for each content whose bytes came this run."""
    checked = outcomes.where(F.col("verdict").isNotNull())
    first = F.min(F.struct("url", "verdict", F.col("photo_reason").alias("reason"), "phash")).alias("first")
    return checked.groupBy("content_sha256").agg(first).select("content_sha256", "first.*")


def shown_photos(known: DataFrame, outcomes: DataFrame | None, looked_at: int) -> DataFrame:
    """(url, group_id, title, content_sha256): live links, and the content they will have once the run is recorded.

    known (…, content_sha256) are the links with what the ledger says of them, outcomes one row for each `looked_at`.
    """
    before = known.select("url", "group_id", "title", "content_sha256")
    if outcomes is None:
        return before
    after = outcomes.select("url", F.col("content_sha256").alias("new"), F.lit(True).alias("looked_at"))
    content = F.when(F.col("looked_at"), F.col("new")).otherwise(F.col("content_sha256"))
    return before.join(broadcast_few(after, looked_at), "url", "left").select(
        "url", "group_id", "title", content.alias("content_sha256")
    )


def decide_photos(
    existing: DataFrame, checked: DataFrame | None, came: int, shown: DataFrame, rules: SetRules, *, replaces: bool
) -> DataFrame:
    """(content_sha256, url, verdict, reason, near_duplicate_of, phash, urls, change): what `images` should say of each photo.

    `existing` are the rows of images without bytes, `checked` (no more than `came`) and `shown` as above; no `checked`:
    nothing new came. A content that is there already keeps its own check, unless `replaces`. `change` is insert, replace,
    update or null; `url` is set where the row's own check is to be taken from the run; `urls` live ones show the photo.
    """
    own = _own_checks(existing, checked, came, replaces=replaces)
    counted = own.withColumn("content", content_key()).join(count_links(shown), "content", "left").drop("content")
    photos = hold_rows(counted.fillna(0, ["links", "urls"]), eager=False)
    passing = photos.where(F.col("reason").isNull())
    placeholders = placeholder_hashes(shown, passing, rules.placeholder_products_max)
    decided = photos.join(F.broadcast(placeholders.withColumn("is_placeholder", F.lit(True))), "phash", "left")
    if checked is None:
        decided = decided.withColumn("original", F.lit(None).cast("string"))
    else:
        fresh = passing.where(F.col("url").isNotNull())
        decided = decided.join(nearest_originals(passing, fresh, rules.near_duplicate_bits), "phash", "left")
    passes = F.col("reason").isNull()
    original = F.when(passes & (F.col("original") < F.col("content_sha256")), F.col("original"))
    is_placeholder = passes & F.col("is_placeholder").isNotNull()
    decided = (
        decided.withColumn("near_duplicate_of", F.least(original, "was_near"))
        .withColumn("reason", F.when(is_placeholder, PhotoReason.PLACEHOLDER.value).otherwise(F.col("reason")))
        .withColumn("verdict", F.when(F.col("reason").isNull(), ACCEPTED).otherwise(REJECTED))
    )
    differs = ~(
        F.col("verdict").eqNullSafe(F.col("was_verdict"))
        & F.col("reason").eqNullSafe(F.col("was_reason"))
        & F.col("near_duplicate_of").eqNullSafe(F.col("was_near"))
    )
    change = (
        F.when(F.col("was_verdict").isNull(), "insert")
        .when(F.col("url").isNotNull(), "replace")
        .when(differs, "update")
    )
    return decided.select(
        "content_sha256", "url", "verdict", "reason", "near_duplicate_of", "phash", "urls", change.alias("change")
    )


def _own_checks(existing: DataFrame, checked: DataFrame | None, came: int, *, replaces: bool) -> DataFrame:
    """Every photo with the reason of its own check alone, and what `images` says of it now (was_…)."""
    was = existing.select(
        "content_sha256", F.col("verdict").alias("was_verdict"), F.col("reason").alias("was_reason"),
        F.col("phash").alias("was_phash"), F.col("near_duplicate_of").alias("was_near"),
    )  # fmt: skip
    own_before = F.when(F.col("was_reason") != PhotoReason.PLACEHOLDER.value, F.col("was_reason"))
    kept = ("content_sha256", "was_verdict", "was_reason", "was_near")
    if checked is None:
        nothing = F.lit(None).cast("string").alias("url")
        return was.select(*kept, nothing, own_before.alias("reason"), F.col("was_phash").alias("phash"))
    taken = F.col("was_verdict").isNull() | (F.lit(replaces) & F.col("verdict").isNotNull())
    return _join_all(was, checked, came).select(
        *kept,
        F.when(taken, F.col("url")).alias("url"),
        F.when(taken, F.col("reason")).otherwise(own_before).alias("reason"),
        F.when(taken, F.col("phash")).otherwise(F.col("was_phash")).alias("phash"),
    )


def _join_all(was: DataFrame, checked: DataFrame, came: int) -> DataFrame:
    """Rows of either side, joined where both have the content. An outer join would shuffle every photo to meet a few new
    ones."""
    if came > BROADCAST_ROWS_MAX:
        return was.join(checked, "content_sha256", "full")
    few = hold_rows(checked)
    there = was.select("content_sha256").join(F.broadcast(few.select("content_sha256")), "content_sha256", "left_semi")
    others = few.join(F.broadcast(there), "content_sha256", "left_anti")
    return was.join(F.broadcast(few), "content_sha256", "left").unionByName(others, allowMissingColumns=True)
