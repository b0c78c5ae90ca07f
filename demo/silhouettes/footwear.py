"""Sneakers and boots, seen from their side."""

from __future__ import annotations

import numpy as np

from demo.sketch import Point, Sketch, ring


def sneaker(rng: np.random.Generator, fit: str) -> Sketch:
    """A low or high shoe seen from its side: upper, sole, toe cap, laces, side panel."""
    sketch = Sketch()
    collar = {"low": -0.4, "mid": -0.54}.get(fit, -0.82) + float(rng.uniform(-0.03, 0.03))
    sole = float(rng.uniform(0.12, 0.2))
    upper: list[Point] = [
        (-0.92, 0.3),
        (-0.92, 0.3),
        (-0.95, -0.05),
        (-0.9, collar),
        (-0.82, collar - 0.05),
        (-0.5, collar + 0.1),
        (-0.24, collar - 0.08),
        (-0.14, collar - 0.06),
        (0.12, -0.2),
        (0.4, -0.02),
        (0.72, 0.04),
        (0.95, 0.18),
        (1.0, 0.3),
        (1.0, 0.3),
    ]
    sketch.solid(
        [
            (-0.8, collar - 0.02),
            (-0.5, collar - 0.02),
            (-0.24, collar - 0.08),
            (-0.3, collar + 0.24),
            (-0.7, collar + 0.2),
        ],
        "lining",
        -0.2,
    )
    sketch.fabric(upper)
    if rng.random() < 0.6:
        sketch.solid(
            [(0.66, 0.32), (0.66, 0.32), (0.68, 0.08), (0.8, 0.07), (0.96, 0.18), (1.0, 0.32), (1.0, 0.32)],
            "sole",
            -0.08,
        )
    if rng.random() < 0.7:
        _side_panel(sketch, int(rng.integers(3)))
    heel = [(-0.93, 0.3), (-0.95, -0.05), (-0.91, collar + 0.08), (-0.76, collar + 0.12), (-0.72, 0.3)]
    sketch.solid(heel, "accent" if rng.random() < 0.5 else "dark")
    sketch.seam([(-0.5, collar + 0.14), (-0.3, -0.05), (0.1, 0.08), (0.36, 0.06)], -0.4)
    for share in np.linspace(0.05, 0.9, 5):
        x = -0.2 + 0.54 * float(share)
        y = collar + (0.0 - collar) * float(share) + 0.02
        sketch.stroke([(x - 0.13, y + 0.1), (x + 0.03, y - 0.03)], "sole", 0.034)
    sketch.solid(
        [
            (-0.96, 0.26),
            (-0.96, 0.26),
            (0.2, 0.3),
            (1.02, 0.26),
            (1.05, 0.3),
            (1.0, 0.3 + sole),
            (1.0, 0.3 + sole),
            (-0.93, 0.3 + sole),
            (-0.93, 0.3 + sole),
            (-0.98, 0.34),
        ],
        "sole",
    )
    sketch.seam([(-0.96, 0.34), (0.2, 0.37), (1.03, 0.33)], -0.3)
    sketch.seam([(-0.92, 0.29 + sole), (1.0, 0.29 + sole)], -0.7, 0.03)
    sketch.crease([(0.3, 0.0), (0.5, 0.2)], -0.35, 0.06)
    sketch.crease([(-0.6, 0.0), (0.2, 0.14)], 0.3, 0.1)
    return sketch


def _side_panel(sketch: Sketch, kind: int) -> None:
    if kind == 0:
        for x in (-0.3, -0.14, 0.02):
            sketch.solid([(x, 0.26), (x + 0.09, 0.26), (x - 0.08, -0.16), (x - 0.17, -0.16)], "accent", curved=False)
    elif kind == 1:
        sketch.solid(ring(-0.4, 0.02, 0.13, 0.13), "accent")
        sketch.solid(ring(-0.4, 0.02, 0.08, 0.08), "main")
    else:
        sketch.solid([(-0.68, 0.26), (-0.68, 0.26), (-0.55, -0.02), (-0.1, 0.06), (0.35, 0.26), (0.35, 0.26)], "accent")


def boot(rng: np.random.Generator, fit: str) -> Sketch:
    """A boot seen from its side: shaft, foot, sole and heel; laces or a zip."""
    sketch = Sketch()
    top = {"ankle": -0.5, "mid": -0.85}.get(fit, -1.4) + float(rng.uniform(-0.08, 0.08))
    heel = float(rng.uniform(0.1, 0.32))
    wide = float(rng.uniform(0.0, 0.08))
    ground = 0.62
    foot = ground - heel * 0.35
    outline: list[Point] = [
        (-0.52 - wide, top),
        (-0.52 - wide, top),
        (0.06 + wide, top + 0.04),
        (0.06 + wide, top + 0.04),
        (0.02, -0.12),
        (0.14, 0.06),
        (0.52, 0.2),
        (0.8, foot - 0.16),
        (0.84, foot),
        (0.84, foot),
        (0.2, foot),
        (-0.2, ground - heel),
        (-0.56, ground - heel),
        (-0.56, ground - heel),
        (-0.58, 0.1),
        (-0.48, -0.15),
    ]
    sketch.solid(ring(-0.23, top + 0.02, 0.29 + wide, 0.05), "lining", -0.25)
    sketch.fabric(outline)
    sketch.solid(
        [(-0.58, ground - heel - 0.02), (-0.24, ground - heel - 0.02), (-0.28, ground + 0.06), (-0.54, ground + 0.06)],
        "dark",
        -0.3,
        curved=False,
    )
    sketch.solid(
        [
            (-0.58, ground - heel - 0.03),
            (-0.2, ground - heel - 0.03),
            (0.2, foot - 0.03),
            (0.86, foot - 0.03),
            (0.86, foot - 0.03),
            (0.84, foot + 0.06),
            (0.84, foot + 0.06),
            (0.2, foot + 0.06),
            (-0.2, ground - heel + 0.05),
            (-0.58, ground - heel + 0.04),
        ],
        "dark",
        -0.25,
    )
    if rng.random() < 0.55:
        for y in np.linspace(top + 0.18, 0.02, max(3, int((0.1 - top) / 0.17))):
            sketch.stroke([(-0.14, float(y) + 0.05), (0.08, float(y) - 0.02)], "sole", 0.03)
        sketch.seam([(-0.16, top + 0.05), (-0.14, 0.0), (0.1, 0.22)], -0.4)
    else:
        sketch.stroke([(-0.3, top + 0.06), (-0.28, 0.25)], "metal", 0.022)
    if rng.random() < 0.4:
        sketch.solid([(-0.56, -0.1), (0.04, -0.16), (0.05, -0.07), (-0.57, 0.0)], "dark", 0.05, curved=False)
        sketch.disc(-0.1, -0.09, 0.05, "metal")
    sketch.seam([(0.36, 0.12), (0.44, foot - 0.12), (0.36, foot)], -0.4)
    sketch.crease([(-0.5, -0.1), (-0.1, 0.02), (0.1, 0.1)], -0.45, 0.07)
    sketch.crease([(-0.36, top), (-0.34, 0.2)], 0.4, 0.1)
    sketch.crease([(0.4, 0.22), (0.74, foot - 0.1)], 0.4, 0.08)
    return sketch
