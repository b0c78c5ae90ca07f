"""Where a catalog stands: CSV, JSONL, Parquet or PostgreSQL, read into rows of text.

Every source gives the same frame: the columns that the mapping names, as text under the names it uses, and beside
them RAW (the row as the shop wrote it) and UNREADABLE (it could not be split into fields at all).
"""

import json
import re
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, DataType, DecimalType, LongType, MapType, StringType, StructType

from schemas.errors import BadData, MappingInvalid, Misconfigured, TryAgain
from schemas.mapping import CatalogMapping
from spark_jobs.catalog.places import CatalogPlace

RAW = "_raw"
UNREADABLE = "_unreadable"

_CORRUPT = "_corrupt"
_JDBC_ROWS_AT_ONCE = "10000"
_FAILURES = (
    (("CSV header does not conform", "Number of column in CSV header is not equal"),
     "CSV files with different headers, or with columns that have no name or share one: give each its own --catalog"),
    (("CANNOT_READ_FILE_FOOTER", "is not a Parquet file", "ParquetDecodingException", "can not read class org.apache.parquet"),
     "a Parquet file that is damaged or none at all: export it again"),
    (("PARQUET_COLUMN_DATA_TYPE_MISMATCH",),
     "Parquet files in which one column has different types: export them with one schema"),
    (("parquet.hadoop.BadConfigurationException",),
     "a Parquet file compressed in a way that Spark cannot undo: export it with snappy, gzip or zstd"),
    (("Unexpected end of input stream", "BuiltInGzipDecompressor", "DataFormatException"),
     "a compressed file that is damaged or cut off: export it again"),
    (("TextParsingException",), "a CSV file that cannot be taken apart: it has more than 20480 columns, or is none"),
    (("URISyntaxException", "Input Pattern", "Input path does not exist"),
     "one of : * ? [ ] { } \\ in the name of a folder or file, which Spark takes for a pattern: rename it"),
)  # fmt: skip
"""What Spark says somewhere in pages of trace, and what that comes to."""

_SAID_BY_DATABASE = re.compile(r"PSQLException: (.{1,200})")
_DELIMITERS = {",": ",", ";": ";", "\t": "\\t", "|": "|"}


def read_source(spark: SparkSession, place: CatalogPlace, mapping: CatalogMapping) -> DataFrame:
    """The source's rows as text. Raises MappingInvalid where a column is missing, BadData where nothing can be read."""
    try:
        if mapping.source_format == "postgresql":
            return _text_rows(_read_postgresql(spark, place, mapping), place, mapping)
        if place.is_database:
            raise MappingInvalid(f'{place.shown} is a database: write format = "postgresql" under [source]')
        path = place.file(mapping.source_path)
        if mapping.source_format == "jsonl":
            return _read_jsonl(spark, path, place, mapping)
        read = _read_csv if mapping.source_format == "csv" else _read_parquet
        return _text_rows(read(spark, path, mapping), place, mapping)
    except AnalysisException as error:
        raise BadData(f"{place.shown} cannot be read: {_first_line(error)}") from error
    except (PySparkException, Py4JJavaError) as error:
        raise explain_failure(error, place) from error


def explain_failure(error: Exception, place: CatalogPlace) -> Exception:
    """A one-line error for what Spark met while it read the source, or the same error where it is none of those."""
    text = str(error)
    if place.is_database and _SAID_BY_DATABASE.search(text):
        return _database_error(error, place, "table or query of that kind")
    for signs, said in _FAILURES:
        if any(sign in text for sign in signs):
            return BadData(f"{place.shown} has {said}")
    return error


def missing_column(theirs: str, known: list[str], place: CatalogPlace) -> MappingInvalid:
    return MappingInvalid(f"the mapping names column {theirs!r}, but {place.shown} has {', '.join(sorted(known))}")


def named(column: str) -> Column:
    """A column by its exact name, dots and all."""
    return F.col(_quoted(column))


def _quoted(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"


def _read_csv(spark: SparkSession, path: str, mapping: CatalogMapping) -> DataFrame:
    encoding = _charset(spark, mapping.encoding)
    separator = mapping.delimiter.replace("\\", "\\\\")
    options = {"header": "true", "multiLine": "true", "escape": '"', "encoding": encoding, "sep": separator}
    found = spark.read.options(**options).csv(path)
    header = [name for name in found.columns if name]
    if not header:
        raise BadData(f"{path} is empty: a CSV file needs a line of column names")
    _refuse_other_delimiter(header, path, mapping)
    schema = StructType()
    for name in [*header, _CORRUPT]:
        schema.add(name, StringType())
    # Without enforceSchema every file's header is compared: a second file in another order would land shifted. One file
    # alone needs no comparing, which would refuse the names that Spark makes up for columns without one of their own.
    alone = str(len(found.inputFiles()) == 1).lower()
    return spark.read.options(**options, columnNameOfCorruptRecord=_CORRUPT, enforceSchema=alone).csv(path, schema)


def _refuse_other_delimiter(header: list[str], path: str, mapping: CatalogMapping) -> None:
    """A header that is one name with other signs in it says which one the mapping should name."""
    if len(header) == 1 and len(mapping.source_columns) > 1:
        for sign, written in _DELIMITERS.items():
            if sign != mapping.delimiter and sign in header[0]:
                raise MappingInvalid(
                    f'{path} has {written} between its fields: write delimiter = "{written}" in [source]'
                )


def _charset(spark: SparkSession, encoding: str) -> str:
    """The name by which Java knows an encoding. Shops still export windows-1252, which Spark 4 refuses by default."""
    charset: Any = spark._jvm.java.nio.charset.Charset  # type: ignore[union-attr]
    try:
        name = str(charset.forName(encoding).name())
    except (PySparkException, Py4JJavaError):
        raise MappingInvalid(f"[source] encoding {encoding!r} is unknown: write utf-8 or windows-1252") from None
    if name != "UTF-8":
        spark.conf.set("spark.sql.legacy.javaCharsets", "true")
    return name


def _read_parquet(spark: SparkSession, path: str, mapping: CatalogMapping) -> DataFrame:
    # Else Spark refuses a file for one column of nanoseconds, mapped or not; pandas writes its times so.
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    found = spark.read.parquet(path)
    times = {name: _quoted(name) for name in _columns_of_nanoseconds(spark, found)}
    # In whole numbers: a double holds no nanoseconds since 1970.
    return found.withColumns(
        {name: F.expr(f"timestamp_micros(({nanos} - pmod({nanos}, 1000)) div 1000)") for name, nanos in times.items()}
    )


def _columns_of_nanoseconds(spark: SparkSession, found: DataFrame) -> list[str]:
    """As the first file's footer says: to Spark they are plain numbers now."""
    files = found.inputFiles()
    if not files or not any(isinstance(field.dataType, LongType) for field in found.schema):
        return []
    jvm: Any = spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(jvm.java.net.URI(files[0]))
    hadoop = spark._jsparkSession.sessionState().newHadoopConf()
    file = jvm.org.apache.parquet.hadoop.util.HadoopInputFile.fromPath(path, hadoop)
    reader = jvm.org.apache.parquet.hadoop.ParquetFileReader.open(file)
    try:
        fields = reader.getFooter().getFileMetaData().getSchema().getFields()
        kinds = {str(field.getName()): str(field.getLogicalTypeAnnotation()) for field in fields}
    finally:
        reader.close()
    return [name for name in found.columns if kinds.get(name, "").startswith("TIMESTAMP(NANOS")]


def _read_postgresql(spark: SparkSession, place: CatalogPlace, mapping: CatalogMapping) -> DataFrame:
    if not place.uri.startswith("jdbc:postgresql:"):
        raise MappingInvalid(f"--catalog {place.shown} is no PostgreSQL: write jdbc:postgresql://host:port/database")
    table = str(mapping.source_table).strip()
    options = {
        "url": place.uri,
        "driver": "org.postgresql.Driver",
        "dbtable": f"{table} AS source" if table.startswith("(") else table,
        "fetchsize": _JDBC_ROWS_AT_ONCE,
    }
    options |= {"user": place.user} if place.user else {}
    options |= {"password": place.password} if place.password else {}
    try:
        found = spark.read.format("jdbc").options(**options).load()
        # As text: Spark's own decimals round what has many digits, stop at NaN, and give 7 as 7.000000000000000000.
        numbers = [f"{_quoted(field.name)} STRING" for field in found.schema if isinstance(field.dataType, DecimalType)]
        return (
            spark.read.format("jdbc").options(**options, customSchema=", ".join(numbers)).load() if numbers else found
        )
    except PySparkException as error:
        raise _database_error(error, place, table) from None
    except Py4JJavaError as error:  # what the driver raises
        if "PSQLException" not in str(error):
            raise
        raise _database_error(error, place, table) from None


def _database_error(error: Exception, place: CatalogPlace, table: str) -> Exception:
    text = str(error)
    if any(sign in text for sign in ("authentication failed", "no password was provided", "FATAL: role", "pg_hba")):
        return Misconfigured(f"{place.shown} refused the login: set PGUSER and PGPASSWORD")
    if "permission denied" in text:
        return Misconfigured(f"{place.shown} does not let this user read {table}: grant SELECT on it")
    if "FATAL: database" in text:
        return BadData(f"{place.shown} is no database of that server: mend --catalog")
    if "does not exist" in text:
        return BadData(f"{place.shown} has no {table}: mend [source] table in the mapping file")
    if any(sign in text for sign in ("refused", "connection attempt failed", "starting up", "too many", "terminating",
                                     "I/O error", "has been closed")):  # fmt: skip
        return TryAgain(f"{place.shown} does not answer: start PostgreSQL or mend --catalog")
    said = _SAID_BY_DATABASE.search(text)
    return BadData(f"{place.shown} cannot be read: {said[1] if said else _first_line(error)}")


def _read_jsonl(spark: SparkSession, path: str, place: CatalogPlace, mapping: CatalogMapping) -> DataFrame:
    if mapping.encoding.lower().replace("-", "") != "utf8":
        raise MappingInvalid(f"[source] encoding is {mapping.encoding!r}, but JSONL is UTF-8 by definition")
    schema = StructType()
    for theirs in mapping.source_columns:
        schema.add(theirs, StringType())
    # Bytes that are no UTF-8 become U+FFFD, by which the row is known as wrongly encoded later on.
    lines = spark.read.text(path).select(F.make_valid_utf8("value").alias(RAW)).where(F.trim(RAW) != "")
    # In brackets: of several objects on a line Spark would take the first and lose the others without a word.
    listed = F.concat(F.lit("["), F.regexp_replace(RAW, r",\s*$", ""), F.lit("]"))
    objects = F.from_json(listed, ArrayType(schema), {"mode": "PERMISSIVE"})
    parsed = lines.withColumn("objects", objects).select(
        RAW, F.when(F.size("objects") == 1, F.get("objects", F.lit(0))).alias("row")
    )
    _refuse_unknown_keys(parsed, place, mapping)
    return parsed.select(
        RAW, F.col("row").isNull().alias(UNREADABLE),
        *[F.col("row").getField(theirs).alias(theirs) for theirs in mapping.source_columns],
    )  # fmt: skip


def _refuse_unknown_keys(parsed: DataFrame, place: CatalogPlace, mapping: CatalogMapping) -> None:
    """JSONL has no header, and a key may be absent from most lines: only an id that no early line has is a mistake."""
    needed = mapping.columns["product_id"]
    if needed not in mapping.source_columns:
        return
    first = parsed.limit(1000).cache()
    try:
        if first.where(F.col("row").getField(needed).isNotNull()).limit(1).count():
            return
        keys = first.select(F.explode(F.json_object_keys(RAW))).distinct().collect()
    finally:
        first.unpersist()
    if keys:
        raise missing_column(needed, [row[0] for row in keys], place)


def _text_rows(frame: DataFrame, place: CatalogPlace, mapping: CatalogMapping) -> DataFrame:
    """Their mapped columns as text, matched by exact name, else without regard to case and outer blanks."""
    known = [name for name in frame.columns if name != _CORRUPT]
    loosely = {name.strip().lower(): name for name in reversed(known)}
    chosen = []
    for theirs in mapping.source_columns:
        name = theirs if theirs in known else loosely.get(theirs.strip().lower())
        if name is None:
            raise missing_column(theirs, known, place)
        chosen.append(_as_text(named(name), frame.schema[name].dataType).alias(theirs))
    as_json = F.to_json(F.struct(*[named(name) for name in known]))
    has_corrupt = _CORRUPT in frame.columns
    unreadable = F.col(_CORRUPT).isNotNull() if has_corrupt else F.lit(False)
    raw = F.coalesce(F.col(_CORRUPT), as_json) if has_corrupt else as_json
    return frame.select(raw.alias(RAW), unreadable.alias(UNREADABLE), *chosen)


def _as_text(column: Column, data_type: DataType) -> Column:
    if isinstance(data_type, (ArrayType, MapType, StructType)):
        return F.to_json(column)
    if isinstance(data_type, BinaryType):
        return F.make_valid_utf8(column.cast("string"))
    if isinstance(data_type, StringType):
        return F.make_valid_utf8(column)
    return column.cast("string")


def _first_line(error: Exception) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return json.dumps(text[:200], ensure_ascii=False).strip('"')
