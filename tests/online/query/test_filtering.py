"""Filters against plain Python over the same rows."""

from contextlib import nullcontext
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from online.query.filtering import rows_that_pass
from retrieval.items.columns import ItemColumns
from retrieval.items.table import conform_items
from schemas.api.filters import Filters

ROWS: list[dict[str, Any]] = [
    {"category": "dress", "brand": "Nord", "colour": "red", "price": 20.0, "currency": "EUR", "in_stock": True,
     "attributes": {"size": "M", "length": "90"}},
    {"category": "dress", "brand": "Sud", "colour": None, "price": 35.0, "currency": "USD", "in_stock": False,
     "attributes": {"size": "L", "length": "110.5"}},
    {"category": "shoes", "brand": None, "colour": "blue", "price": None, "currency": None, "in_stock": None,
     "attributes": {"heel": "low"}},
    {"category": None, "brand": "Nord", "colour": "red", "price": 5.0, "currency": "EUR", "in_stock": True,
     "attributes": {}},
]  # fmt: skip

INGESTED_MAX_CHARACTERS = 1024  # spark_jobs.catalog.rows, which needs Spark


def columns() -> ItemColumns:
    table = {
        name: [row[name] for row in ROWS] for name in ("category", "brand", "colour", "price", "currency", "in_stock")
    }
    attributes = pa.array([list(row["attributes"].items()) for row in ROWS], pa.map_(pa.string(), pa.string()))
    return ItemColumns.of(
        conform_items(
            pa.table({**table, "product_id": [str(row) for row in range(len(ROWS))], "attributes": attributes})
        )
    )


def passing(filters: dict[str, Any]) -> list[int]:
    mask = rows_that_pass(columns(), Filters.model_validate(filters, strict=True))
    return list(range(len(ROWS))) if mask is None else [row for row, passes in enumerate(mask) if passes]


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ({}, [0, 1, 2, 3]),
        ({"category": {"equals": "dress"}}, [0, 1]),
        ({"category": {"in": ["shoes", "dress"]}}, [0, 1, 2]),
        ({"category": {"not": {"equals": "dress"}}}, [2, 3]),
        ({"category": {"equals": "Dress"}}, []),
        ({"category": {"equals": " dress\u00a0"}}, [0, 1]),
        ({"brand": {"in": ["Nord\ufeff"]}}, [0, 3]),
        ({"category": {"equals": "dress", "in": ["shoes"]}}, []),
        ({"colour": {"not": {"in": ["red", "green"]}}}, [1, 2]),
        ({"brand": {"in": ["Nord", "Sud"], "not": {"equals": "Sud"}}}, [0, 3]),
        ({"price": {"min": 20}}, [0, 1]),
        ({"price": {"max": 20}}, [0, 3]),
        ({"price": {"min": 6, "max": 34.9}}, [0]),
        ({"price": {"not": {"min": 20}}}, [2, 3]),
        ({"price": {"in": [5, 35]}}, [1, 3]),
        ({"price": {"currency": "EUR"}}, [0, 3]),
        ({"price": {"min": 6, "currency": "USD"}}, [1]),
        ({"price": {"currency": "usd "}}, [1]),
        ({"in_stock": True}, [0, 3]),
        ({"in_stock": False}, [1]),
        ({"attributes": {"size": {"equals": "M"}}}, [0]),
        ({"attributes": {"size": {"not": {"equals": "M"}}}}, [1, 2, 3]),
        ({"attributes": {"length": {"min": 100}}}, [1]),
        ({"attributes": {"length": {"max": 90.0}, "size": {"equals": "M"}}}, [0]),
        ({"attributes": {"nothing has it": {"equals": "M"}}}, []),
        ({"attributes": {"nothing has it": {"not": {"equals": "M"}}}}, [0, 1, 2, 3]),
        ({"category": {"equals": "dress"}, "in_stock": True}, [0]),
    ],
)
def test_a_filter_passes_what_it_says(filters: dict[str, Any], rows: list[int]) -> None:
    assert passing(filters) == rows


WORD = st.sampled_from(["dress", "shoes", "Nord", "red", "blue", "other"])
NAMES = st.sampled_from(["category", "brand", "colour"])


@given(st.dictionaries(NAMES, st.tuples(st.lists(WORD, min_size=1, max_size=3), st.booleans()), max_size=3))
def test_filters_on_words_agree_with_plain_python(asked: dict[str, tuple[list[str], bool]]) -> None:
    filters = {name: {"not": {"in": words}} if refuse else {"in": words} for name, (words, refuse) in asked.items()}
    expected = [
        number
        for number, row in enumerate(ROWS)
        if all((row[name] in words) != refuse for name, (words, refuse) in asked.items())
    ]
    assert passing(filters) == expected


def test_a_word_is_found_however_its_accents_are_written() -> None:
    cafe = conform_items(pa.table({"product_id": ["1"], "brand": ["Caf\u00e9"]}))  # composed, as ingest keeps it
    asked = Filters.model_validate({"brand": {"equals": "Cafe\u0301"}}, strict=True)
    assert rows_that_pass(ItemColumns.of(cafe), asked) == [True]


def test_a_product_without_a_price_costs_nothing_in_any_currency() -> None:
    """A mapping file may give every product of a shop the same currency."""
    shop = ItemColumns.of(
        conform_items(pa.table({"product_id": ["1", "2"], "price": [20.0, None], "currency": ["EUR", "EUR"]}))
    )
    for price, rows in (({"currency": "EUR"}, [True, False]), ({"currency": "EUR", "not": {"min": 30}}, [True, True])):
        asked = Filters.model_validate({"price": price}, strict=True)
        found = rows_that_pass(shop, asked)
        assert found is not None
        assert found.tolist() == rows, price


def test_a_word_may_be_as_long_as_ingest_takes_it() -> None:
    for length, taken in ((INGESTED_MAX_CHARACTERS, True), (INGESTED_MAX_CHARACTERS + 1, False)):
        asked = {"attributes": {"care": {"in": ["x" * length]}}}
        with nullcontext() if taken else pytest.raises(ValidationError):
            Filters.model_validate(asked, strict=True)


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"shape": {"equals": "x"}}, "shape"),
        ({"category": "dress"}, "category"),
        ({"category": {}}, "category"),
        ({"category": {"equals": None}}, "category"),
        ({"category": {"in": []}}, "category.in"),
        ({"category": {"in": [""]}}, "category.in.0"),
        ({"category": {"in": [" "]}}, "category.in.0"),
        ({"category": {"equals": 7}}, "category.equals"),
        ({"category": {"is": "dress"}}, "category.is"),
        ({"category": {"not": {"not": {"equals": "x"}}}}, "category.not.not"),
        ({"category": {"min": 3}}, "category.min"),
        ({"price": {"min": float("nan")}}, "price.min"),
        ({"price": {"max": float("inf")}}, "price.max"),
        ({"price": {"min": "10"}}, "price.min"),
        ({"price": {"min": True}}, "price.min"),
        ({"price": {"min": 5, "max": 4}}, "price"),
        ({"in_stock": "yes"}, "in_stock"),
        ({"in_stock": 1}, "in_stock"),
        ({"attributes": {}}, "attributes"),
        ({"attributes": {"size": {}}}, "attributes.size"),
        ({"attributes": {"size": {"equals": 4}}}, "attributes.size.equals"),
    ],
)
def test_a_wrong_filter_names_its_field(filters: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Filters.model_validate(filters, strict=True)
    assert {".".join(map(str, error["loc"])) for error in raised.value.errors()} >= {field}
