"""A catalog of any size: vectors between real photos' embeddings, and items that filter as a shop's do.

A row's category is that of the photo that it is mostly made of, so that filters by category lie near a query or opposed
to it as real ones do; brand, colour, price and stock have nothing to do with looks. `pole` cuts the rows into ten parts
along the direction in which they differ most: for a query at one end, a filter on the other is as opposed as can be.
Four rows of ten are variants of one group. Everything follows from row numbers and a seed, block by block.
"""

import csv
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.real_vectors import PHOTOS, lift_to, mix, photo_paths, real_embeddings
from retrieval.items.table import ITEMS_SCHEMA

BLOCK_ROWS = 50_000
INTERVAL_END = "20260201T020000Z"
POLES = 10
BRANDS, COLOURS, MATERIALS = 1_000, 14, 12
_STOCK_SHARE = 0.85
_VARIANTS_FROM = 6
"""Of each ten rows, those from here on are variants of the sixth."""

_NEWEST_US = 1_769_900_400_000_000
_DAY_US = 86_400_000_000
_DAYS = 730

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Rows that follow one another: `vectors` (n, D) float16, the photo that each is mostly made of, and its pole."""

    vectors: NDArray[np.float16]
    sources: NDArray[np.int16]
    poles: NDArray[np.int8]


@dataclass(frozen=True)
class LargeCatalog:
    """`embeddings` (photos, d) float32 of real photos, their `categories`, and `lift` (d, D)."""

    rows: int
    embeddings: NDArray[np.float32]
    categories: tuple[str, ...]
    lift: NDArray[np.float32]
    axis: NDArray[np.float32]
    pole_ends: NDArray[np.float32]
    source: str
    seed: int = 1

    @property
    def blocks(self) -> int:
        return -(-self.rows // BLOCK_ROWS)

    def block(self, number: int) -> Block:
        count = min(BLOCK_ROWS, self.rows - number * BLOCK_ROWS)
        rng = np.random.default_rng([self.seed, number])
        one, other = rng.integers(0, len(self.embeddings), (2, count))
        share = rng.uniform(0.5, 1.0, (count, 1)).astype(np.float32)
        first = _first_variant(np.arange(count))
        one, other, share = one[first], other[first], share[first]
        vectors = mix(rng, self.embeddings[one], self.embeddings[other], share, self.lift)
        return Block(vectors.astype(np.float16), one.astype(np.int16), self.poles_of(vectors))

    def poles_of(self, vectors: NDArray[np.float32]) -> NDArray[np.int8]:
        """The part, 0 to 9, that each unit row (n, D) lies in."""
        return np.searchsorted(self.pole_ends, vectors @ self.axis).astype(np.int8)

    def items(self, rows: Rows, sources: NDArray[np.int16], poles: NDArray[np.int8]) -> pa.Table:
        """The item columns of rows by their numbers (n,) int64."""
        category = pa.array(np.array(self.categories, dtype=object)[sources], pa.string())
        brand, colour = _named("Brand", rows, 1, BRANDS), _named("colour", rows, 2, COLOURS)
        price = np.round(np.exp(3.4 + 0.7 * _normal(rows, 3)), 2)
        columns: dict[str, Any] = {
            "product_id": _numbered("P", rows), "image_id": _numbered("", rows, 64),
            "image_position": pa.array(np.zeros(len(rows), np.int32)), "group_id": _numbered("G", _first_variant(rows)),
            "title": pc.binary_join_element_wise(colour, category, brand, " "), "brand": brand,
            "category": category, "colour": colour, "price": pa.array(price), "currency": pa.repeat("EUR", len(rows)),
            "in_stock": pa.array(_uniform(rows, 4) < _STOCK_SHARE),
            "attributes": _attributes(_named("material", rows, 5, MATERIALS), poles),
            "created_at": pa.array(_NEWEST_US - _DAY_US * (_uniform(rows, 6) * _DAYS).astype(np.int64), pa.timestamp("us", "UTC")),
        }  # fmt: skip
        return pa.table([columns[field.name].cast(field.type) for field in ITEMS_SCHEMA], schema=ITEMS_SCHEMA)


def make_catalog(rows: int, dimension: int) -> LargeCatalog:
    """From the real photos where they are, else from random directions, as `source` says."""
    embeddings, source = real_embeddings()
    lift = lift_to(dimension, embeddings.shape[1])
    lifted = embeddings @ lift
    axis = np.linalg.svd(lifted - lifted.mean(axis=0), full_matrices=False)[2][0].astype(np.float32)
    rough = LargeCatalog(
        BLOCK_ROWS, embeddings, _categories(len(embeddings)), lift, axis, np.empty(0, np.float32), source
    )
    along = rough.block(0).vectors.astype(np.float32) @ axis
    ends = np.quantile(along, np.arange(1, POLES) / POLES).astype(np.float32)
    return LargeCatalog(rows, embeddings, rough.categories, lift, axis, ends, source)


def _categories(count: int) -> tuple[str, ...]:
    """The label of each photo, as the data set gives it."""
    table = PHOTOS.parent / "catalog.csv"
    if not table.exists():
        return tuple(f"category {number % 17}" for number in range(count))
    with table.open(encoding="utf-8") as source:
        labels = {row["image"]: row["label"] for row in csv.DictReader(source)}
    return tuple(labels.get(path.stem, "Other") for path in photo_paths())


def _first_variant(rows: NDArray[Any]) -> NDArray[Any]:
    """The first row of each row's group."""
    return np.where(rows % 10 > _VARIANTS_FROM, rows - rows % 10 + _VARIANTS_FROM, rows)


def _attributes(materials: Any, poles: NDArray[np.int8]) -> Any:
    count = len(poles)
    keys = pa.array(np.tile(np.array(["material", "pole"], dtype=object), count), pa.string())
    values = np.empty(2 * count, dtype=object)
    values[::2], values[1::2] = materials.to_numpy(zero_copy_only=False), poles.astype(str)
    offsets = pa.array(np.arange(0, 2 * count + 1, 2, dtype=np.int32))
    return pa.MapArray.from_arrays(offsets, keys, pa.array(values, pa.string()))


def _named(kind: str, rows: Rows, salt: int, count: int) -> Any:
    """One of `count` names for each row."""
    names = np.array([f"{kind} {number}" for number in range(count)], dtype=object)
    return pa.array(names[(_uniform(rows, salt) * count).astype(np.int64)], pa.string())


def _numbered(letter: str, rows: Rows, digits: int = 8) -> Any:
    numbers = pc.utf8_lpad(pa.array(rows).cast(pa.string()), digits, "0")
    return pc.binary_join_element_wise(letter, numbers, "") if letter else numbers


def _uniform(rows: Rows, salt: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each row, by splitmix64: the same whichever rows are asked for together."""
    with np.errstate(over="ignore"):
        mixed = (rows.astype(np.uint64) + np.uint64(salt << 40)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2**64


def _normal(rows: Rows, salt: int) -> NDArray[np.float64]:
    """By Box and Muller."""
    radius = np.sqrt(-2 * np.log(1 - _uniform(rows, salt)))
    return np.asarray(radius * np.cos(2 * np.pi * _uniform(rows, salt + 100)))
