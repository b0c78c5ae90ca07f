"""Products: each one a function of the seed and its number, so that a larger catalog extends a smaller one.

Twelve numbers in a row form a block, and each block is split into groups of one to five variants.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from demo.assortment import ASSORTMENT, BRANDS, Line, describe, title_of
from demo.palette import COLOURS
from demo.streams import stream

BLOCK = 12
FIRST_DAY = datetime.date(2026, 1, 1)  # day 0 of the catalog's edits
GROUP_SIZES = (1, 2, 3, 4, 5)
GROUP_SIZE_SHARES = (0.2, 0.25, 0.3, 0.15, 0.1)


@dataclass(frozen=True)
class Design:
    """What the variants of a group share. `number` is that of the group's first product."""

    number: int
    category: str
    brand: str
    material: str
    fit: str
    price: float
    pattern: str
    variants: tuple[tuple[str, str], ...]

    @property
    def group_id(self) -> str:
        return f"G{self.number:06d}"


@dataclass(frozen=True)
class Product:
    """One row of the catalog. price in `currency`; views: the numbers of its photos, the main one first."""

    number: int
    product_id: str
    group_id: str
    title: str
    description: str
    brand: str
    category: str
    colour: str
    pattern: str
    material: str
    fit: str
    price: float
    currency: str
    in_stock: bool
    created_at: datetime.date
    updated_at: datetime.date
    views: tuple[int, ...]


@lru_cache(maxsize=4096)
def _block_groups(seed: int, block: int) -> tuple[int, ...]:
    """Return, for each of a block's products, the place of its group's first product."""
    rng = stream(seed, "groups", block)
    firsts: list[int] = []
    while len(firsts) < BLOCK:
        size = int(rng.choice(GROUP_SIZES, p=GROUP_SIZE_SHARES))
        firsts += [len(firsts)] * min(size, BLOCK - len(firsts))
    return tuple(firsts)


@lru_cache(maxsize=4096)
def _design(seed: int, number: int) -> Design:
    rng = stream(seed, "design", number)
    lines = tuple(ASSORTMENT.values())
    shares = np.array([line.share for line in lines])
    line: Line = lines[int(rng.choice(len(lines), p=shares / shares.sum()))]
    brand, tier = BRANDS[int(rng.integers(len(BRANDS)))]
    pattern = str(rng.choice(list(line.patterns), p=list(line.patterns.values())))
    price = line.price * tier * float(np.exp(rng.normal(0, 0.28)))
    colours = [str(name) for name in rng.permutation(list(COLOURS))]
    patterns = [pattern] + [str(rng.choice(list(line.patterns))) if rng.random() < 0.25 else pattern for _ in range(4)]
    return Design(
        number=number,
        category=line.category,
        brand=brand,
        material=str(rng.choice(line.materials)),
        fit=str(rng.choice(line.fits)),
        price=rounded_price(price),
        pattern=pattern,
        variants=tuple(zip(colours, patterns, strict=False)),
    )


def design_of(seed: int, number: int) -> Design:
    """Return the design that product `number` is a variant of."""
    block, place = divmod(number, BLOCK)
    return _design(seed, block * BLOCK + _block_groups(seed, block)[place])


def draw_product(seed: int, number: int) -> Product:
    """Return product `number` as it is on day 0."""
    design = design_of(seed, number)
    colour, pattern = design.variants[number - design.number]
    rng = stream(seed, "product", number)
    created = FIRST_DAY - datetime.timedelta(days=int(rng.exponential(120)))
    dearer = 1.1 if pattern != design.pattern else 1.0
    return Product(
        number=number,
        product_id=f"P{number:06d}",
        group_id=design.group_id,
        title=title_of(design.brand, design.category, design.fit, design.material, colour, pattern, rng),
        description=describe(design.category, design.fit, design.material, colour, pattern, rng),
        brand=design.brand,
        category=design.category,
        colour=colour,
        pattern=pattern,
        material=design.material,
        fit=design.fit,
        price=rounded_price(design.price * dearer),
        currency="EUR",
        in_stock=bool(rng.random() < 0.88),
        created_at=created,
        updated_at=created,
        views=(0, 1, 2) if rng.random() < 0.5 else (0, 1),
    )


def rounded_price(price: float) -> float:
    """Return a price as shops write it: ending in .99, .95 or .00."""
    whole = max(int(price), 4)
    return round(whole + (0.99 if price < 60 else 0.95 if price < 150 else 0.0), 2)
