"""What a run of fetch_images writes: the photos that came, verdicts that moved, and a ledger row for every link looked at."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.tables import IMAGE_FETCHES, IMAGES
from spark_jobs.fetch.outcomes import PREVIOUS_FIELDS
from spark_jobs.lake.tables import Lake, retry_conflicts
from spark_jobs.running.session import broadcast_few


def record_photos(
    lake: Lake, outcomes: DataFrame | None, decided: DataFrame, changes: Mapping[str, int], *, replaces: bool
) -> dict[str, int]:
    """Bring `images` up to date in at most two commits: new photos with their bytes, then old ones whose verdict moved."""
    new, again, moved = (changes.get(change, 0) for change in ("insert", "replace", "update"))
    if outcomes is not None and (new or again):
        taken = broadcast_few(decided.where(F.col("change").isin("insert", "replace")), new + again)
        _merge_new_photos(lake, _photo_rows(outcomes, taken), replaces=replaces)
    if moved:
        _merge_verdicts(lake, decided.where(F.col("change") == "update"))
    return {"photos_new": new, "photos_checked_again": again, "verdicts_moved": moved}


def _photo_rows(outcomes: DataFrame, taken: DataFrame) -> DataFrame:
    """Rows of `images`: what a worker found, with what the whole set says."""
    found = outcomes.drop("content_sha256", "verdict", "reason", "phash")
    return found.join(taken, "url").select(*IMAGES.column_names)


def _merge_new_photos(lake: Lake, rows: DataFrame, *, replaces: bool) -> None:
    def write() -> None:
        merge = lake.to_write(IMAGES).alias("held").merge(rows.alias("new"), "held.content_sha256 = new.content_sha256")
        if replaces:
            merge = merge.whenMatchedUpdateAll()
        merge.whenNotMatchedInsertAll().execute()

    retry_conflicts(write)


def _merge_verdicts(lake: Lake, moved: DataFrame) -> None:
    columns = ("verdict", "reason", "near_duplicate_of")

    def write() -> None:
        lake.to_write(IMAGES).alias("held").merge(
            moved.alias("new"), "held.content_sha256 = new.content_sha256"
        ).whenMatchedUpdate(set={name: f"new.{name}" for name in columns}).execute()

    retry_conflicts(write)


def record_ledger(lake: Lake, outcomes: DataFrame) -> None:
    """Every link that was looked at gets its row; the recorded time never goes back."""
    rows = outcomes.select(*IMAGE_FETCHES.column_names)
    columns: dict[str, str | Column] = {name: f"new.{name}" for name, _ in PREVIOUS_FIELDS}
    columns["fetched_as_of"] = "greatest(held.fetched_as_of, new.fetched_as_of)"

    def write() -> None:
        lake.to_write(IMAGE_FETCHES).alias("held").merge(rows.alias("new"), "held.url = new.url").whenMatchedUpdate(
            set=columns
        ).whenNotMatchedInsertAll().execute()

    retry_conflicts(write)
