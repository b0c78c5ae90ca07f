"""Random streams that depend on nothing but a seed, a purpose and indices, so that every product can be drawn alone."""

from __future__ import annotations

import zlib

import numpy as np

BLOCK_ROWS = 4096


def stream(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """Return the generator of one purpose ("design", "price", …) for one tuple of indices."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(purpose.encode()), *indices]))


def uniforms(seed: int, purpose: str, count: int, *indices: int) -> np.ndarray:
    """Return (count,) float64 in [0, 1) whose first n values do not depend on count."""
    blocks = [stream(seed, purpose, *indices, block).random(BLOCK_ROWS) for block in range(-(-count // BLOCK_ROWS))]
    return np.concatenate(blocks)[:count] if blocks else np.empty(0)
