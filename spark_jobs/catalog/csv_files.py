"""CSV as shops export it: its line ends, delimiter and encoding, and what is no CSV at all."""

import re
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from schemas.errors import MappingInvalid
from schemas.mapping import CatalogMapping
from spark_jobs.catalog.open_quotes import swallowed_rows
from spark_jobs.catalog.source_failures import refuse_other_format
from spark_jobs.catalog.text import named

CORRUPT = "_shoplens_corrupt"
"""The column that holds a row as it stands where it cannot be split into the header's fields, else null."""

_DELIMITERS = {",": ",", ";": ";", "\t": "\\t", "|": "|"}
_LONE_RETURN = re.compile(r"\r(?!\n)")
_NO_CSV = {
    "^PK\x03\x04": "is a ZIP archive or an Excel file: unpack it, or export it as CSV",
    "^sep=": "begins with a line for Excel (sep=): export it without, column names come first",
    "^\x1f?\ufffd\x08": "is gzipped: name it .csv.gz",
    "\0": 'looks like UTF-16: write encoding = "utf-16" in [source]',
}
"""What stands in a first column's name where that line is no header, and what to say."""


def read_csv(spark: SparkSession, path: str, mapping: CatalogMapping) -> DataFrame:
    """All columns as text, and CORRUPT. Raises MappingInvalid or BadData where the first line is no header."""
    options = {
        "header": "true", "multiLine": "true", "escape": '"', "encoding": _charset(spark, mapping.encoding),
        "sep": mapping.delimiter.replace("\\", "\\\\"),
        # Blanks around a field are no part of it: a quote after one begins a quoted field, a return ends the last.
        "ignoreLeadingWhiteSpace": "true", "ignoreTrailingWhiteSpace": "true",
    }  # fmt: skip
    found = _csv_with_line_ends(spark, path, options)
    header = [name for name in found.columns if name]
    if not header:  # an empty file: an hour without changes
        return spark.createDataFrame(
            [], StructType([StructField(name, StringType()) for name in mapping.source_columns])
        )
    refuse_other_format(header[0], _NO_CSV, path)
    _refuse_other_delimiter(header, path, mapping)
    schema = StructType()
    for name in [*header, CORRUPT]:
        schema.add(name, StringType())
    # Without enforceSchema every file's header is compared: a second file in another order would land shifted. One file
    # alone needs no comparing, which would refuse the names that Spark makes up for columns without one of their own.
    alone = str(len(found.inputFiles()) == 1).lower()
    read = spark.read.options(**options, columnNameOfCorruptRecord=CORRUPT, enforceSchema=alone).csv(path, schema)
    read = read.withColumns({name: F.replace(named(name), F.lit("\r\n"), F.lit("\n")) for name in header})
    # A row of delimiters only, as spreadsheets write them below the last, is as good as an empty line.
    read = read.withColumn(CORRUPT, F.coalesce(CORRUPT, swallowed_rows(header, mapping.delimiter)))
    # `dropna` takes a dot in a name, as in "Nr.", for a field of a column.
    return read.where(F.coalesce(*[named(name) for name in read.columns]).isNotNull())


def _csv_with_line_ends(spark: SparkSession, path: str, options: dict[str, str]) -> DataFrame:
    """The files as Spark first reads them, with `lineSep` put into the options where a line ends with \\n.

    Left to itself Spark takes what ends the first line for the end of all: below a header that another program wrote,
    the whole catalog is one row.
    """
    try:
        found = spark.read.options(**options, lineSep="\n").csv(path)
        if not any(_LONE_RETURN.search(name) for name in found.columns):
            options["lineSep"] = "\n"
            return found
    except (PySparkException, Py4JJavaError) as error:
        if "TextParsingException" not in str(error):
            raise
    return spark.read.options(**options).csv(path)  # lines end with \r, and \n would make one of the whole file


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
