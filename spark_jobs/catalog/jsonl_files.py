"""JSON Lines: an object on each line, its fields as text, and what is no JSON Lines at all."""

import logging

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructType

from schemas.errors import MappingInvalid
from schemas.mapping import CatalogMapping, fields_of, way_into
from spark_jobs.catalog.nested import value_within
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.source_failures import missing_column, refuse_other_format
from spark_jobs.catalog.text import RAW, UNREADABLE

log = logging.getLogger("shoplens")

_EARLY_LINES = 1000
_NO_JSONL = {
    r"^\ufeff?\s*\[": "holds a JSON array: write an object a line, as `jq -c '.[]'` does",
    r"^\ufeff?\s*\{\s*$": "has objects over several lines: write each on one, as `jq -c .` does",
    "^PK\x03\x04": "is a ZIP archive: unpack it",
    "^\x1f?\ufffd\x08": "is gzipped: name it .jsonl.gz",
    "\0": "looks like UTF-16: JSON Lines are UTF-8",
}
"""What stands on a first line where no early line is an object, and what to say."""


def read_jsonl(spark: SparkSession, path: str, place: CatalogPlace, mapping: CatalogMapping) -> DataFrame:
    """RAW, UNREADABLE and the mapped columns as text. Raises MappingInvalid where no early line has the id's key, BadData
    where the file is something else than JSON Lines."""
    if mapping.encoding.lower().replace("-", "") != "utf8":
        raise MappingInvalid(f"[source] encoding is {mapping.encoding!r}, but JSONL is UTF-8 by definition")
    schema = StructType()
    for key in _keys_read(mapping):
        schema.add(key, StringType())
    # Bytes that are no UTF-8 become U+FFFD, by which the row is known as wrongly encoded later on.
    lines = spark.read.text(path).select(F.make_valid_utf8("value").alias(RAW)).where(F.trim(RAW) != "")
    # In brackets: of several objects on a line Spark would take the first and lose the others without a word.
    listed = F.concat(F.lit("["), F.regexp_replace(RAW, r",\s*$", ""), F.lit("]"))
    objects = F.from_json(listed, ArrayType(schema), {"mode": "PERMISSIVE"})
    parsed = lines.withColumn("objects", objects).select(
        RAW, F.when(F.size("objects") == 1, F.get("objects", F.lit(0))).alias("row")
    )
    if keys := _early_keys(lines):
        _refuse_unknown_keys(keys, place, mapping)
    elif first := lines.first():
        refuse_other_format(first[RAW], _NO_JSONL, path)
    return parsed.select(
        RAW, F.col("row").isNull().alias(UNREADABLE),
        *[_key_or_within(theirs).alias(theirs) for theirs in mapping.source_columns],
    )  # fmt: skip


def _keys_read(mapping: CatalogMapping) -> list[str]:
    """The keys that columns are named by, and those that names with dots lead into."""
    ways = map(way_into, mapping.source_columns)
    return list(dict.fromkeys([*mapping.source_columns, *(way[0] for way in ways if way)]))


def _key_or_within(theirs: str) -> Column:
    key, way = F.col("row").getField(theirs), way_into(theirs)
    return F.coalesce(key, value_within(F.col("row").getField(way[0]), way[1])) if way else key


def _early_keys(lines: DataFrame) -> set[str]:
    return {row[0] for row in lines.limit(_EARLY_LINES).select(F.explode(F.json_object_keys(RAW))).distinct().collect()}


def _refuse_unknown_keys(keys: set[str], place: CatalogPlace, mapping: CatalogMapping) -> None:
    """JSONL has no header, and a key may be absent from most lines: only an id that no early line has is a mistake.

    Of another key that none of them has it is said, for it may be one too; but for that of what was deleted, which is rare.
    """
    needed, rare = mapping.columns["product_id"], fields_of(mapping.columns.get("deleted", ""))
    absent = [theirs for theirs in mapping.source_columns if not keys & {theirs, (way_into(theirs) or (theirs,))[0]}]
    if needed in absent:
        raise missing_column(needed, list(keys), place)
    for theirs in absent:
        if theirs not in rare:
            log.warning("the mapping names %r, which none of the first lines of %s has", theirs, place.shown)
