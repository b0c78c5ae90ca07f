"""What Spark and databases say of a source that cannot be read, as one line that says what to do."""

import json
import re
from collections.abc import Mapping

from schemas.errors import BadData, MappingInvalid, Misconfigured, TryAgain
from spark_jobs.catalog.places import CatalogPlace

Signs = tuple[tuple[tuple[str, ...], str], ...]

_FAILURES: Signs = (
    (("CSV header does not conform", "Number of column in CSV header is not equal"),
     "CSV files with different headers, or with columns that have no name or share one: give each its own --catalog"),
    (("CANNOT_READ_FILE_FOOTER", "is not a Parquet file", "ParquetDecodingException", "can not read class org.apache.parquet"),
     "a Parquet file that is damaged or none at all: export it again"),
    (("PARQUET_COLUMN_DATA_TYPE_MISMATCH", "CANNOT_MERGE_SCHEMAS"),
     "Parquet files in which one column has different types: export them with one schema"),
    (("UNABLE_TO_INFER_SCHEMA",),
     "no file to read in [source] path: name one whose name does not begin with _ or ., or a pattern, such as parts/*/*.csv"),
    (("PARQUET_TYPE_ILLEGAL", "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION"),
     "a Parquet column that Spark has no type for (a time of day, a UUID, a half float, more than 38 digits): export it as text"),
    (("parquet.hadoop.BadConfigurationException",),
     "a Parquet file compressed in a way that Spark cannot undo: export it with snappy, gzip or zstd"),
    (("Unexpected end of input stream", "BuiltInGzipDecompressor", "DataFormatException"),
     "a compressed file that is damaged or cut off: export it again"),
    (("TextParsingException",), "a CSV file that cannot be taken apart: it has more than 20480 columns, or is none"),
    (("URISyntaxException", "Input Pattern", "Input path does not exist"),
     "one of : * ? [ ] { } \\ in the name of a folder or file, which Spark takes for a pattern: rename it"),
)  # fmt: skip
"""What Spark says somewhere in pages of trace, and what that comes to."""

_REFUSALS: Signs = (
    (("NoSuchBucket", "UnknownStoreException"), "lies in a bucket that does not exist: mend --catalog, or create it"),
    (("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoAuthWithAWSException", "AccessControlException",
      "Permission denied"), "may not be read by this user: check credentials and permissions, or mend --catalog"),
    (("No FileSystem for scheme",), "lies where Spark here cannot read: name a folder, s3:// or jdbc:postgresql://"),
)  # fmt: skip
"""What a person has to change elsewhere, before the same catalog can be read."""

_SAID_BY_DATABASE = re.compile(r"PSQLException: (.{1,200})")


def explain_failure(error: Exception, place: CatalogPlace) -> Exception:
    """A one-line error for what Spark met while it read the source, or the same error where it is none of those."""
    text = str(error)
    if place.is_database and _SAID_BY_DATABASE.search(text):
        return database_error(error, place, "table or query of that kind")
    for signs, said in _REFUSALS:
        if any(sign in text for sign in signs):
            return Misconfigured(f"{place.shown} {said}")
    for signs, said in _FAILURES:
        if any(sign in text for sign in signs):
            return BadData(f"{place.shown} has {said}")
    return error


def missing_column(theirs: str, known: list[str], place: CatalogPlace) -> MappingInvalid:
    return MappingInvalid(f"the mapping names column {theirs!r}, but {place.shown} has {', '.join(sorted(known))}")


def database_error(error: Exception, place: CatalogPlace, table: str) -> Exception:
    """Misconfigured, BadData or TryAgain, by what PostgreSQL or its driver said."""
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
    return BadData(f"{place.shown} cannot be read: {said[1] if said else first_line(error)}")


def first_line(error: Exception) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return json.dumps(text[:200], ensure_ascii=False).strip('"')


def refuse_other_format(beginning: str, known: Mapping[str, str], path: str) -> None:
    """Raises BadData where how a file begins matches a pattern of `known`, which says what the file is instead."""
    for pattern, said in known.items():
        if re.search(pattern, beginning):
            raise BadData(f"{path} {said}")
