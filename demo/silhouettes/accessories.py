"""Hats and bags."""

from __future__ import annotations

import numpy as np

from demo.sketch import Point, Sketch, flipped, mirrored, ring


def hat(rng: np.random.Generator, fit: str) -> Sketch:
    """A cap, a knitted hat or a brimmed one."""
    sketch = Sketch()
    {"cap": _cap, "beanie": _knitted}.get(fit, _brimmed)(sketch, rng)
    return sketch


def _cap(sketch: Sketch, rng: np.random.Generator) -> None:
    height = float(rng.uniform(0.62, 0.78))
    role = "accent" if rng.random() < 0.4 else "dark"
    sketch.fabric(
        [
            (-0.72, 0.2),
            (-0.72, 0.2),
            (-0.7, -0.2),
            (-0.4, 0.12 - height),
            (0.05, 0.02 - height),
            (0.42, -0.32),
            (0.52, 0.12),
            (0.5, 0.2),
            (0.5, 0.2),
            (-0.1, 0.26),
        ]
    )
    for points in (
        [(-0.1, -height + 0.05), (-0.35, -0.2), (-0.36, 0.22)],
        [(-0.1, -height + 0.05), (0.2, -0.2), (0.16, 0.24)],
    ):
        sketch.seam(points, -0.35)
    sketch.disc(-0.08, 0.04 - height, 0.045, role)
    brim: list[Point] = [
        (0.12, 0.22),
        (0.12, 0.22),
        (0.5, 0.1),
        (0.85, 0.16),
        (1.12, 0.34),
        (1.1, 0.4),
        (0.8, 0.34),
        (0.4, 0.3),
    ]
    if role == "accent":
        sketch.solid(brim, role)
    else:
        sketch.fabric(brim, -0.1)
    sketch.seam([(0.2, 0.22), (0.6, 0.2), (1.0, 0.33)], -0.3)
    sketch.crease([(-0.5, -0.1), (-0.3, -height + 0.2)], 0.35, 0.12)
    sketch.crease([(0.1, 0.24), (0.5, 0.12), (0.9, 0.2)], -0.5, 0.06)


def _knitted(sketch: Sketch, rng: np.random.Generator) -> None:
    height = float(rng.uniform(0.75, 1.05))
    if rng.random() < 0.5:
        sketch.solid(ring(0.0, -height + 0.02, 0.2, 0.19), "accent")
        for angle in np.linspace(0, 6.1, 11):
            x, y = 0.15 * float(np.cos(angle)), 0.14 * float(np.sin(angle)) - height + 0.02
            sketch.seam([(x * 0.3, y + 0.02), (x, y)], -0.25)
    sketch.fabric(mirrored([(0.1, -height + 0.1), (0.42, -height * 0.66), (0.58, -0.1), (0.58, 0.2), (0.58, 0.2)]))
    for x in np.linspace(-0.5, 0.5, 15):
        sketch.seam([(float(x) * 0.35, -height + 0.16), (float(x), -height * 0.5), (float(x) * 1.1, 0.2)], -0.2)
    sketch.fabric(mirrored([(0.6, 0.06), (0.64, 0.1), (0.62, 0.42), (0.58, 0.44), (0.2, 0.48)]), 0.08)
    for x in np.linspace(-0.57, 0.57, 21):
        sketch.seam([(float(x), 0.1), (float(x), 0.44)], -0.3)
    sketch.crease([(-0.6, 0.06), (0.6, 0.06)], -0.5, 0.05)


def _brimmed(sketch: Sketch, rng: np.random.Generator) -> None:
    wide = float(rng.uniform(0.92, 1.2))
    crown = float(rng.uniform(0.46, 0.6))
    sketch.fabric(ring(0.0, 0.22, wide, 0.24, 30), -0.05)
    sketch.crease([(-crown, 0.32), (0.0, 0.4), (crown, 0.32)], -0.5, 0.1)
    sketch.fabric(
        mirrored(
            [(0.08, -0.42), (crown * 0.62, -0.5), (crown * 0.92, -0.3), (crown, 0.2), (crown, 0.2), (crown * 0.4, 0.29)]
        )
    )
    band = [(crown * 0.97, 0.0), (crown * 0.97, 0.0), (crown, 0.2), (crown, 0.2)]
    sketch.solid(
        [*band, (crown * 0.5, 0.28), (0.0, 0.31), (-crown * 0.5, 0.28), *flipped(band[3::-1]), (0.0, 0.11)],
        "accent" if rng.random() < 0.4 else "dark",
    )
    sketch.crease([(0.0, -0.45), (0.0, -0.2)], -0.4, 0.14)
    sketch.crease([(-crown * 0.6, -0.4), (-crown * 0.7, 0.0)], 0.35, 0.12)
    sketch.seam(
        [(-wide * 0.97, 0.24), (-wide * 0.5, 0.42), (0.0, 0.44), (wide * 0.5, 0.42), (wide * 0.97, 0.24)], -0.25
    )


def bag(rng: np.random.Generator, fit: str) -> Sketch:
    """A tote, a handbag with a flap, or a backpack."""
    sketch = Sketch()
    {"tote": _tote, "handbag": _handbag}.get(fit, _backpack)(sketch, rng)
    return sketch


def _tote(sketch: Sketch, rng: np.random.Generator) -> None:
    top, bottom = float(rng.uniform(0.55, 0.72)), float(rng.uniform(0.48, 0.62))
    height = float(rng.uniform(0.6, 0.85))
    drop = float(rng.uniform(0.35, 0.65))
    role = "wood" if rng.random() < 0.5 else "dark"
    sketch.stroke([(-0.26, -0.1), (-0.24, -drop), (0.0, -drop - 0.16), (0.24, -drop), (0.26, -0.1)], role, 0.055, -0.2)
    sketch.fabric(mirrored([(top, -0.2), (top, -0.2), (bottom, height), (bottom, height), (0.2, height + 0.03)]))
    sketch.stroke(
        [(-0.3, 0.04), (-0.28, -drop + 0.06), (0.0, -drop - 0.08), (0.28, -drop + 0.06), (0.3, 0.04)], role, 0.055
    )
    for x in (-0.3, 0.3):
        sketch.disc(x, 0.02, 0.03, "metal")
    sketch.seam([(-top, -0.12), (top, -0.12)], -0.35)
    sketch.crease([(-top * 0.7, -0.1), (-bottom * 0.5, height)], 0.3, 0.14)
    sketch.crease([(top * 0.5, -0.1), (bottom * 0.75, height)], -0.32, 0.12)


def _handbag(sketch: Sketch, rng: np.random.Generator) -> None:
    wide, height = float(rng.uniform(0.7, 0.9)), float(rng.uniform(0.42, 0.6))
    flap = float(rng.uniform(0.14, 0.34))
    sketch.stroke(
        [(-wide * 0.62, -0.25), (-wide * 0.5, -0.8), (0.0, -1.0), (wide * 0.5, -0.8), (wide * 0.62, -0.25)],
        "dark",
        0.06,
    )
    sketch.fabric(
        mirrored(
            [
                (wide * 0.92, -0.3),
                (wide, -0.2),
                (wide * 0.98, height),
                (wide * 0.9, height + 0.06),
                (0.3, height + 0.07),
            ]
        )
    )
    sketch.crease([(-wide * 0.9, flap + 0.1), (wide * 0.9, flap + 0.1)], -0.5, 0.08)
    sketch.fabric(
        mirrored([(0.3, -0.34), (wide * 0.94, -0.32), (wide, -0.1), (wide * 0.8, flap - 0.06), (0.2, flap)]), 0.12
    )
    edge = [
        (-wide, -0.1),
        (-wide * 0.8, flap - 0.06),
        (-0.2, flap),
        (0.2, flap),
        (wide * 0.8, flap - 0.06),
        (wide, -0.1),
    ]
    sketch.seam(edge, -0.5, 0.016)
    sketch.solid(
        [(-0.09, flap - 0.12), (0.09, flap - 0.12), (0.09, flap + 0.06), (-0.09, flap + 0.06)], "metal", curved=False
    )
    for x in (-wide * 0.62, wide * 0.62):
        sketch.disc(x, -0.26, 0.055, "metal")
    sketch.crease([(-wide * 0.5, -0.2), (wide * 0.2, 0.05)], 0.35, 0.14)


def _backpack(sketch: Sketch, rng: np.random.Generator) -> None:
    wide = float(rng.uniform(0.52, 0.64))
    role = "accent" if rng.random() < 0.5 else "dark"
    sketch.stroke([(-0.14, -0.86), (-0.12, -1.06), (0.12, -1.06), (0.14, -0.86)], "dark", 0.06)
    for sign in (1.0, -1.0):
        sketch.stroke([(sign * wide * 0.7, -0.6), (sign * (wide + 0.16), 0.0), (sign * wide * 0.9, 0.72)], "dark", 0.09)
    sketch.fabric(
        mirrored(
            [(0.1, -0.94), (wide * 0.7, -0.84), (wide, -0.4), (wide * 1.04, 0.6), (wide * 0.92, 0.82), (0.2, 0.86)]
        )
    )
    sketch.seam([(-wide, -0.3), (-wide * 0.72, -0.72), (0.0, -0.82), (wide * 0.72, -0.72), (wide, -0.3)], -0.45, 0.02)
    front = mirrored([(wide * 0.7, 0.04), (wide * 0.78, 0.12), (wide * 0.78, 0.66), (wide * 0.68, 0.74), (0.1, 0.75)])
    sketch.fabric(front, 0.08)
    sketch.seam([*front, front[0]], -0.45, 0.016)
    sketch.solid(mirrored([(wide * 0.7, 0.1), (wide * 0.7, 0.16)]), role, curved=False)
    sketch.stroke([(0.2, 0.13), (0.2, 0.26)], "metal", 0.03)
    sketch.crease([(-wide * 0.6, -0.6), (-wide * 0.7, 0.0)], 0.35, 0.16)
    sketch.crease([(-wide * 0.8, 0.02), (wide * 0.8, 0.02)], -0.4, 0.08)
