"""Rows that claim one product id: which one speaks for the product."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.reasons import RowReason
from spark_jobs.catalog.rows import JUDGED_COLUMNS

SIFTED_COLUMNS = (*JUDGED_COLUMNS, "kept")
"""JUDGED_COLUMNS, and `kept`: this row is what the source says of its product."""


def sift_duplicates(judged: DataFrame, *, snapshot: bool) -> DataFrame:
    """Keep one good row for each product id, as SIFTED_COLUMNS; of a snapshot no row marked as deleted, which is absent.

    The row with the newest `updated_at` wins, then the one with the smallest content hash, so the answer does not
    depend on the order of rows. Rows that say the same collapse silently; the others get the fault `duplicate_id`.
    """
    takes_part = F.size("faults") == 0
    if snapshot:
        takes_part = takes_part & ~F.col("deleted")
    # The others stand each in a group of its own: they contest nothing and do not pile up in one partition.
    claim = F.when(takes_part, F.concat(F.lit("id "), "product_id")).otherwise(F.concat(F.lit("row "), "row_hash"))
    newest_first = Window.partitionBy("claim").orderBy(F.col("updated_at").desc_nulls_last(), "deleted", "content_hash")
    ranked = judged.withColumns({"takes_part": takes_part, "claim": claim}).select(
        *JUDGED_COLUMNS,
        "takes_part",
        F.row_number().over(newest_first).alias("rank"),
        F.first(F.struct("deleted", "content_hash")).over(newest_first).alias("chosen"),
    )
    contradicts = F.col("takes_part") & (F.struct("deleted", "content_hash") != F.col("chosen"))
    duplicate = F.array(
        F.struct(F.lit(str(RowReason.DUPLICATE_ID)).alias("reason"), F.lit("product_id").alias("field"))
    )
    return ranked.withColumns(
        {
            "faults": F.when(contradicts, duplicate).otherwise(F.col("faults")),
            "kept": F.col("takes_part") & (F.col("rank") == 1),
        }
    ).select(*SIFTED_COLUMNS)
