"""Grey textures that photos borrow crops of: soft noise, cloth weave, folds and flower prints. Made once a process."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

TEXTURE_SIDE = 768
PRINT_SIDE = 256


def soft_noise(rng: np.random.Generator, height: int, width: int, cells: tuple[int, int]) -> np.ndarray:
    """Return smooth noise (height, width) float32 in -1…1 with about cells (down, across) bumps."""
    grid = rng.uniform(-1, 1, cells).astype(np.float32)
    picture = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32)


@cache
def grain() -> np.ndarray:
    """Return camera noise (side, side, 1) float32, deviation 1.6 levels."""
    rng = np.random.default_rng(11)
    return rng.normal(0, 1.6, (TEXTURE_SIDE, TEXTURE_SIDE, 1)).astype(np.float32)


@cache
def folds() -> np.ndarray:
    """Return large soft folds (side, side) float32, about -1…1, longer down than across."""
    rng = np.random.default_rng(12)
    side = TEXTURE_SIDE
    field = soft_noise(rng, side, side, (7, 12)) + 0.6 * soft_noise(rng, side, side, (14, 26))
    ridges = 1 - 2 * np.abs(soft_noise(rng, side, side, (8, 14)))
    return (0.5 * field + 0.3 * ridges).astype(np.float32)


@cache
def weave(material: str) -> np.ndarray:
    """Return the brightness of a material's surface (side, side) float32, around 0."""
    rng = np.random.default_rng(13)
    side = TEXTURE_SIDE
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    noise = rng.normal(0, 1, (side, side)).astype(np.float32)
    if material == "denim":
        twill = np.sin((x + y) * 1.1) * 0.5
        worn = soft_noise(rng, side, side, (16, 24))
        return (0.045 * twill + 0.04 * noise + 0.09 * worn).astype(np.float32)
    if material in ("wool", "knit"):
        ribs = np.sin(x * 0.9) * 0.6 + np.sin(y * 0.8 + np.sin(x * 0.9)) * 0.4
        return (0.07 * ribs + 0.03 * noise).astype(np.float32)
    if material in ("leather", "suede"):
        pores = soft_noise(rng, side, side, (170, 170)) * 0.05
        return (pores + soft_noise(rng, side, side, (30, 30)) * 0.05).astype(np.float32)
    if material in ("silk", "satin"):
        return (0.1 * soft_noise(rng, side, side, (10, 16)) + 0.01 * noise).astype(np.float32)
    if material == "linen":
        slubs = soft_noise(rng, side, side, (20, 500)) + soft_noise(rng, side, side, (500, 20))
        return (0.035 * slubs + 0.02 * noise).astype(np.float32)
    return (0.022 * noise + 0.02 * np.sin(x * 1.4) * np.sin(y * 1.4)).astype(np.float32)


@cache
def flower_print(variant: int) -> np.ndarray:
    """Return a tile (side, side, 2) float32: how much of the second and of the third colour each point takes."""
    rng = np.random.default_rng([14, variant])
    scale = 3
    side = PRINT_SIDE * scale
    petals, centres = (Image.new("L", (side, side), 0) for _ in range(2))
    draw_petals, draw_centres = ImageDraw.Draw(petals), ImageDraw.Draw(centres)
    count = (3, 4, 5)[variant % 3]  # across and down
    radius = side * 0.34 / count
    leaves = 5 + variant % 3
    for number in range(count * count):
        row, column = divmod(number, count)
        x = (column + 0.5 * (row % 2) + rng.uniform(-0.22, 0.22)) / count * side
        y = (row + rng.uniform(-0.22, 0.22)) / count * side
        turn, size = rng.uniform(0, 6.28), radius * rng.uniform(0.7, 1.15)
        for dx in (-side, 0, side):
            for dy in (-side, 0, side):
                _flower(draw_petals, draw_centres, x + dx, y + dy, size, turn, leaves)
    layers = [
        np.asarray(layer.filter(ImageFilter.GaussianBlur(1)).reduce(scale), dtype=np.float32) / 255
        for layer in (petals, centres)
    ]
    return np.stack(layers, axis=-1)


def _flower(
    petals: ImageDraw.ImageDraw,
    centres: ImageDraw.ImageDraw,
    x: float,
    y: float,
    size: float,
    turn: float,
    leaves: int,
) -> None:
    for leaf in range(leaves):
        angle = turn + leaf * 2 * np.pi / leaves
        cx, cy, r = x + np.cos(angle) * size * 0.55, y + np.sin(angle) * size * 0.55, size * 0.42
        petals.ellipse((cx - r, cy - r, cx + r, cy + r), fill=255)
    r = size * 0.3
    petals.ellipse((x - r, y - r, x + r, y + r), fill=255)
    centres.ellipse((x - r, y - r, x + r, y + r), fill=255)
    lx, ly, r = x + np.cos(turn + 0.6) * size * 1.35, y + np.sin(turn + 0.6) * size * 1.35, size * 0.2
    centres.ellipse((lx - r, ly - r, lx + r, ly + r), fill=255)


def crop(texture: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Return a view of the texture of the given size at a drawn place."""
    top = int(rng.integers(0, texture.shape[0] - height + 1))
    left = int(rng.integers(0, texture.shape[1] - width + 1))
    return texture[top : top + height, left : left + width]
