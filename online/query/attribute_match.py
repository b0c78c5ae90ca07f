"""How much a candidate has of what was asked for by name: words of the query, and the traits of products it is like."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from online.snapshots.catalog import Catalog
from retrieval.arrays import Float32, Int64
from retrieval.items.codes import NO_VALUE
from retrieval.items.layered import LayeredItems

WORDS_MAX = 32
MODELS_MAX = 10
"""Of the products that a query is like, the first so many are compared."""

_WORD_COLUMNS = ("title", "brand", "category", "colour")
_WORD = re.compile(r"\w+")


def match_attributes(catalog: Catalog, rows: Int64, words: str | None, models: Int64) -> Float32 | None:
    """The share of what was asked that each of `rows` (n,) has, 0 to 1 float32; None where nothing was asked by name.

    `models` are rows of the products that the query is like, one for each product.
    """
    shares = [] if words is None else [match_words(catalog, rows, words)]
    for model in models[:MODELS_MAX].tolist():
        traits = match_traits(catalog, rows, model)
        shares += [] if traits is None else [traits]
    return np.mean(shares, axis=0, dtype=np.float32) if shares else None


def match_words(catalog: Catalog, rows: Int64, words: str) -> Float32:
    """The share of the words that stand in a row's title, brand, category, colour or attributes.

    Words that stand in none of the rows tell none from another and do not count.
    """
    asked = list(dict.fromkeys(_WORD.findall(words.lower())))[:WORDS_MAX]
    standing = [set(_WORD.findall(text)) for text in _texts_of(catalog.items, rows)]
    found = [np.fromiter((word in words_of for words_of in standing), bool, len(standing)) for word in asked]
    telling = [each for each in found if each.any()]
    return np.mean(telling, axis=0, dtype=np.float32) if telling else np.zeros(len(rows), np.float32)


def match_traits(catalog: Catalog, rows: Int64, model: int) -> Float32 | None:
    """The share of a product's category, brand, colour and attributes that each row has too; None where it has none."""
    columns = catalog.columns
    coded = [column.codes for column in (columns.category, columns.brand, columns.colour)]
    same = [codes[rows] == codes[model] for codes in coded if codes[model] != NO_VALUE]
    attributes = catalog.tiles(np.array([model]))[0]["attributes"]
    same += [columns.attributes[name].has_value(rows, value) for name, value in attributes.items()]
    return np.mean(same, axis=0, dtype=np.float32) if same else None


def _texts_of(items: LayeredItems, rows: Int64) -> list[str]:
    """One line a row, in lower case."""
    wanted = items.select([*_WORD_COLUMNS, "attributes"]).take(rows).combine_chunks()
    maps = wanted.column("attributes").combine_chunks()
    maps = maps.chunk(0) if isinstance(maps, pa.ChunkedArray) else maps
    values = pc.binary_join(pa.ListArray.from_arrays(maps.offsets, pc.coalesce(maps.items, "")), " ")
    parts = [pc.coalesce(wanted.column(name).combine_chunks(), "") for name in _WORD_COLUMNS]
    lines: list[str] = pc.utf8_lower(pc.binary_join_element_wise(*parts, values, " ")).to_pylist()
    return lines
