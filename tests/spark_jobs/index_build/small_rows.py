"""Rows for small builds: clustered unit vectors with items that look like a shop's."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

DIMENSION = 32
CATEGORIES = ("dress", "shoes", "bag", "hat")


def small_rows(count: int, seed: int = 0, dimension: int = DIMENSION) -> tuple[NDArray[np.float32], pa.Table]:
    """`count` rows, two photos a product; the four categories get rarer from first to last."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(count // 20, 2), dimension))
    cluster = rng.integers(0, len(centres), count)
    vectors = centres[cluster] + 0.5 * rng.standard_normal((count, dimension))
    products = [f"p{number // 2:05d}" for number in range(count)]
    category = [CATEGORIES[min(int(cluster[number // 2 * 2]) * 7 % 16 // 5, 3)] for number in range(count)]
    items = pa.table(
        {
            "product_id": products,
            "image_id": [hashlib.sha256(f"{seed}-{number}".encode()).hexdigest() for number in range(count)],
            "image_position": pa.array([number % 2 for number in range(count)], pa.int32()),
            "group_id": products,
            "title": [f"{name} number {number // 2}" for number, name in enumerate(category)],
            "category": category,
            "colour": [("red", "blue", "green")[number // 2 % 3] for number in range(count)],
            "price": [float(5 + number // 2 % 40) for number in range(count)],
            "attributes": pa.array([[("size", "M"), ("fit", "slim")]] * count, pa.map_(pa.string(), pa.string())),
            "created_at": pa.array([number // 2 * 1_000_000 for number in range(count)], pa.timestamp("us", tz="UTC")),
        }
    )
    return unit(vectors), items


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def encode_words(words: Sequence[str]) -> NDArray[np.float32]:
    """A stand-in for a text tower: the same words, the same direction."""
    return unit(
        np.stack([np.random.default_rng(len(word) * 131 + ord(word[0])).standard_normal(DIMENSION) for word in words])
    )
