"""Text as it is kept: outer blanks gone, Unicode composed (NFC), nothing empty."""

import re

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.mapping import is_template
from schemas.texts import OUTER_BLANKS

RAW = "_shoplens_raw"
UNREADABLE = "_shoplens_unreadable"
"""Beside a shop's own columns, which may well be called `_raw`."""

_FIELD = re.compile(r"\{([^{}]+)\}")


def named(column: str) -> Column:
    """A column by its exact name, dots and all."""
    return F.col(quoted(column))


def quoted(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"


def expression(text: str, *, blank_if_null: bool = True) -> Column:
    """A mapping's right-hand side: one of their columns, or a template over them."""
    return template(text, blank_if_null=blank_if_null) if is_template(text) else named(text)


def template(text: str, *, blank_if_null: bool) -> Column:
    """Text with {their column} filled in; null where all fields are null, or any where `blank_if_null` is off."""
    pieces = _FIELD.split(text)
    fields = [named(name) for name in pieces[1::2]]
    filled = [
        (F.coalesce(named(piece), F.lit("")) if blank_if_null else named(piece)) if place % 2 else F.lit(piece)
        for place, piece in enumerate(pieces)
    ]
    return F.when(F.coalesce(*fields).isNotNull(), F.concat(*filled)) if fields else F.lit(text)


def clean(text: Column) -> Column:
    """Without outer blanks; null where nothing is left."""
    trimmed = F.trim(text, F.lit(OUTER_BLANKS))
    return F.when(trimmed != "", trimmed)


def composed(column: str) -> Column:
    """A text column in Unicode normal form C, by the ICU library that Spark 4 brings for its collations.

    Spark's SQL has no function for it; plain ASCII, most text, never pays for the call.
    """
    call = F.call_function(
        "try_reflect", F.lit("com.ibm.icu.text.Normalizer"), F.lit("compose"), F.col(column), F.lit(False)
    )
    beyond_ascii = F.length(column) != F.octet_length(column)
    return F.when(beyond_ascii, F.coalesce(call, F.col(column))).otherwise(F.col(column))
