"""What is measured of a photo's pixels: a perceptual hash, sharpness, and how much is in it at all."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MEASURED_SIDE_PX = 256
_HASHED_SIDE_PX = 32
_HASH_SIDE = 8
_HASH_BITS = _HASH_SIDE**2


@dataclass(frozen=True, slots=True)
class Measures:
    """`phash` is 64 bits as a signed number, `sharpness` the variance of the Laplacian at 256 to 511 pixels (levels²),
    `spread` the distance in levels between the 1st and the 99th percentile of the grey values."""

    phash: int
    sharpness: float
    spread: int


def measure(photo: Image.Image) -> Measures:
    """Measure an upright photo, RGB or grey."""
    grey = _shrunk(photo if photo.mode == "L" else photo.convert("L"))
    return Measures(perceptual_hash(grey), laplacian_variance(grey), level_spread(grey))


def perceptual_hash(grey: Image.Image) -> int:
    """64 bits: whether each of the 8 × 8 lowest frequencies of the cosine transform, the constant ones apart, exceeds
    their median.

    Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", section 3.2.
    """
    pixels = np.asarray(grey.resize((_HASHED_SIDE_PX, _HASHED_SIDE_PX), Image.Resampling.BOX), dtype=np.float32)
    low = _COSINES @ pixels @ _COSINES.T
    sorted_low = np.sort(low, axis=None)
    median = (sorted_low[_HASH_BITS // 2 - 1] + sorted_low[_HASH_BITS // 2]) / 2  # a third of np.median's time
    bits = (low > median).ravel()
    return int(np.packbits(bits).view(">i8")[0])


def laplacian_variance(grey: Image.Image) -> float:
    """How sharp: the variance of the four-neighbour Laplacian over the inner pixels; 0 below 3 pixels a side."""
    if min(grey.size) < 3:
        return 0.0
    levels = np.asarray(grey, dtype=np.int16)
    edges = levels[:-2, 1:-1] + levels[2:, 1:-1]
    edges += levels[1:-1, :-2]
    edges += levels[1:-1, 2:]
    edges -= 4 * levels[1:-1, 1:-1]
    flat = edges.ravel().astype(np.float32)
    mean = float(flat.mean())
    return max(0.0, float(np.dot(flat, flat)) / flat.size - mean * mean)


def level_spread(grey: Image.Image) -> int:
    """The distance between the 1st and the 99th percentile, in levels of 0 to 255."""
    cumulated = list(accumulate(grey.histogram()))
    return bisect_left(cumulated, 0.99 * cumulated[-1]) - bisect_left(cumulated, 0.01 * cumulated[-1])


def hamming_distance(one: int, other: int) -> int:
    """Bits in which two perceptual hashes differ."""
    return ((one ^ other) & 0xFFFF_FFFF_FFFF_FFFF).bit_count()


def _shrunk(grey: Image.Image) -> Image.Image:
    """256 to 511 pixels on its longer side, if it has them: sharpness depends on the scale.

    By a whole factor: shrinking to a size between costs as much as decoding the photo.
    """
    factor = max(grey.size) // MEASURED_SIDE_PX
    return grey.reduce(factor) if factor > 1 else grey


def _cosines() -> NDArray[np.float32]:
    """Rows 1 to 8 of the cosine transform over 32 points, (8, 32) float32; row 0, the constant, says nothing."""
    points = (np.arange(_HASHED_SIDE_PX) + 0.5) * math.pi / _HASHED_SIDE_PX
    return np.cos(np.outer(np.arange(1, _HASH_SIDE + 1), points)).astype(np.float32)


_COSINES = _cosines()
