"""Parquet as pandas, Spark and databases write it, and Delta tables."""

from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType

from spark_jobs.catalog.parquet_parts import read_parts
from spark_jobs.catalog.text import quoted


def read_parquet(spark: SparkSession, path: str) -> DataFrame:
    """All columns of all files as they are typed, times in microseconds; of a Delta table its newest version."""
    # Else Spark refuses a file for one column of nanoseconds, mapped or not; pandas writes its times so.
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    if _is_delta_table(spark, path):  # its folder holds the files of older versions too
        return spark.read.format("delta").load(path)
    # Else one file decides which columns there are, and those that a shop added since are missing or null.
    try:
        found = spark.read.option("mergeSchema", "true").parquet(path)
    except Py4JJavaError as error:
        differ = "CANNOT_MERGE_SCHEMAS" in str(error)
        joined = read_parts(spark, path, lambda frame: _with_times(spark, frame)) if differ else None
        if joined is None:
            raise
        return joined
    return _with_times(spark, found)


def _with_times(spark: SparkSession, found: DataFrame) -> DataFrame:
    """Nanoseconds, which Spark read as plain numbers, as the times they are."""
    times = {name: quoted(name) for name in _columns_of_nanoseconds(spark, found)}
    # In whole numbers: a double holds no nanoseconds since 1970. Rounded down, and by no sum that leaves 64 bits.
    return found.withColumns(
        {
            name: F.expr(f"timestamp_micros({nanos} div 1000 - if({nanos} % 1000 < 0, 1, 0))")
            for name, nanos in times.items()
        }
    )


def _is_delta_table(spark: SparkSession, path: str) -> bool:
    log: Any = spark._jvm.org.apache.hadoop.fs.Path(f"{path}/_delta_log")  # type: ignore[union-attr]
    return bool(log.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf()).exists(log))


def _columns_of_nanoseconds(spark: SparkSession, found: DataFrame) -> list[str]:
    """As the files' footers say: to Spark they are plain numbers now. One file says it of all the columns that it has."""
    unknown = {field.name for field in found.schema if isinstance(field.dataType, LongType)}
    nanoseconds: set[str] = set()
    for file in found.inputFiles():
        if not unknown:
            break
        kinds = _logical_types(spark, file)
        nanoseconds |= {name for name in unknown if kinds.get(name, "").startswith("TIMESTAMP(NANOS")}
        unknown -= kinds.keys()
    return [name for name in found.columns if name in nanoseconds]


def _logical_types(spark: SparkSession, uri: str) -> dict[str, str]:
    """Each column of a Parquet file with what it stands for, as its footer has it."""
    jvm: Any = spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(jvm.java.net.URI(uri))
    hadoop = spark._jsparkSession.sessionState().newHadoopConf()
    file = jvm.org.apache.parquet.hadoop.util.HadoopInputFile.fromPath(path, hadoop)
    reader = jvm.org.apache.parquet.hadoop.ParquetFileReader.open(file)
    try:
        fields = reader.getFooter().getFileMetaData().getSchema().getFields()
        return {str(field.getName()): str(field.getLogicalTypeAnnotation()) for field in fields}
    finally:
        reader.close()
