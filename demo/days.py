"""Edits over time: the catalog as of day N is that of day N − 1 with a few prices, stocks and photos changed,

a few products removed and a few new ones. Each day's edits depend on the seed, the day and the product's number alone.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace

from demo.products import FIRST_DAY, Product, draw_product, rounded_price
from demo.streams import stream, uniforms

PRICE_SHARE = 0.008
STOCK_SHARE = 0.006
PHOTO_SHARE = 0.002
REMOVED_SHARE = 0.003
ARRIVALS_SHARE = 0.005
EDITED_VIEWS = 10  # views from this number on are photos added by edits


def arrivals_a_day(products: int) -> int:
    """Return how many new products come each day to a catalog that began with this many."""
    return max(1, round(products * ARRIVALS_SHARE)) if products else 0


def catalog_as_of(seed: int, products: int, day: int, first: int = 0, last: int | None = None) -> Iterator[Product]:
    """Yield the products of day `day` (0 is the base), in order; first…last narrows the range of numbers."""
    arrivals = arrivals_a_day(products)
    count = products + arrivals * day
    last = count if last is None else min(last, count)
    edits = _edits(seed, products, day)
    for number in range(first, last):
        product: Product | None = draw_product(seed, number)
        assert product is not None
        if number >= products:
            born = 1 + (number - products) // arrivals
            product = replace(product, created_at=_date(born), updated_at=_date(born))
        for edited_on, kind in edits.get(number, ()):
            product = _edited(seed, product, edited_on, kind)
            if product is None:
                break
        if product is not None:
            yield product


def changes_of_day(seed: int, products: int, day: int) -> tuple[list[Product], list[Product]]:
    """Return what day `day` changed or added, and what it removed (as it was the day before), in order."""
    changed = changed_numbers(seed, products, day)
    after = [product for product in catalog_as_of(seed, products, day) if product.number in changed]
    if day == 0:
        return after, []
    kept = {product.number for product in after}
    before = catalog_as_of(seed, products, day - 1)
    removed = [product for product in before if product.number in changed and product.number not in kept]
    return after, [replace(product, updated_at=_date(day)) for product in removed]


def changed_numbers(seed: int, products: int, day: int) -> frozenset[int]:
    """Return the numbers of the products that day `day` changed, removed or added."""
    if day == 0:
        return frozenset(range(products))
    arrivals = arrivals_a_day(products)
    start = products + arrivals * (day - 1)
    return frozenset(_edits_of_day(seed, start, day)) | frozenset(range(start, start + arrivals))


def _edits(seed: int, products: int, day: int) -> dict[int, list[tuple[int, str]]]:
    edits: dict[int, list[tuple[int, str]]] = {}
    for each in range(1, day + 1):
        existing = products + arrivals_a_day(products) * (each - 1)
        for number, kind in _edits_of_day(seed, existing, each).items():
            edits.setdefault(number, []).append((each, kind))
    return edits


def _edits_of_day(seed: int, existing: int, day: int) -> dict[int, str]:
    chances = uniforms(seed, "edit", existing, day)
    edits: dict[int, str] = {}
    low = 0.0
    for kind, share in (
        ("price", PRICE_SHARE),
        ("stock", STOCK_SHARE),
        ("photo", PHOTO_SHARE),
        ("removed", REMOVED_SHARE),
    ):
        chosen = (chances >= low) & (chances < low + share)
        edits.update(dict.fromkeys((int(n) for n in chosen.nonzero()[0]), kind))
        low += share
    return edits


def _edited(seed: int, product: Product, day: int, kind: str) -> Product | None:
    """Return the product after one edit, or None where it was removed."""
    if kind == "removed":
        return None
    changed = replace(product, updated_at=_date(day))
    if kind == "stock":
        return replace(changed, in_stock=not product.in_stock)
    if kind == "photo":
        added = EDITED_VIEWS + day
        return replace(changed, views=(added, *product.views[:2]))
    factor = float(stream(seed, "repricing", product.number, day).choice([0.7, 0.8, 0.9, 1.08, 1.15]))
    price = rounded_price(product.price * factor)
    return replace(changed, price=price if price != product.price else round(product.price + 1, 2))


def _date(day: int) -> datetime.date:
    return FIRST_DAY + datetime.timedelta(days=day)
