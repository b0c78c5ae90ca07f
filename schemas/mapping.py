"""A catalog's mapping file: which of its columns are ours. TOML, one file a shop.

[source]
format = "csv"                      # csv, jsonl, parquet or postgresql
path = "catalog.csv"                # relative to the catalog folder; a Spark path or glob
delimiter = ","                     # csv only: ";", "\\t" or whatever one sign stands between fields
encoding = "utf-8"                  # csv only
table = "shop.products"             # postgresql only; a table or a (query)
nulls = ["NULL", "\\\\N"]            # texts that stand for nothing
decimal = "."                       # "," where prices are written 1.299,00; with it 1.299 is in doubt, and is refused

[columns]                           # ours = theirs; text with {braces} is a template over their columns
product_id = "sku"
title = "{name} {variant}"
brand = "maker.name"                # a field of an object; of a list's objects each one's, and of one: "variants.0.price"

[images]                            # each of these may be a template too
columns = ["photo_1", "gallery"]     # each one link, a JSON list, or what a separator parts; or  column = "photos"
separator = "|"                     # between the links of one field; of columns only where it is written here
template = "images/{image}.jpg"     # or a template
base = "https://shop.example/"      # what relative links are joined to; the catalog folder where absent

[attributes]                        # any others, by name
material = "fabric"

[defaults]                          # for columns the source lacks
currency = "EUR"
"""

import re
import tomllib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from schemas.errors import MappingInvalid

SOURCE_FORMATS = ("csv", "jsonl", "parquet", "postgresql")
DECIMAL_SIGNS = (".", ",")
LINK_SEPARATOR = "|"
"""Between the links of one `column` where the mapping names none."""
MAPPED_COLUMNS = (
    "product_id", "title", "description", "brand", "category", "colour", "price", "currency", "in_stock",
    "group_id", "created_at", "updated_at", "deleted",
)  # fmt: skip
NEEDS_ALL_FIELDS = ("product_id", "group_id")
"""A template for these is nothing where any of its fields is: half an id would be another product's."""

_KEYS = {
    "source": ("format", "path", "table", "delimiter", "encoding", "decimal", "nulls"),
    "images": ("columns", "column", "separator", "template", "base"),
}

_FIELD = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class ImageLinks:
    """Where a row's links stand: exactly one of `columns`, `column` and `template`; `separator` parts those of one field."""

    columns: tuple[str, ...] = ()
    column: str | None = None
    separator: str | None = None
    template: str | None = None
    base: str | None = None


@dataclass(frozen=True)
class CatalogMapping:
    """A parsed mapping file. `columns` and `attributes`: our name → their column, or a template over theirs."""

    source_format: str
    source_path: str
    source_table: str | None
    encoding: str
    columns: dict[str, str]
    images: ImageLinks
    attributes: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str | float | bool | date] = field(default_factory=dict)
    delimiter: str = ","
    decimal: str = "."
    nulls: tuple[str, ...] = ()

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Their columns that this mapping reads, sorted."""
        expressions = [*self.columns.values(), *self.attributes.values(), *self.images.columns]
        expressions += [text for text in (self.images.column, self.images.template) if text]
        return tuple(sorted({name for text in expressions for name in fields_of(text)}))


def fields_of(expression: str) -> tuple[str, ...]:
    """Their columns in a mapping's right-hand side: those in braces, or the whole text where it has none."""
    return tuple(_FIELD.findall(expression)) or (expression,)


def way_into(theirs: str) -> tuple[str, tuple[str, ...]] | None:
    """The column that a name with dots leads into, and the steps from there on; None of a name without. A column that has
    just this name goes before."""
    column, *steps = theirs.split(".")
    return (column, tuple(steps)) if steps and column and all(steps) else None


def is_template(expression: str) -> bool:
    return _FIELD.search(expression) is not None


def read_mapping(path: Path) -> CatalogMapping:
    """Read and check a mapping file. Raises MappingInvalid, naming the file, the key and what to write."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin with a byte order mark
    except FileNotFoundError:
        raise MappingInvalid(f"no mapping file at {path}: give one with --mapping") from None
    except OSError as error:
        raise MappingInvalid(f"the mapping file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingInvalid(f"{path} is no TOML: {error}") from error
    return parse_mapping(document, str(path))


def parse_mapping(document: dict[str, Any], name: str) -> CatalogMapping:
    """Check a parsed mapping document; `name` stands in errors. Raises MappingInvalid."""
    unknown = sorted(set(document) - {"source", "columns", "images", "attributes", "defaults"})
    if unknown:
        raise MappingInvalid(f"{name}: unknown section [{unknown[0]}]")
    source = _section(document, "source", name)
    _refuse_other_than_text(source, ("path", "table", "encoding"), name, "source")
    columns = _text_values(_section(document, "columns", name), name, "columns")
    source_format = str(source.get("format", "csv"))
    if source_format not in SOURCE_FORMATS:
        raise MappingInvalid(f"{name}: source.format is {source_format!r}, not one of {', '.join(SOURCE_FORMATS)}")
    delimiter = source.get("delimiter", ",")
    if not isinstance(delimiter, str) or len(delimiter) != 1:
        raise MappingInvalid(f"{name}: source.delimiter is {delimiter!r}: write the one sign between fields, in quotes")
    decimal = source.get("decimal", ".")
    if decimal not in DECIMAL_SIGNS:
        raise MappingInvalid(f'{name}: source.decimal is {decimal!r}: write "." or "," as prices have it')
    nulls = source.get("nulls", [])
    if not isinstance(nulls, list) or not all(isinstance(text, str) for text in nulls):
        raise MappingInvalid(f'{name}: source.nulls must be a list of texts, such as ["NULL", "N/A"]')
    if source_format == "postgresql" and not source.get("table"):
        raise MappingInvalid(f"{name}: source.table is needed for postgresql")
    for ours in columns:
        if ours not in MAPPED_COLUMNS:
            raise MappingInvalid(f"{name}: columns.{ours} is unknown: use one of {', '.join(MAPPED_COLUMNS)}")
    if "product_id" not in columns:
        raise MappingInvalid(f'{name}: columns.product_id is missing: write product_id = "their column"')
    defaults = dict(_section({"defaults": {}, **document}, "defaults", name))
    for ours, value in defaults.items():
        if ours not in MAPPED_COLUMNS:
            raise MappingInvalid(f"{name}: defaults.{ours} is unknown")
        if not isinstance(value, (str, int, float, date)):
            raise MappingInvalid(f"{name}: defaults.{ours} must be text in quotes, a number, a date, true or false")
    return CatalogMapping(
        source_format=source_format,
        source_path=source.get("path", ""),
        source_table=source.get("table"),
        encoding=source.get("encoding", "utf-8"),
        columns=columns,
        images=_image_links(_section(document, "images", name), name),
        attributes=_text_values(_section({"attributes": {}, **document}, "attributes", name), name, "attributes"),
        defaults=defaults,
        delimiter=delimiter,
        decimal=decimal,
        nulls=tuple(nulls),
    )


def _section(document: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    section = document.get(key)
    if section is None:
        raise MappingInvalid(f"{name}: section [{key}] is missing")
    if not isinstance(section, dict):
        raise MappingInvalid(f"{name}: {key} is no section: write [{key}] on a line of its own, and its keys below")
    if unknown := sorted(set(section) - set(_KEYS.get(key, section))):
        raise MappingInvalid(f"{name}: {key}.{unknown[0]} is unknown: use one of {', '.join(_KEYS[key])}")
    return section


def _text_values(section: dict[str, Any], name: str, key: str) -> dict[str, str]:
    for ours, theirs in section.items():
        if not isinstance(theirs, str) or not theirs:
            raise MappingInvalid(f"{name}: {key}.{ours} must be the name of a column, in quotes")
    return dict(section)


def _refuse_other_than_text(section: dict[str, Any], keys: tuple[str, ...], name: str, of: str) -> None:
    for key in keys:
        if not isinstance(section.get(key, ""), str):
            raise MappingInvalid(f"{name}: {of}.{key} must be text, in quotes")


def _image_links(section: dict[str, Any], name: str) -> ImageLinks:
    given = [key for key in ("columns", "column", "template") if section.get(key)]
    if len(given) != 1:
        raise MappingInvalid(f"{name}: [images] needs exactly one of columns, column or template")
    _refuse_other_than_text(section, ("column", "template", "separator", "base"), name, "images")
    columns = section.get("columns", [])
    if not isinstance(columns, list) or not all(isinstance(column, str) and column for column in columns):
        raise MappingInvalid(f'{name}: images.columns must be a list of names, such as ["photo_1", "photo_2"]')
    _refuse_base_that_joins_nothing(str(section.get("base") or ""), name)
    if section.get("separator") == "":
        raise MappingInvalid(f"{name}: images.separator is empty: write what stands between two links")
    return ImageLinks(
        columns=tuple(columns),
        column=section.get("column"),
        separator=section.get("separator"),
        template=section.get("template"),
        base=section.get("base"),
    )


def _refuse_base_that_joins_nothing(base: str, name: str) -> None:
    try:
        parts = urlsplit(base)
    except ValueError as error:
        raise MappingInvalid(f"{name}: images.base is no address: {error}") from None
    if base.startswith("//"):
        raise MappingInvalid(f"{name}: images.base has no scheme: write https:{base}")
    if parts.scheme in ("http", "https") and (parts.query or parts.fragment):
        raise MappingInvalid(
            f'{name}: images.base has a ? or # in it: write template = "{base}{{their column}}" instead'
        )
