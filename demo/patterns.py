"""What is printed or woven into a cloth: colours as a function of the place on the garment."""

from __future__ import annotations

import numpy as np

from demo.palette import RGB, Palette
from demo.textures import PRINT_SIDE, flower_print

PATTERNS = ("plain", "striped", "dotted", "checked", "floral", "logo")


def cloth_colours(
    pattern: str, palette: Palette, u: np.ndarray, v: np.ndarray, rng: np.random.Generator, pixels_per_unit: float
) -> np.ndarray:
    """Return the cloth's colours (h, w, 3) float32 in 0–255 at places u, v (h, w), in sketch units.

    The generator belongs to the design, so every view of a product has the same stripes.
    """
    main = np.asarray(palette.main, np.float32)
    if pattern == "striped":
        return _mix(main, palette.accent, _stripes(u, v, rng, pixels_per_unit))
    if pattern == "checked":
        return _checks(palette, u, v, rng, pixels_per_unit)
    if pattern == "dotted":
        return _mix(main, palette.accent, _dots(u, v, rng, pixels_per_unit))
    if pattern == "floral":
        return _flowers(palette, u, v, rng)
    return np.broadcast_to(main, (*u.shape, 3))


def _mix(main: np.ndarray, other: RGB, share: np.ndarray) -> np.ndarray:
    return main + share[..., None] * (np.asarray(other, np.float32) - main)


def _bands(place: np.ndarray, per_unit: float, width: float, pixels_per_unit: float) -> np.ndarray:
    """Return 1 inside bands that fill `width` of each period, 0 outside, with edges one pixel soft."""
    phase = place * per_unit
    phase = phase - np.floor(phase)
    softness = pixels_per_unit / per_unit
    return np.clip((width / 2 - np.abs(phase - 0.5)) * softness + 0.5, 0, 1)


def _stripes(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, pixels_per_unit: float) -> np.ndarray:
    direction = float(rng.random())
    per_unit = float(rng.choice([4.0, 6.0, 9.0, 12.0]))
    width = float(rng.choice([0.25, 0.5, 0.5]))
    place = v if direction < 0.6 else u if direction < 0.85 else (u + v) * 0.707
    return _bands(place, per_unit, width, pixels_per_unit)


def _checks(
    palette: Palette, u: np.ndarray, v: np.ndarray, rng: np.random.Generator, pixels_per_unit: float
) -> np.ndarray:
    per_unit = float(rng.choice([3.5, 5.0, 8.0]))
    tartan = bool(rng.random() < 0.5)
    across = _bands(u, per_unit, 0.5, pixels_per_unit)
    down = _bands(v, per_unit, 0.5, pixels_per_unit)
    main = np.asarray(palette.main, np.float32)
    cloth = _mix(main, palette.accent if not tartan else palette.dark, (across + down) * 0.5)
    if tartan:
        lines = np.maximum(
            _bands(u + 0.25 / per_unit, per_unit, 0.08, pixels_per_unit),
            _bands(v + 0.25 / per_unit, per_unit, 0.08, pixels_per_unit),
        )
        cloth += (lines * 0.8)[..., None] * (np.asarray(palette.accent, np.float32) - cloth)
    return cloth


def _dots(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, pixels_per_unit: float) -> np.ndarray:
    per_unit = float(rng.choice([5.0, 7.5, 11.0]))
    radius = float(rng.choice([0.2, 0.28]))
    x, y = (u + v) * per_unit * 0.707, (u - v) * per_unit * 0.707
    x, y = x - np.floor(x) - 0.5, y - np.floor(y) - 0.5
    return np.clip((radius - np.sqrt(x * x + y * y)) * (pixels_per_unit / per_unit) + 0.5, 0, 1)


def _flowers(palette: Palette, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    tile = flower_print(int(rng.integers(6)))
    scale = PRINT_SIDE * float(rng.choice([1.1, 1.5]))
    column = (u * scale).astype(np.int32) % PRINT_SIDE
    row = (v * scale).astype(np.int32) % PRINT_SIDE
    shares = tile.reshape(-1, 2)[row * PRINT_SIDE + column]
    main = np.asarray(palette.main, np.float32)
    cloth = _mix(main, palette.accent, shares[..., 0])
    return cloth + shares[..., 1:] * (np.asarray(palette.third, np.float32) * 0.8 - cloth)
