"""A shop's rows become ours: typed, validated, each fault named. A pure transform, native Spark throughout."""

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.mapping import MAPPED_COLUMNS, NEEDS_ALL_FIELDS, CatalogMapping
from schemas.reasons import RowReason
from schemas.tables import PRODUCTS
from spark_jobs.catalog.links import found_links, resolved_links
from spark_jobs.catalog.numbers import currency_of, is_either, number, price
from spark_jobs.catalog.text import RAW, UNREADABLE, clean, composed, expression

CONTENT_COLUMNS = PRODUCTS.column_names[: PRODUCTS.column_names.index("content_hash")]
"""What a shop says of a product, and what its hash covers."""

JUDGED_COLUMNS = (*CONTENT_COLUMNS, "content_hash", "deleted", "faults", "lines", "row_hash", "raw")
"""`judge_rows` gives these. `faults`: ARRAY<STRUCT<reason, field>>, empty for a good row; `lines`: of the source."""

RAW_MAX_CHARACTERS = 8192
TEXT_MAX_CHARACTERS = {"product_id": 256, "group_id": 256, "title": 4096, "description": 65_536}
OTHER_MAX_CHARACTERS = 1024
LINK_MAX_CHARACTERS = 4096

_KEPT_AS_TEXT = ("product_id", "title", "description", "brand", "category", "colour", "currency", "group_id")
_REPLACEMENT = "\ufffd"
_ISO_DATE = r"^\d{4}-\d{2}-\d{2}([T ].*)?$"
_FIRST_AND_LAST_MOMENT = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")
_YES = ("true", "t", "yes", "y", "instock", "available")
_NO = ("false", "f", "no", "n", "outofstock", "soldout", "unavailable", "preorder", "backorder", "discontinued")
_NO_PART_OF_A_WORD = r"^https?://schema\.org/|[ _-]"
_UNREAD_REASONS = {
    "price": RowReason.PRICE_NOT_A_NUMBER,
    "in_stock": RowReason.STOCK_NOT_A_FLAG,
    "deleted": RowReason.DELETED_NOT_A_FLAG,
    "created_at": RowReason.TIMESTAMP_INVALID,
    "updated_at": RowReason.TIMESTAMP_INVALID,
}
_MATTERS_TO_A_DELETE = ("product_id", "deleted")


def judge_rows(source: DataFrame, mapping: CatalogMapping, link_base: str | None) -> DataFrame:
    """Rows of `read_source` as JUDGED_COLUMNS. A row that deletes its product needs only an id."""
    worded = _in_our_words(source, mapping)
    typed = _typed(worded, mapping, link_base)
    faults = F.array_compact(F.array(*_faults(mapping)))
    row_fault = F.array(_fault(RowReason.ROW_UNREADABLE, None))
    delete_faults = F.filter(faults, lambda fault: fault["field"].isin(*_MATTERS_TO_A_DELETE))
    # A quote that is never closed swallows the lines after it: one unreadable row then stands for all of them.
    lines = F.when(F.col(UNREADABLE), F.size(F.split(F.trim(RAW), r"\r?\n"))).otherwise(F.lit(1))
    return typed.select(
        *CONTENT_COLUMNS,
        _content_hash().alias("content_hash"),
        F.coalesce("deleted", F.lit(False)).alias("deleted"),
        F.when(F.col(UNREADABLE), row_fault).when(F.col("deleted"), delete_faults).otherwise(faults).alias("faults"),
        lines.alias("lines"),
        F.sha2(RAW, 256).alias("row_hash"),
        F.left(F.col(RAW), F.lit(RAW_MAX_CHARACTERS)).alias("raw"),
    )


def _in_our_words(source: DataFrame, mapping: CatalogMapping) -> DataFrame:
    """Their columns under our names, still text: `MAPPED_COLUMNS`, `attribute_<n>`, and `links` as found."""
    attributes = _attribute_columns(mapping)
    trimmed = source.select(
        RAW,
        UNREADABLE,
        *[_worded(name, mapping).alias(name) for name in MAPPED_COLUMNS],
        *[clean(expression(mapping.attributes[name])).alias(column) for column, name in attributes.items()],
        found_links(mapping.images).alias("links"),
    )
    kept = [name for name in _KEPT_AS_TEXT if name in mapping.columns or name in mapping.defaults]
    return trimmed.withColumns({name: composed(name) for name in (*kept, *attributes)})


def _attribute_columns(mapping: CatalogMapping) -> dict[str, str]:
    """Working column → attribute, by name: a shop may call an attribute what we call a column."""
    return {f"attribute_{place}": name for place, name in enumerate(sorted(mapping.attributes))}


def _worded(name: str, mapping: CatalogMapping) -> Column:
    fallback = F.lit(_default_text(name, mapping)).cast("string")
    if name == "currency":
        fallback = F.coalesce(currency_of(_worded("price", mapping), mapping.decimal), fallback)
    if name not in mapping.columns:
        return fallback
    theirs = clean(expression(mapping.columns[name], blank_if_null=name not in NEEDS_ALL_FIELDS))
    return F.coalesce(theirs, fallback)


def _default_text(name: str, mapping: CatalogMapping) -> str | None:
    """As the source would write it: a number of the mapping file has a point, and theirs may have commas."""
    default = mapping.defaults.get(name)
    if name == "price" and isinstance(default, float):
        return str(default).replace(".", mapping.decimal)
    return None if default is None else str(default)


def _typed(worded: DataFrame, mapping: CatalogMapping, link_base: str | None) -> DataFrame:
    """Typed columns; what could not be read stays beside them as text, `<name>_text`, for the faults."""
    pairs = [
        F.when(value.isNotNull(), F.struct(F.lit(name).alias("key"), value.alias("value")))
        for name, value in ((name, F.col(column)) for column, name in _attribute_columns(mapping).items())
    ]
    no_attributes = F.create_map().cast("map<string,string>")
    read = {
        "price": price(F.col("price"), F.col("currency"), mapping.decimal),
        "in_stock": _flag("in_stock", mapping.decimal),
        "deleted": F.when(
            ~F.startswith("deleted", F.lit("-")), _flag("deleted", mapping.decimal)
        ),  # -1 is a yes of Microsoft Access
        "created_at": _moment("created_at"),
        "updated_at": _moment("updated_at"),
    }
    with_text = worded.withColumns({f"{name}_text": F.col(name) for name in read})
    return with_text.withColumns(
        {
            **read,
            "currency": F.upper("currency"),
            "group_id": F.coalesce("group_id", "product_id"),
            "attributes": F.map_from_entries(F.array_compact(F.array(*pairs))) if pairs else no_attributes,
            "image_urls": resolved_links(F.col("links"), link_base),
        }
    )


def _flag(name: str, decimal: str) -> Column:
    """Yes or no in the words that shops and their feeds use; a number is a count: below zero more was sold than is there.

    That is asked and no more, so a count with a point is one where decimals have a comma too: 1.000 is some, either way.
    """
    word = F.regexp_replace(F.lower(name), _NO_PART_OF_A_WORD, "")
    count = F.coalesce(*[number(F.col(name), sign) for sign in dict.fromkeys((decimal, "."))])
    return F.when(word.isin(*_YES), True).when(word.isin(*_NO), False).otherwise(count > 0)


def _moment(name: str) -> Column:
    """An ISO 8601 date or time; without a zone it is UTC. A bare time of day would be read as today's: refused.

    So is what its zone takes out of the years 1 to 9999, the only ones that Python knows: a build could not read it.
    """
    value = F.col(name).try_cast("timestamp")
    first, last = (F.lit(text).cast("timestamp") for text in _FIRST_AND_LAST_MOMENT)
    return F.when(F.col(name).rlike(_ISO_DATE) & value.between(first, last), value)


def _faults(mapping: CatalogMapping) -> Iterable[Column]:
    attributes = {column: f"attributes.{name}" for column, name in _attribute_columns(mapping).items()}
    yield F.when(F.col("product_id").isNull(), _fault(RowReason.NO_PRODUCT_ID, "product_id"))
    texts = {name: name for name in _KEPT_AS_TEXT if name in mapping.columns}
    for column, name in {**texts, **attributes}.items():
        yield F.when(F.contains(F.col(column), F.lit(_REPLACEMENT)), _fault(RowReason.ENCODING_INVALID, name))
        limit = TEXT_MAX_CHARACTERS.get(column, OTHER_MAX_CHARACTERS)
        yield F.when(F.length(column) > limit, _fault(RowReason.FIELD_TOO_LONG, name))
    wrongly_encoded = F.exists("links", lambda link: F.contains(link, F.lit(_REPLACEMENT)))
    yield F.when(wrongly_encoded, _fault(RowReason.ENCODING_INVALID, "image_urls"))
    too_long = F.exists("links", lambda link: F.length(link) > LINK_MAX_CHARACTERS)
    yield F.when(too_long, _fault(RowReason.FIELD_TOO_LONG, "image_urls"))
    for name, reason in _UNREAD_REASONS.items():
        if name in mapping.columns or name in mapping.defaults:
            yield _unread(name, reason, mapping)
    yield F.when(F.col("price") < 0, _fault(RowReason.PRICE_NEGATIVE, "price"))
    yield F.when(F.size("image_urls") == 0, _fault(RowReason.NO_IMAGE, "image_urls"))


def _unread(name: str, reason: RowReason, mapping: CatalogMapping) -> Column:
    """There was text, but no value came of it; of text in a wrong encoding, that is what is said."""
    text = F.col(f"{name}_text")
    said = F.when(F.contains(text, F.lit(_REPLACEMENT)), _fault(RowReason.ENCODING_INVALID, name))
    if name == "price":
        in_doubt = is_either(text, mapping.decimal)
        said = F.coalesce(said, F.when(in_doubt, _fault(RowReason.PRICE_AMBIGUOUS, name)))
    return F.when(text.isNotNull() & F.col(name).isNull(), F.coalesce(said, _fault(reason, name)))


def _fault(reason: RowReason, field: str | None) -> Column:
    return F.struct(F.lit(str(reason)).alias("reason"), F.lit(field).cast("string").alias("field"))


def _content_hash() -> Column:
    """SHA-256 of the content columns as JSON: fixed order, nulls written, attributes by name, times in UTC."""
    options = {"ignoreNullFields": "false", "timeZone": "UTC", "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"}
    return F.sha2(F.to_json(F.struct(*CONTENT_COLUMNS), options), 256)
