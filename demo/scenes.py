"""What is behind and under a product: studio paper, walls, wooden floors, bed sheets, carpets, tiles."""

from __future__ import annotations

from functools import cache

import numpy as np

from demo.textures import TEXTURE_SIDE, crop, grain, soft_noise

STUDIO_SCENES = ("paper", "gradient")
HOME_SCENES = ("wall", "wood", "sheet", "carpet", "tiles")
SCENES = STUDIO_SCENES + HOME_SCENES

_WALLS = ((206, 214, 216), (222, 208, 190), (188, 204, 196), (226, 198, 192), (196, 200, 222), (232, 224, 206))
_WOODS = ((182, 142, 100), (146, 104, 70), (206, 184, 154), (128, 120, 112))
_SHEETS = ((214, 212, 208), (192, 202, 216), (212, 198, 188), (168, 176, 184), (196, 206, 190))
_CARPETS = ((150, 144, 138), (112, 108, 106), (178, 160, 138), (120, 128, 142))
_TILES = ((214, 206, 194), (188, 188, 186), (224, 220, 214))


def scene(name: str, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a background (height, width, 3) float32 in 0–255. Raises KeyError for an unknown name."""
    return _PAINTERS[name](rng, height, width)


def _tint(colours: tuple[tuple[int, int, int], ...], rng: np.random.Generator) -> np.ndarray:
    colour = np.asarray(colours[int(rng.integers(len(colours)))], np.float32)
    return np.clip(colour + rng.normal(0, 2.5, 3) + rng.normal(0, 8), 20, 250).astype(np.float32)


def _down(start: float, end: float, height: int) -> np.ndarray:
    return np.linspace(start, end, height, dtype=np.float32)[:, None, None]


def _paper(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    white = float(rng.uniform(244, 253))
    shade = _down(white, white - float(rng.uniform(2, 9)), height)
    return np.repeat(shade, width, axis=1) + np.zeros(3, np.float32)


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    light = float(rng.uniform(200, 236))
    middle = int(height * rng.uniform(0.55, 0.75))
    wall = np.linspace(light - 42, light, middle, dtype=np.float32)
    floor = np.linspace(light + 4, light - 22, height - middle, dtype=np.float32)
    column = np.concatenate([wall, floor])[:, None, None]
    across = 1 - 0.1 * np.linspace(-1, 1, width, dtype=np.float32)[None, :, None] ** 2
    return column * across + rng.normal(0, 2, 3).astype(np.float32)


def _wall(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    plaster = crop(_plaster(), height, width, rng)[..., None]
    fall = 1 - 0.16 * np.abs(np.linspace(-1, 1, width, dtype=np.float32)[None, :, None] - rng.uniform(-0.6, 0.6))
    return (_tint(_WALLS, rng) * (1 + 0.03 * plaster)) * fall.astype(np.float32)


def _wood(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    planks = crop(_planks(), height, width, rng)
    if rng.random() < 0.5:
        planks = planks[:, ::-1]
    if rng.random() < 0.35:
        planks = crop(_planks().T, height, width, rng)
    return _tint(_WOODS, rng) * planks[..., None]


def _sheet(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    creases = _linen().T if rng.random() < 0.5 else _linen()
    return _tint(_SHEETS, rng) * crop(creases, height, width, rng)[..., None]


def _carpet(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return _tint(_CARPETS, rng) * (1 + crop(_pile(), height, width, rng)[..., None])


def _tiled(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return _tint(_TILES, rng) * crop(_floor_tiles(), height, width, rng)[..., None]


@cache
def _plaster() -> np.ndarray:
    rng = np.random.default_rng(21)
    side = TEXTURE_SIDE
    return soft_noise(rng, side, side, (9, 9)) + 0.35 * soft_noise(rng, side, side, (300, 300))


@cache
def _linen() -> np.ndarray:
    """Return a bed sheet (side, side) float32 brightness around 1: broad swells with sharp creases."""
    rng = np.random.default_rng(25)
    side = TEXTURE_SIDE
    # The slope of a field, lit from one side, shows its ridges as creases.
    swell = soft_noise(rng, side, side, (5, 8)) + 0.3 * soft_noise(rng, side, side, (16, 22))
    swell += 0.12 * np.abs(soft_noise(rng, side, side, (11, 16)))
    slope = np.gradient(swell, axis=1) + 0.5 * np.gradient(swell, axis=0)
    return (1 + 4.5 * slope + 0.008 * grain()[..., 0]).astype(np.float32)


@cache
def _planks() -> np.ndarray:
    """Return floor boards (side, side) float32 brightness around 1."""
    rng = np.random.default_rng(22)
    side, board = TEXTURE_SIDE, 86
    floor = np.empty((side, side), np.float32)
    for top in range(0, side, board):
        rows = min(board, side - top)
        veins = soft_noise(rng, board, side, (16, 5)) + 0.5 * soft_noise(rng, board, side, (43, 9))
        plank = 1 + 0.09 * veins + rng.uniform(-0.1, 0.08)
        joint = int(rng.integers(side))
        plank[:, joint : joint + 2] *= 0.6
        plank[:2] *= 0.62
        plank[2] *= 0.85
        floor[top : top + rows] = plank[:rows]
    return floor


@cache
def _pile() -> np.ndarray:
    rng = np.random.default_rng(23)
    side = TEXTURE_SIDE
    tufts = soft_noise(rng, side, side, (260, 260)) * 0.16 + soft_noise(rng, side, side, (90, 90)) * 0.08
    return (tufts + 0.045 * grain()[..., 0]).astype(np.float32)


@cache
def _floor_tiles() -> np.ndarray:
    rng = np.random.default_rng(24)
    side, pitch = TEXTURE_SIDE, 190
    floor = 1 + 0.025 * soft_noise(rng, side, side, (40, 40)) + 0.02 * soft_noise(rng, side, side, (9, 9))
    y, x = np.mgrid[0:side, 0:side]
    floor *= np.where(((x + y) % pitch < 5) | ((x - y) % pitch < 5), 0.8, 1.0)
    return floor.astype(np.float32)


_PAINTERS = {
    "paper": _paper,
    "gradient": _gradient,
    "wall": _wall,
    "wood": _wood,
    "sheet": _sheet,
    "carpet": _carpet,
    "tiles": _tiled,
}
