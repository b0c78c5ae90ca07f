"""Parquet parts in which one column has several types, as pandas writes them: a column without one value in a part gets any
type there, and whole numbers another width.

Whole numbers beside fractions stay refused: 7 in one part would be 7.0 in another, and two products.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import reduce
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ByteType, DataType, IntegerType, LongType, ShortType, StringType, StructField

from spark_jobs.catalog.text import quoted

_WHOLE_NUMBERS = {ByteType(), ShortType(), IntegerType(), LongType()}
_GLOB_SIGNS = re.compile(r"([\[\]{}*?\\])")


def read_parts(spark: SparkSession, path: str, finish: Callable[[DataFrame], DataFrame]) -> DataFrame | None:
    """All rows of all files, those of each kind of file read by `finish`; None where a column's values differ in type."""
    files = spark.read.parquet(path).inputFiles()
    if any("=" in unquote(file).rpartition("/")[0] for file in files):
        return None  # folders may stand for columns, which files read by themselves lack
    alike: dict[tuple[StructField, ...], list[str]] = defaultdict(list)
    for file in map(_literally, files):
        alike[tuple(spark.read.parquet(file).schema)].append(file)
    types = _types(alike)
    disputed = {name for name, kinds in types.items() if len(kinds) > 1}
    frames = [_filled(spark.read.parquet(*group), disputed) for group in alike.values()]
    left = _types(frame.schema for frame in frames)
    if any(len(kinds) > 1 and not kinds <= _WHOLE_NUMBERS for kinds in left.values()):
        return None
    same = [_widened(finish(frame), disputed) for frame in frames]
    found = reduce(lambda first, second: first.unionByName(second, allowMissingColumns=True), same)
    return found.withColumns({name: F.lit(None).cast(StringType()) for name in types if name not in left})


def _types(files: Iterable[Iterable[StructField]]) -> dict[str, set[DataType]]:
    types: dict[str, set[DataType]] = defaultdict(set)
    for fields in files:
        for field in fields:
            types[field.name].add(field.dataType)
    return types


def _filled(frame: DataFrame, disputed: set[str]) -> DataFrame:
    """Without those of `disputed` that hold no value; footers do not tell, for pandas counts nothing in such a column."""
    asked = [name for name in frame.columns if name in disputed]
    counts = frame.agg(*[F.count(quoted(name)) for name in asked]).first() if asked else None
    return frame.drop(*[name for name, count in zip(asked, counts or (), strict=True) if count == 0])


def _widened(frame: DataFrame, names: set[str]) -> DataFrame:
    whole = [field.name for field in frame.schema if field.name in names and field.dataType in _WHOLE_NUMBERS]
    return frame.withColumns({name: F.col(quoted(name)).cast(LongType()) for name in whole})


def _literally(uri: str) -> str:
    """Of one file, for Spark, which takes signs in a name for a pattern."""
    return _GLOB_SIGNS.sub(r"\\\1", unquote(uri))
