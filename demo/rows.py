"""The catalog as a shop exports it: its own column names, one row a product, a few bad rows at the end if asked."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from demo.files import photo_path
from demo.products import Product

FORMATS = ("csv", "jsonl", "parquet")
IMAGE_COLUMNS = ("image_1", "image_2", "image_3")
COLUMNS = (
    "sku", "name", "description", "brand", "category", "colour", "price", "currency", "in_stock", "style_id",
    "material", "pattern", "fit", *IMAGE_COLUMNS, "created_at", "updated_at", "removed",
)  # fmt: skip

# Text that stands in for bytes no UTF-8 reader takes; the CSV writer puts them in.
_LATIN_1 = "Caf\udce9 \udcfcberwurf"

_MAPPING = """# Which columns of this shop's catalog are ours (schemas/mapping.py).
[source]
format = "{format}"
path = "{path}"

[columns]
product_id = "sku"
title = "name"
description = "description"
brand = "brand"
category = "category"
colour = "colour"
price = "price"
currency = "currency"
in_stock = "in_stock"
group_id = "style_id"
created_at = "created_at"
updated_at = "updated_at"
deleted = "removed"

[images]
columns = ["image_1", "image_2", "image_3"]
{base}
[attributes]
material = "material"
pattern = "pattern"
fit = "fit"
"""


def row_of(product: Product, base_url: str | None = None, *, removed: bool = False) -> dict[str, str]:
    """Return a product's row; links are relative to the catalog's folder unless a base URL is given."""
    links = [photo_path(product.number, view) for view in product.views]
    if base_url:
        links = [f"{base_url.rstrip('/')}/{link}" for link in links]
    return {
        "sku": product.product_id,
        "name": product.title,
        "description": product.description,
        "brand": product.brand,
        "category": product.category,
        "colour": product.colour,
        "price": f"{product.price:.2f}",
        "currency": product.currency,
        "in_stock": "true" if product.in_stock else "false",
        "style_id": product.group_id,
        "material": product.material,
        "pattern": product.pattern,
        "fit": product.fit,
        **{column: links[place] if place < len(links) else "" for place, column in enumerate(IMAGE_COLUMNS)},
        "created_at": f"{product.created_at.isoformat()}T00:00:00Z",
        "updated_at": f"{product.updated_at.isoformat()}T00:00:00Z",
        "removed": "true" if removed else "false",
    }


def bad_rows(rows: Sequence[dict[str, str]], table_format: str) -> list[tuple[str, dict[str, str]]]:
    """Return (kind, row) for one row of each kind of demo.faults.ROW_FAULTS, made from the first good rows."""
    if not rows:
        return []

    def spoilt(kind: str, place: int, **values: str) -> tuple[str, dict[str, str]]:
        good = rows[place % len(rows)]
        return kind, {**good, "sku": f"X{place:06d}", **values}

    bad = [
        spoilt("missing_id", 1, sku=""),
        spoilt("missing_link", 2, image_1="", image_2="", image_3=""),
        spoilt("price_not_a_number", 3, price="N/A"),
        spoilt("negative_price", 4, price="-12.00"),
        spoilt("duplicate_id", 5, sku=rows[0]["sku"], price="1.00"),
        spoilt("stock_not_a_flag", 6, in_stock="maybe"),
    ]
    if table_format == "csv":
        bad.append(spoilt("mixed_encoding", 7, name=_LATIN_1))
    return bad


def write_rows(path: Path, rows: Iterable[dict[str, str]], table_format: str) -> None:
    """Write rows as CSV, JSON Lines or Parquet; numbers, flags and times keep their types in the last two."""
    if table_format == "csv":
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    elif table_format == "jsonl":
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(_typed(row), ensure_ascii=False) + "\n" for row in rows)
    elif table_format == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        # Text throughout: a shop whose price column holds "N/A" has no number column.
        schema = pa.schema([(column, pa.string()) for column in COLUMNS])
        pq.write_table(pa.Table.from_pylist(list(rows), schema), path)
    else:
        raise ValueError(f"unknown format {table_format!r}: use one of {', '.join(FORMATS)}")


def _typed(row: dict[str, str]) -> dict[str, Any]:
    typed: dict[str, Any] = {column: value for column, value in row.items() if value != ""}
    try:
        typed["price"] = float(row["price"])
    except ValueError:
        typed["price"] = row["price"]
    for flag in ("in_stock", "removed"):
        typed[flag] = {"true": True, "false": False}.get(row[flag], row[flag])
    return typed


def write_mapping(folder: Path, table_format: str = "csv", base_url: str | None = None) -> Path:
    """Write `mapping.toml`; with a base URL, relative links are fetched from there, else from the folder."""
    base = f'base = "{base_url.rstrip("/")}/"\n' if base_url else ""
    path = folder / "mapping.toml"
    path.write_text(_MAPPING.format(format=table_format, path=f"catalog.{table_format}", base=base), encoding="utf-8")
    return path
