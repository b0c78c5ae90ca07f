"""Dresses, skirts, trousers and shorts."""

from __future__ import annotations

import numpy as np

from demo.silhouettes.tops import Cut, buttons, neckline, sleeves
from demo.sketch import Point, Sketch, flipped, mirrored


def dress(rng: np.random.Generator, fit: str) -> Sketch:
    """A bodice with straps or sleeves, a waist, and a skirt from pencil to wide."""
    sketch = Sketch()
    chest = float(rng.uniform(0.3, 0.36))
    waist = chest * float(rng.uniform(0.74, 0.95))
    hem = chest * float(rng.uniform(1.15, 2.3))
    length = float(rng.uniform(0.7, 1.35))
    shoulder = chest * (0.62 if fit == "strappy" else 0.96)
    sleeve = 1.0 if fit == "long-sleeved" else 0.32
    cut = Cut(
        0.15,
        shoulder,
        -0.9,
        chest,
        -0.6,
        waist,
        hem,
        length,
        sleeve,
        0.3 if fit == "long-sleeved" else 0.8,
        0.14 if fit == "long-sleeved" else 0.2,
    )
    if fit in ("short-sleeved", "long-sleeved"):
        sleeves(sketch, cut)
    neck = shoulder - 0.09 if fit == "strappy" else 0.15
    right: list[Point] = [
        (neck, -1.03),
        (neck, -1.03),
        (shoulder, -0.98 if fit == "strappy" else -0.92),
        (shoulder, -0.98 if fit == "strappy" else -0.92),
        (chest * 0.86, -0.75),
        (chest, -0.6),
        (waist, -0.18),
        (waist, -0.18),
        (waist + (hem - waist) * 0.55, length * 0.35),
        (hem, length),
        (hem, length),
        (hem * 0.4, length + 0.06),
    ]
    sketch.fabric(mirrored(right))
    if fit == "strappy":
        sketch.hole([(-neck, -1.06), (neck, -1.06), (neck * 0.9, -0.78), (0, -0.72), (-neck * 0.9, -0.78)])
    else:
        cut = Cut(0.15, shoulder, -0.9, chest, -0.6, waist, hem, length, sleeve, 0.3, 0.2)
        neckline(sketch, cut, float(rng.uniform(0.12, 0.26)), None, pointed=bool(rng.random() < 0.5))
    skirt_folds(sketch, waist, hem, -0.16, length, count=int(rng.integers(4, 9)))
    belt = rng.random()
    if belt < 0.35:
        sketch.solid(
            mirrored([(waist + 0.01, -0.22), (waist + 0.01, -0.13)]), "dark" if belt < 0.2 else "accent", curved=False
        )
    else:
        sketch.seam([(-waist, -0.18), (0.0, -0.15), (waist, -0.18)], -0.35, 0.014)
    sketch.seam([(-hem, length - 0.05), (0.0, length + 0.03), (hem, length - 0.05)], -0.25)
    if rng.random() < 0.25:
        buttons(sketch, 0.0, -0.7, length * 0.7, 9, "sole")
    return sketch


def skirt(rng: np.random.Generator, fit: str) -> Sketch:
    """A waistband above a pencil, A-line or pleated shape."""
    sketch = Sketch()
    waist = float(rng.uniform(0.36, 0.44))
    hem = waist * float(rng.uniform(*{"pencil": (1.05, 1.2), "a-line": (1.5, 2.0)}.get(fit, (1.7, 2.4))))
    length = float(rng.uniform(0.15, 0.85))
    right = [
        (waist, -0.62),
        (waist, -0.62),
        (waist + (hem - waist) * 0.4 + 0.05, -0.62 + (length + 0.62) * 0.35),
        (hem, length),
        (hem, length),
        (hem * 0.4, length + 0.07),
    ]
    sketch.fabric(mirrored(right))
    pleats = int(rng.integers(10, 14)) if fit == "pleated" else int(rng.integers(4, 8))
    skirt_folds(sketch, waist, hem, -0.6, length, count=pleats)
    if fit == "pleated":
        for share in np.linspace(-0.85, 0.85, pleats):
            sketch.seam([(waist * float(share), -0.6), (hem * float(share), length + 0.04)], -0.3)
    sketch.seam([(-hem, length - 0.06), (0.0, length + 0.02), (hem, length - 0.06)], -0.25)
    band = mirrored([(waist - 0.005, -0.75), (waist + 0.01, -0.61)])
    if rng.random() < 0.3:
        sketch.solid(band, "dark", curved=False)
    else:
        sketch.fabric(band, -0.12, curved=False)
    sketch.seam([(-waist, -0.61), (waist, -0.61)], -0.4)
    sketch.disc(waist * 0.82, -0.68, 0.026, "metal")
    return sketch


def skirt_folds(sketch: Sketch, waist: float, hem: float, top: float, bottom: float, *, count: int) -> None:
    """Draw soft folds that fan out from the waist."""
    for number, share in enumerate(np.linspace(-0.88, 0.88, count)):
        start, end = waist * float(share), hem * float(share)
        middle = (start + end) / 2 + 0.02 * (-1) ** number
        fold = [(start, top), (middle, (top + bottom) / 2), (end, bottom)]
        sketch.crease(fold, -0.42 if number % 2 else 0.34, 0.5 * hem / count)


def _legs(
    sketch: Sketch, waist: float, hip: float, knee: float, hem: float, crotch: float, end: float, spread: float
) -> None:
    middle = (crotch + end) / 2
    leg = [
        (-0.02, -1.0),
        (-0.02, -1.0),
        (waist, -1.0),
        (waist, -1.0),
        (hip, -0.68),
        (spread + knee, middle),
        (spread + hem, end),
        (spread + hem, end),
        (spread - hem, end + 0.02),
        (spread - hem, end + 0.02),
        (max(spread - knee, 0.02), middle),
        (0.015, crotch),
        (0.015, crotch),
    ]
    for side in (flipped(leg), leg):
        sketch.fabric(side)
    for sign in (1.0, -1.0):
        sketch.crease([(sign * spread * 0.8, -0.6), (sign * spread, middle), (sign * spread, end)], 0.3, 0.09)
        sketch.crease([(sign * 0.03, crotch), (sign * spread * 1.2, crotch - 0.12)], -0.35, 0.06)
        sketch.crease([(sign * (spread - knee), middle), (sign * (spread - hem), end)], -0.3, 0.08)
        sketch.crease([(sign * (spread + knee), middle + 0.05), (sign * spread, middle)], -0.22, 0.05)
        sketch.seam([(sign * (spread + hem), end - 0.05), (sign * (spread - hem), end - 0.03)], -0.3)
        sketch.seam([(sign * waist * 0.55, -0.89), (sign * waist * 0.85, -0.76), (sign * hip, -0.72)], -0.4)
    sketch.seam([(0.0, -0.9), (0.0, crotch)], -0.4)


def _waistband(sketch: Sketch, rng: np.random.Generator, waist: float, *, cord: bool) -> None:
    band = mirrored([(waist, -1.06), (waist + 0.01, -0.91)])
    sketch.fabric(band, -0.1, curved=False)
    sketch.seam([(-waist, -0.91), (waist, -0.91)], -0.4)
    if cord:
        for sign in (1.0, -1.0):
            sketch.stroke([(sign * 0.03, -0.96), (sign * 0.07, -0.8), (sign * 0.05, -0.68)], "sole", 0.02)
            for x in np.linspace(0.05, waist * 0.95, 9):
                sketch.seam([(sign * float(x), -1.05), (sign * float(x), -0.92)], -0.22)
        return
    for share in (-0.75, -0.35, 0.35, 0.75):
        sketch.fabric(
            [
                (waist * share - 0.015, -1.065),
                (waist * share + 0.015, -1.065),
                (waist * share + 0.015, -0.89),
                (waist * share - 0.015, -0.89),
            ],
            0.15,
            curved=False,
        )
    sketch.seam([(0.055, -0.9), (0.05, -0.66), (0.0, -0.58)], -0.35)
    sketch.disc(0.0, -0.985, 0.028, "metal")
    if rng.random() < 0.3:
        sketch.solid(mirrored([(waist + 0.012, -1.03), (waist + 0.012, -0.94)]), "wood", curved=False)
        sketch.solid([(-0.06, -1.05), (0.06, -1.05), (0.06, -0.92), (-0.06, -0.92)], "metal", curved=False)


def trousers(rng: np.random.Generator, fit: str) -> Sketch:
    """Two long legs, from skinny to wide."""
    sketch = Sketch()
    waist = float(rng.uniform(0.3, 0.36))
    hem = float(rng.uniform(*{"slim": (0.08, 0.1), "straight": (0.12, 0.15)}.get(fit, (0.19, 0.24))))
    knee = (hem + float(rng.uniform(0.15, 0.19))) / 2
    spread = float(rng.uniform(0.2, 0.26)) + max(hem - 0.15, 0.0)
    _legs(sketch, waist, waist + 0.06, knee, hem, -0.36, float(rng.uniform(1.0, 1.25)), spread)
    _waistband(sketch, rng, waist, cord=bool(rng.random() < 0.3))
    return sketch


def shorts(rng: np.random.Generator, fit: str) -> Sketch:
    """Two short, wide legs."""
    sketch = Sketch()
    waist = float(rng.uniform(0.38, 0.46))
    end = float(rng.uniform(-0.22, 0.12))
    hem = {"slim": 0.2, "regular": 0.24}.get(fit, 0.29) + float(rng.uniform(-0.015, 0.015))
    _legs(sketch, waist, waist + 0.05, hem * 0.98, hem, -0.46, end, float(rng.uniform(0.26, 0.33)))
    _waistband(sketch, rng, waist, cord=bool(rng.random() < 0.5))
    return sketch
