"""Sneakers, boots, hats and bags."""

from __future__ import annotations

import numpy as np

from demo.sketch import Point, Sketch, mirrored, ring


def sneaker(rng: np.random.Generator) -> Sketch:
    """A low or high shoe seen from its side: upper, sole, toe cap, laces, side panel."""
    sketch = Sketch()
    collar = float(rng.choice([-0.42, -0.48, -0.8]))
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


def boot(rng: np.random.Generator) -> Sketch:
    """A boot seen from its side: shaft, foot, sole and heel; laces or a zip."""
    sketch = Sketch()
    top = float(rng.uniform(-1.25, -0.55))
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


def hat(rng: np.random.Generator) -> Sketch:
    """A cap, a knitted hat or a brimmed one."""
    sketch = Sketch()
    (_cap, _knitted, _brimmed)[int(rng.integers(3))](sketch, rng)
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
    sketch.solid(
        mirrored(
            [
                (crown * 0.985, 0.02),
                (crown * 0.985, 0.02),
                (crown + 0.01, 0.2),
                (crown + 0.01, 0.2),
                (crown * 0.4, 0.3),
                (crown * 0.4, 0.12),
            ]
        )[:6]
        + [
            (-crown * 0.4, 0.12),
            (-crown * 0.4, 0.3),
            (-crown - 0.01, 0.2),
            (-crown - 0.01, 0.2),
            (-crown * 0.985, 0.02),
            (-crown * 0.985, 0.02),
        ],
        "accent" if rng.random() < 0.4 else "dark",
    )
    sketch.crease([(0.0, -0.45), (0.0, -0.2)], -0.4, 0.14)
    sketch.crease([(-crown * 0.6, -0.4), (-crown * 0.7, 0.0)], 0.35, 0.12)
    sketch.seam(
        [(-wide * 0.97, 0.24), (-wide * 0.5, 0.42), (0.0, 0.44), (wide * 0.5, 0.42), (wide * 0.97, 0.24)], -0.25
    )


def bag(rng: np.random.Generator) -> Sketch:
    """A tote, a handbag with a flap, or a backpack."""
    sketch = Sketch()
    (_tote, _handbag, _backpack)[int(rng.integers(3))](sketch, rng)
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
