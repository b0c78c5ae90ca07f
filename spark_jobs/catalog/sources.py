"""Where a catalog stands: CSV, JSONL, Parquet or PostgreSQL, read into rows of text.

Every source gives the same frame: the columns that the mapping names, as text under the names it uses, and beside
them RAW (the row as the shop wrote it) and UNREADABLE (it could not be split into fields at all).
"""

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    MapType,
    StringType,
    StructType,
    TimestampNTZType,
)

from schemas.errors import BadData, CatalogMissing, MappingInvalid
from schemas.mapping import CatalogMapping, fields_of, way_into
from spark_jobs.catalog.csv_files import CORRUPT, read_csv
from spark_jobs.catalog.jsonl_files import read_jsonl
from spark_jobs.catalog.nested import value_within
from spark_jobs.catalog.parquet_files import read_parquet
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.source_failures import database_error, explain_failure, first_line, missing_column
from spark_jobs.catalog.text import RAW, UNREADABLE, named, quoted

_JDBC_ROWS_AT_ONCE = "10000"
_READ_AS_TEXT = (DecimalType, TimestampNTZType)
_FLOATS = (DoubleType, FloatType)
_WHOLE_IN_A_DOUBLE = 1 << 53


def read_source(spark: SparkSession, place: CatalogPlace, mapping: CatalogMapping) -> DataFrame:
    """The source's rows as text. Raises MappingInvalid where a column is missing, CatalogMissing where there
    is nothing, BadData where it cannot be read."""
    # Else a folder named code=007 stands for the number 7.
    spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
    try:
        return _without_nulls(_read(spark, place, mapping), mapping)
    except (PySparkException, Py4JJavaError) as error:
        explained = explain_failure(error, place)
        if explained is error and isinstance(error, AnalysisException):
            kind = CatalogMissing if error.getCondition() == "PATH_NOT_FOUND" else BadData
            explained = kind(f"{place.shown} cannot be read: {first_line(error)}")
        raise explained from error


def _read(spark: SparkSession, place: CatalogPlace, mapping: CatalogMapping) -> DataFrame:
    if mapping.source_format == "postgresql":
        return _text_rows(_read_postgresql(spark, place, mapping), place, mapping)
    if place.is_database:
        raise MappingInvalid(f'{place.shown} is a database: write format = "postgresql" under [source]')
    path = place.file(mapping.source_path)
    if mapping.source_format == "jsonl":
        return read_jsonl(spark, path, place, mapping)
    is_csv = mapping.source_format == "csv"
    frame = read_csv(spark, path, mapping) if is_csv else read_parquet(spark, path)
    return _text_rows(frame, place, mapping)


def _without_nulls(rows: DataFrame, mapping: CatalogMapping) -> DataFrame:
    """Exports write NULL or \\N where a database has nothing."""
    if not mapping.nulls:
        return rows
    names = list(mapping.source_columns)
    return rows.withColumns({name: F.when(~F.trim(named(name)).isin(*mapping.nulls), named(name)) for name in names})


def _read_postgresql(spark: SparkSession, place: CatalogPlace, mapping: CatalogMapping) -> DataFrame:
    if not place.uri.startswith("jdbc:postgresql:"):
        raise MappingInvalid(f"--catalog {place.shown} is no PostgreSQL: write jdbc:postgresql://host:port/database")
    table = str(mapping.source_table).strip()
    options = {
        "url": place.uri,
        "driver": "org.postgresql.Driver",
        "dbtable": f"{table} AS source" if table.startswith("(") else table,
        "fetchsize": _JDBC_ROWS_AT_ONCE,
        "preferTimestampNTZ": "true",
    }
    options |= {"user": place.user} if place.user else {}
    options |= {"password": place.password} if place.password else {}
    try:
        found = spark.read.format("jdbc").options(**options).load()
        # As text: Spark's own decimals round what has many digits, stop at NaN, and give 7 as 7.000000000000000000;
        # times without a zone, which are UTC here, pass through the zone of the host that reads them.
        as_text = [
            f"{quoted(field.name)} STRING" for field in found.schema if isinstance(field.dataType, _READ_AS_TEXT)
        ]
        return (
            spark.read.format("jdbc").options(**options, customSchema=", ".join(as_text)).load() if as_text else found
        )
    except PySparkException as error:
        raise database_error(error, place, table) from None
    except Py4JJavaError as error:  # what the driver raises
        if "PSQLException" not in str(error):
            raise
        raise database_error(error, place, table) from None


def _text_rows(frame: DataFrame, place: CatalogPlace, mapping: CatalogMapping) -> DataFrame:
    """Their mapped columns as text, matched by exact name, else without regard to case and outer blanks; else found inside
    the column that a name with dots leads into."""
    known = [name for name in frame.columns if name != CORRUPT]
    loosely = {name.strip().lower(): name for name in reversed(known)}
    priced = fields_of(mapping.columns.get("price", ""))

    def known_as(theirs: str) -> str | None:
        return theirs if theirs in known else loosely.get(theirs.strip().lower())

    chosen = []
    for theirs in mapping.source_columns:
        name = known_as(theirs)
        way = way_into(theirs) if name is None else None
        name = known_as(way[0]) if way else name
        if name is None:
            raise missing_column(theirs, known, place)
        text = _as_text(named(name), frame.schema[name].dataType)
        if theirs not in priced:  # a table without nulls has NaN in their place; as a price it is said to be no number
            text = F.nullif(text, F.lit("NaN")) if isinstance(frame.schema[name].dataType, _FLOATS) else text
        chosen.append((value_within(text, way[1]) if way else text).alias(theirs))
    as_json = F.to_json(F.struct(*[named(name) for name in known]))
    has_corrupt = CORRUPT in frame.columns
    unreadable = F.col(CORRUPT).isNotNull() if has_corrupt else F.lit(False)
    raw = F.coalesce(F.col(CORRUPT), as_json) if has_corrupt else as_json
    return frame.select(raw.alias(RAW), unreadable.alias(UNREADABLE), *chosen)


def _as_text(column: Column, data_type: DataType) -> Column:
    if isinstance(data_type, (ArrayType, MapType, StructType)):
        return F.to_json(column)
    if isinstance(data_type, BinaryType):
        return F.make_valid_utf8(column.cast("string"))
    if isinstance(data_type, StringType):
        return F.make_valid_utf8(column)
    if isinstance(data_type, _FLOATS):  # whole numbers beside a null become these, and as text 1.23456789E8
        whole = (column == F.floor(column)) & (F.abs(column) <= _WHOLE_IN_A_DOUBLE)
        return F.when(whole, column.cast("bigint").cast("string")).otherwise(column.cast("string"))
    return column.cast("string")
