"""A catalog's photos with their labels, read through its mapping file without Spark: for training and evaluation."""

import csv
import gzip
import json
import re
import sys
import urllib.error
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast
from urllib.parse import urljoin

from PIL import Image

from retrieval.photos.decoding import decode_photo
from schemas.errors import BadData, MappingInvalid, PhotoRejected
from schemas.mapping import (
    LINK_SEPARATOR,
    NEEDS_ALL_FIELDS,
    CatalogMapping,
    ImageLinks,
    fields_of,
    is_template,
    way_into,
)
from schemas.reasons import FetchReason, RowReason, http_reason
from spark_jobs.evaluation.nested_values import text_within
from spark_jobs.fetch.links import LinkRefused, parse_link

Read = TypeVar("Read")

PHOTO_MAX_BYTES = 32 << 20
DOWNLOAD_TIMEOUT_S = 20.0
_FIELD = re.compile(r"\{([^{}]+)\}")
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]+):")
_READ_AT_ONCE = 4
_BYTE_ORDER_MARK = "\ufeff"
_BLANKS_BEHIND_A_QUOTE = re.compile(r'"[ \t]+')


@dataclass(frozen=True)
class LabelledPhoto:
    """One photo of one row. `values`: the mapped columns and attributes that the row has, by our names."""

    link: str
    values: dict[str, str] = field(hash=False)

    def value(self, column: str) -> str:
        """A column's text; empty where the row has none."""
        return self.values.get(column, "")


def read_labelled_photos(
    catalog: Path, mapping: CatalogMapping, rejected: Counter[str] | None = None
) -> list[LabelledPhoto]:
    """Every photo of every row, in the catalog's order; rows that ingest would not take are left out, and counted in
    `rejected` by reason, an unreadable one by its lines.

    `catalog` is the folder that the mapping's source path and relative links start from. Raises MappingInvalid where
    the source lacks a mapped column, BadData where it cannot be read.
    """
    rejected = Counter() if rejected is None else rejected
    rows = _read_rows(catalog, mapping, rejected)
    found = []
    for number, row in enumerate(rows):
        if number == 0:
            _refuse_missing_columns(row, mapping)
        values = _mapped_values(row, mapping)
        links = dict.fromkeys(_absolute(link, mapping.images, catalog) for link in _links(row, mapping.images))
        if values.get("product_id") and links:
            found += [LabelledPhoto(link, values) for link in links]
        else:
            rejected[RowReason.NO_IMAGE if values.get("product_id") else RowReason.NO_PRODUCT_ID] += 1
    return found


def open_photo(link: str, target_side_px: int | None = None) -> Image.Image:
    """Read and decode one photo: an http(s) address or a local path. Raises PhotoRejected with a reason."""
    return decode_photo(_read_bytes(link), target_side_px=target_side_px)


def photo_batches(
    photos: Sequence[LabelledPhoto], batch_photos: int, read: Callable[[Image.Image], Read], rejected: Counter[str]
) -> Iterator[tuple[list[int], list[Read]]]:
    """Batches of (row numbers, what `read` made of each photo); bad photos are counted by reason and left out."""

    def attempt(row: int) -> tuple[int, Read | None, str]:
        try:
            return row, read(open_photo(photos[row].link)), ""
        except PhotoRejected as error:
            return row, None, error.reason

    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        rows = iter(range(len(photos)))
        while batch := list(islice(rows, batch_photos)):
            done = list(pool.map(attempt, batch))
            rejected.update(reason for _, made, reason in done if made is None)
            good = [(row, made) for row, made, _ in done if made is not None]
            yield [row for row, _ in good], [made for _, made in good]


def _read_rows(catalog: Path, mapping: CatalogMapping, rejected: Counter[str]) -> Iterator[dict[str, str]]:
    readers = {"csv": _csv_rows, "jsonl": _jsonl_rows, "parquet": _parquet_rows}
    if mapping.source_format not in readers:
        raise MappingInvalid(f"{mapping.source_format} cannot be read here: export the rows as CSV, JSONL or Parquet")
    pattern = mapping.source_path or "."
    sources = [catalog / pattern] if (catalog / pattern).exists() else []
    with suppress(ValueError, NotImplementedError):  # no pattern that could match
        sources = sources or sorted(catalog.glob(pattern))
    if not sources:
        raise BadData(f"{catalog} has no {pattern}: check --catalog and source.path in the mapping file")
    for source in sources:
        if (source / "_delta_log").exists():  # its folder holds the files of older versions too
            raise BadData(f"{source} is a Delta table: export its rows as CSV, JSONL or Parquet")
        for file in _data_files(source):
            try:
                for row in readers[mapping.source_format](file, mapping, rejected):
                    named = row if mapping.source_format == "jsonl" else _under_their_names(row, mapping)
                    yield _with_values_within(named, mapping)
            except (OSError, EOFError, ValueError, LookupError, ArithmeticError, csv.Error, zlib.error) as error:
                raise BadData(f"{file} cannot be read as {mapping.source_format}: {error}") from error


def _data_files(source: Path) -> list[Path]:
    """A file, or a folder's files without those that Spark hides."""
    if not source.is_dir():
        return [source]
    return sorted(part for part in source.iterdir() if part.is_file() and part.name[0] not in "._")


def _under_their_names(row: dict[str, str], mapping: CatalogMapping) -> dict[str, str]:
    """Columns under the names that the mapping has: as ingest, else without regard to case and outer blanks."""
    absent = [theirs for theirs in mapping.source_columns if theirs not in row]
    loosely = {name.strip().lower(): row[name] for name in reversed(row)} if absent else {}
    return row | {theirs: loosely[key] for theirs in absent if (key := theirs.strip().lower()) in loosely}


def _with_values_within(row: dict[str, str], mapping: CatalogMapping) -> dict[str, str]:
    """And what names with dots lead to inside a column, where no column has just that name; without texts for nothing."""
    ways = {theirs: way for theirs in mapping.source_columns if theirs not in row and (way := way_into(theirs))}
    found = {theirs: text_within(row[column], steps) for theirs, (column, steps) in ways.items() if column in row}
    return {name: "" if text.strip() in mapping.nulls else text for name, text in (row | found).items()}


def _open_text(file: Path, encoding: str) -> TextIO:
    """What is not in the declared encoding is damage to one field, not to the catalog; line breaks stay as they are."""
    opener: Any = gzip.open if file.suffix == ".gz" else open
    opened = cast(TextIO, opener(file, "rt", encoding=encoding, errors="replace", newline=""))
    if opened.read(1) != _BYTE_ORDER_MARK:
        opened.seek(0)
    return opened


def _csv_rows(file: Path, mapping: CatalogMapping, rejected: Counter[str]) -> Iterator[dict[str, str]]:
    csv.field_size_limit(sys.maxsize)  # a quote that is never closed makes one field of the rest of the file
    with _open_text(file, mapping.encoding) as text:
        taken: list[str] = []
        filled = dropwhile(str.isspace, text)  # a header may stand below blank lines
        rows = csv.reader(_noting(filled, taken), delimiter=mapping.delimiter, skipinitialspace=True)
        header = next(rows, [])
        taken.clear()
        for row in rows:
            is_one = len(taken) == 1 or _quotes_match("".join(taken), mapping.delimiter)
            if any(map(str.strip, row)):  # else of delimiters only
                if is_one and len(row) == len(header):
                    yield dict(zip(header, row, strict=True))
                else:
                    rejected[RowReason.ROW_UNREADABLE] += len(taken)
            taken.clear()


def _noting(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _quotes_match(row: str, delimiter: str) -> bool:
    """Whether a row of several lines is one: the reader itself passes over quotes that are never closed, or closed twice."""
    try:
        list(
            csv.reader([_BLANKS_BEHIND_A_QUOTE.sub('"', row)], delimiter=delimiter, skipinitialspace=True, strict=True)
        )
    except csv.Error:
        return False
    return True


def _jsonl_rows(file: Path, mapping: CatalogMapping, rejected: Counter[str]) -> Iterator[dict[str, str]]:
    with _open_text(file, mapping.encoding) as lines:
        for line in filter(str.strip, lines):
            try:
                row = json.loads(line.strip().removesuffix(","))
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield {name: _as_text(value) for name, value in row.items()}
            else:
                rejected[RowReason.ROW_UNREADABLE] += 1


def _parquet_rows(file: Path, mapping: CatalogMapping, rejected: Counter[str]) -> Iterator[dict[str, str]]:
    import pyarrow.parquet

    for batch in pyarrow.parquet.ParquetFile(file).iter_batches():
        for row in batch.to_pylist():
            yield {name: _as_text(value) for name, value in row.items()}


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, default=_as_text) if isinstance(value, (list, dict)) else str(value)


def _refuse_missing_columns(row: dict[str, str], mapping: CatalogMapping) -> None:
    # JSON rows may leave out what they lack; only the id and the photos must be there.
    required = fields_of(mapping.columns["product_id"]) if mapping.source_format == "jsonl" else mapping.source_columns
    missing = [name for name in required if name not in row]
    if missing:
        raise MappingInvalid(f"the catalog has no column {missing[0]!r}: it has {', '.join(sorted(row))[:300]}")


def _mapped_values(row: dict[str, str], mapping: CatalogMapping) -> dict[str, str]:
    values = {ours: str(value) for ours, value in mapping.defaults.items()}
    for ours, expression in {**mapping.attributes, **mapping.columns}.items():
        if text := _fill(expression, row, all if ours in NEEDS_ALL_FIELDS else any).strip():
            values[ours] = text
    return values


def _fill(expression: str, row: dict[str, str], fields_needed: Callable[[Iterable[Any]], bool] = any) -> str:
    if not is_template(expression):
        return row.get(expression, "")
    if not fields_needed(row.get(name) for name in fields_of(expression)):
        return ""
    return _FIELD.sub(lambda found: row.get(found[1], ""), expression)


def _links(row: dict[str, str], images: ImageLinks) -> list[str]:
    if images.template:
        given = [_fill(images.template, row, all)]
    elif images.column:
        given = _split(_fill(images.column, row, all), images.separator or LINK_SEPARATOR)
    else:
        given = [link for column in images.columns for link in _split(_fill(column, row, all), images.separator)]
    return [link.strip() for link in given if isinstance(link, str) and link.strip()]


def _split(text: str, separator: str | None) -> list[Any]:
    """A list in one field: a JSON array, or parts between separators, where there is one."""
    if text.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            return list(json.loads(text))
    return text.split(separator) if separator else [text]


def _absolute(link: str, images: ImageLinks, catalog: Path) -> str:
    if _scheme_of(link):
        return link
    if images.base and _scheme_of(images.base):
        with suppress(ValueError):
            return urljoin(images.base.rstrip("/") + "/", link)
    return f"https:{link}" if link.startswith("//") else str(catalog / (images.base or "") / link)


def _scheme_of(link: str) -> str:
    found = _SCHEME.match(link)
    return found[1].lower() if found else ""


def _read_bytes(link: str) -> bytes:
    scheme = _scheme_of(link)
    try:
        if not scheme:
            return Path(link).read_bytes()
        if scheme == "file":
            return Path(parse_link(link).path).read_bytes()
        if scheme not in ("http", "https"):
            raise LinkRefused(FetchReason.SCHEME_REFUSED, scheme)
        with urllib.request.urlopen(str(parse_link(link).url), timeout=DOWNLOAD_TIMEOUT_S) as answer:
            data: bytes = answer.read(PHOTO_MAX_BYTES + 1)
    except LinkRefused as refused:
        raise PhotoRejected(refused.reason, link) from None
    except urllib.error.HTTPError as error:
        raise PhotoRejected(http_reason(error.code), link) from None
    except FileNotFoundError:
        raise PhotoRejected(FetchReason.NOT_FOUND, link) from None
    except (OSError, ValueError, HTTPException) as error:
        raise PhotoRejected(FetchReason.CONNECT, f"{link}: {error}") from None
    if len(data) > PHOTO_MAX_BYTES:
        raise PhotoRejected(FetchReason.TOO_LARGE, link)
    return data
