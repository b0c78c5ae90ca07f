"""T-shirts, shirts, hoodies and jackets: a torso, two sleeves, and what is at the neck and the front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo.sketch import Point, Sketch, flipped, mirrored


@dataclass(frozen=True)
class Cut:
    """Measures of a top in sketch units; angles in radians from straight down."""

    neck: float
    shoulder: float
    shoulder_y: float
    chest: float
    armpit_y: float
    waist: float
    hem: float
    hem_y: float
    sleeve: float
    sleeve_angle: float
    cuff: float


_CHESTS = {"slim": (0.4, 0.44), "regular": (0.45, 0.5), "oversized": (0.53, 0.58), "relaxed": (0.5, 0.55)}


def draw_cut(rng: np.random.Generator, fit: str, *, sleeve: tuple[float, float], angle: tuple[float, float]) -> Cut:
    """Draw the measures of one design; its fit says how wide it is and how long."""
    chest = float(rng.uniform(*_CHESTS.get(fit, (0.44, 0.52))))
    length = (0.4, 0.52) if fit == "cropped" else (0.66, 0.95)
    return Cut(
        neck=float(rng.uniform(0.17, 0.23)),
        shoulder=chest * float(rng.uniform(0.98, 1.06)),
        shoulder_y=float(rng.uniform(-0.76, -0.7)),
        chest=chest,
        armpit_y=float(rng.uniform(-0.4, -0.3)),
        waist=chest * float(rng.uniform(0.9, 1.02)),
        hem=chest * float(rng.uniform(0.96, 1.12)),
        hem_y=float(rng.uniform(*length)),
        sleeve=float(rng.uniform(*sleeve)),
        sleeve_angle=float(rng.uniform(*angle)),
        cuff=float(rng.uniform(0.2, 0.26)) if sleeve[1] < 0.8 else float(rng.uniform(0.15, 0.19)),
    )


def sleeves(sketch: Sketch, cut: Cut, *, cuff_role: str | None = None, ribbed: bool = False) -> None:
    """Draw both sleeves, with a cuff of its own colour or a ribbed one if asked."""
    along = np.array([np.sin(cut.sleeve_angle), np.cos(cut.sleeve_angle)])
    across = np.array([np.cos(cut.sleeve_angle), -np.sin(cut.sleeve_angle)])
    middle = np.array([(cut.shoulder + cut.chest) / 2, (cut.shoulder_y + cut.armpit_y) / 2])
    end = middle + along * cut.sleeve

    def at(distance: float, side: float) -> Point:
        x, y = end - along * distance + across * side
        return float(x), float(y)

    half = cut.cuff / 2
    arm = [
        (cut.shoulder - 0.14, cut.shoulder_y + 0.02),
        (cut.shoulder - 0.14, cut.shoulder_y + 0.02),
        (cut.shoulder - 0.02, cut.shoulder_y - 0.004),
        (cut.shoulder - 0.02, cut.shoulder_y - 0.004),
        (cut.shoulder + 0.045, cut.shoulder_y + 0.06),
        at(0.0, half),
        at(0.0, half),
        at(0.0, -half),
        at(0.0, -half),
        (cut.chest, cut.armpit_y),
        (cut.chest - 0.2, cut.armpit_y + 0.05),
    ]
    for side in (arm, flipped(arm)):
        sketch.fabric(side, -0.06)
    band = 0.09 if (cuff_role or ribbed) else 0.035
    rim = [at(0.0, half), at(0.0, -half), at(band, -half * 1.06), at(band, half * 1.06)]
    for side in (rim, flipped(rim)):
        if cuff_role:
            sketch.solid(side, cuff_role, curved=False)
        elif ribbed:
            sketch.fabric(side, -0.18, curved=False)
        sketch.seam([side[2], side[3]], -0.3)
    if cut.sleeve > 0.8:
        for distance, shade in ((0.75, -0.3), (0.55, 0.22), (0.4, -0.25), (0.25, 0.15)):
            fold = [at(distance, -half * 1.3), at(distance * 0.93, half * 0.5)]
            sketch.crease(fold, shade, 0.06)
            sketch.crease(flipped(fold), shade, 0.06)


def torso(sketch: Sketch, cut: Cut, *, curve: float = 0.03) -> None:
    """Draw the body, its armhole seams, side shading and a few folds."""
    right = [
        (cut.neck, cut.shoulder_y - 0.13),
        (cut.neck, cut.shoulder_y - 0.13),
        (cut.shoulder, cut.shoulder_y),
        (cut.shoulder, cut.shoulder_y),
        (cut.chest, cut.armpit_y),
        (cut.waist, cut.armpit_y + 0.45),
        (cut.hem, cut.hem_y),
        (cut.hem, cut.hem_y),
        (0.2, cut.hem_y + curve),
    ]
    sketch.fabric(mirrored(right))
    for sign in (1.0, -1.0):
        armhole = [
            (sign * cut.shoulder, cut.shoulder_y),
            (sign * (cut.chest - 0.05), (cut.shoulder_y + cut.armpit_y) / 2),
            (sign * cut.chest, cut.armpit_y),
        ]
        sketch.seam(armhole, -0.32)
        sketch.crease(armhole, -0.35, 0.07)
        sketch.crease(
            [(sign * cut.chest * 0.95, cut.armpit_y), (sign * cut.waist * 0.55, cut.armpit_y + 0.3)],
            -0.3,
            0.07,
        )
        sketch.crease([(sign * cut.waist * 0.8, 0.2), (sign * cut.hem * 0.6, cut.hem_y - 0.05)], 0.22, 0.1)
    sketch.crease([(0.05, 0.1), (-0.08, cut.hem_y)], -0.16, 0.1)
    sketch.seam(
        [(-cut.hem, cut.hem_y - 0.05), (0, cut.hem_y + curve - 0.05), (cut.hem, cut.hem_y - 0.05)],
        -0.22,
    )


def neckline(sketch: Sketch, cut: Cut, depth: float, role: str | None, *, pointed: bool) -> None:
    """Draw the opening (the back's inside shows) and its rib."""
    top = cut.shoulder_y - 0.13
    dip: list[Point] = [(0.0, top + depth)] * 2 if pointed else [(cut.neck * 0.6, top + depth * 0.85)]
    rib = 0.045
    outer = [(cut.neck + rib, top + 0.005), (cut.neck + rib, top + 0.005)]
    wide = [(x + (rib * 0.6 if x else 0), y + rib * 1.1) for x, y in dip]
    back = [(cut.neck * 0.5, top + 0.05)]
    band = mirrored([*outer, *wide])
    if role:
        sketch.solid(band, role)
    else:
        sketch.fabric(band, -0.2)
    right = [*back, (cut.neck, top - 0.004), (cut.neck, top - 0.004), *dip]
    sketch.solid(mirrored(right), "lining", -0.15)
    sketch.seam([(-cut.neck, top), (-cut.neck * 0.5, top + 0.05), (cut.neck * 0.5, top + 0.05), (cut.neck, top)], -0.2)


def t_shirt(rng: np.random.Generator, fit: str) -> Sketch:
    """Short sleeves, round or pointed neck, sometimes a contrasting rib or a pocket."""
    sketch = Sketch()
    cut = draw_cut(rng, fit, sleeve=(0.36, 0.56), angle=(0.75, 1.0))
    trim = "accent" if rng.random() < 0.3 else None
    sleeves(sketch, cut, cuff_role=trim)
    torso(sketch, cut)
    neckline(sketch, cut, float(rng.uniform(0.12, 0.24)), trim, pointed=bool(rng.random() < 0.3))
    if rng.random() < 0.25:
        pocket(sketch, 0.12, -0.36, 0.2, 0.22)
    return sketch


def shirt(rng: np.random.Generator, fit: str) -> Sketch:
    """Long sleeves with cuffs, a folded collar, a button placket and a curved hem."""
    sketch = Sketch()
    cut = draw_cut(rng, fit, sleeve=(1.08, 1.22), angle=(0.2, 0.42))
    contrast = "accent" if rng.random() < 0.2 else None
    sleeves(sketch, cut, cuff_role=contrast, ribbed=contrast is None)
    torso(sketch, cut, curve=float(rng.uniform(0.05, 0.12)))
    top = cut.shoulder_y - 0.13
    sketch.solid(mirrored([(0.06, top - 0.03), (cut.neck, top), (0.0, top + 0.2)]), "lining", -0.1)
    for side in (1.0, -1.0):
        wing = [
            (side * cut.neck * 0.82, top - 0.07),
            (side * (cut.neck + 0.06), top + 0.04),
            (side * 0.17, top + 0.3),
            (side * 0.005, top + 0.18),
        ]
        if contrast:
            sketch.solid(wing, contrast, curved=False)
        else:
            sketch.fabric(wing, 0.1, curved=False)
        sketch.seam([*wing[1:], wing[0]], -0.35)
    sketch.seam([(-0.05, top + 0.22), (-0.05, cut.hem_y)], -0.28)
    sketch.seam([(0.05, top + 0.22), (0.05, cut.hem_y)], -0.28)
    buttons(sketch, 0.0, top + 0.26, cut.hem_y - 0.08, 7, "sole")
    for x in ((0.15,), (0.15, -0.39), ())[int(rng.integers(3))]:
        pocket(sketch, x, -0.34, 0.24, 0.26)
    return sketch


def hoodie(rng: np.random.Generator, fit: str) -> Sketch:
    """A hood, drawstrings, a kangaroo pocket, ribbed cuffs and hem; a zip now and then."""
    sketch = Sketch()
    cut = draw_cut(rng, fit, sleeve=(1.0, 1.15), angle=(0.28, 0.5))
    top = cut.shoulder_y - 0.13
    width = float(rng.uniform(0.3, 0.38))
    height = float(rng.uniform(0.32, 0.42))
    sleeves(sketch, cut, ribbed=True)
    torso(sketch, cut)
    sketch.fabric(
        mirrored(
            [
                (0.05, top - height),
                (width * 0.85, top - height * 0.7),
                (width, top),
                (width * 0.75, top + 0.16),
                (0.0, top + 0.26),
            ]
        ),
        -0.04,
    )
    opening = [(0.04, top - height * 0.78), (width * 0.6, top - height * 0.45), (width * 0.62, top), (0.0, top + 0.19)]
    sketch.solid(mirrored(opening), "lining", -0.2)
    sketch.crease([(0.0, top - height * 0.6), (0.0, top + 0.1)], -0.5, 0.3)
    hem_band = mirrored([(cut.hem + 0.005, cut.hem_y - 0.1), (cut.hem - 0.02, cut.hem_y + 0.02)])
    sketch.fabric(hem_band, -0.18, curved=False)
    if rng.random() < 0.4:
        zip_line(sketch, 0.0, top + 0.2, cut.hem_y)
    pouch_top, pouch_end = cut.hem_y - 0.44, cut.hem_y - 0.1
    pouch = mirrored(
        [(0.2, pouch_top), (0.2, pouch_top), (0.34, pouch_top + 0.2), (0.34, pouch_end), (0.34, pouch_end)]
    )
    sketch.fabric(pouch, 0.05)
    sketch.seam([*pouch, pouch[0]], -0.35)
    for side in (1.0, -1.0):
        cord = [(side * 0.09, top + 0.17), (side * 0.11, top + 0.36), (side * 0.09, top + 0.5)]
        sketch.stroke(cord, "sole", 0.022)
    return sketch


def jacket(rng: np.random.Generator, fit: str) -> Sketch:
    """A heavier coat-like cut with lapels or a stand collar, zip or buttons, and welt pockets."""
    sketch = Sketch()
    cut = draw_cut(rng, fit, sleeve=(1.1, 1.25), angle=(0.12, 0.3))
    top = cut.shoulder_y - 0.13
    sleeves(sketch, cut)
    torso(sketch, cut)
    if fit == "tailored":
        _lapels(sketch, cut, top, float(rng.uniform(0.45, 0.75)))
    else:
        _stand_collar(sketch, cut, top, padded=fit == "padded")
    for side in (1.0, -1.0):
        sketch.seam([(side * 0.2, 0.3), (side * 0.36, 0.22)], -0.6, 0.03)
        sketch.seam([(side * 0.2, 0.32), (side * 0.36, 0.24)], 0.25, 0.012)
    return sketch


def _lapels(sketch: Sketch, cut: Cut, top: float, depth: float) -> None:
    inner = mirrored([(0.05, top - 0.02), (cut.neck, top), (0.0, top + depth)])
    sketch.solid(inner, "sole", -0.05, curved=False)
    for side in (1.0, -1.0):
        lapel = [
            (side * cut.neck * 0.9, top - 0.05),
            (side * (cut.neck + 0.07), top + 0.03),
            (side * (cut.neck + 0.05), top + 0.16),
            (side * (cut.neck + 0.13), top + 0.2),
            (side * 0.02, top + depth + 0.03),
            (side * 0.0, top + depth - 0.08),
        ]
        sketch.fabric(lapel, 0.12, curved=False)
        sketch.seam([*lapel, lapel[0]], -0.5, 0.014)
    sketch.seam([(0.0, top + depth), (0.03, cut.hem_y)], -0.5, 0.016)
    buttons(sketch, -0.07, top + depth + 0.06, min(top + depth + 0.5, cut.hem_y - 0.15), 3, "dark")


def _stand_collar(sketch: Sketch, cut: Cut, top: float, *, padded: bool) -> None:
    collar = mirrored(
        [(0.04, top - 0.12), (cut.neck + 0.02, top - 0.12), (cut.neck + 0.06, top + 0.08), (0.03, top + 0.14)]
    )
    sketch.fabric(collar, 0.06)
    sketch.solid(mirrored([(0.03, top - 0.1), (cut.neck - 0.03, top - 0.11), (0.02, top + 0.02)]), "lining", -0.2)
    zip_line(sketch, 0.0, top + 0.02, cut.hem_y)
    if padded:
        for y in np.arange(top + 0.3, cut.hem_y - 0.05, 0.2):
            sketch.seam([(-cut.waist, float(y)), (0.0, float(y) + 0.02), (cut.waist, float(y))], -0.35)
            sketch.crease([(-cut.waist, float(y) + 0.06), (cut.waist, float(y) + 0.06)], 0.3, 0.05)


def pocket(sketch: Sketch, x: float, y: float, width: float, height: float) -> None:
    """Draw a patch pocket whose upper left corner is at x, y."""
    corners = [
        (x, y),
        (x + width, y),
        (x + width, y + height * 0.8),
        (x + width / 2, y + height),
        (x, y + height * 0.8),
    ]
    sketch.fabric(corners, 0.05, curved=False)
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        sketch.seam([start, end], -0.3)


def buttons(sketch: Sketch, x: float, start: float, end: float, count: int, role: str) -> None:
    """Draw a column of buttons."""
    for y in np.linspace(start, end, count):
        sketch.disc(x, float(y), 0.02, role)


def zip_line(sketch: Sketch, x: float, start: float, end: float) -> None:
    """Draw a closed zip with its slider."""
    sketch.seam([(x, start), (x, end)], -0.55, 0.05)
    sketch.stroke([(x, start), (x, end)], "metal", 0.016)
    sketch.solid(
        [(x - 0.018, start), (x + 0.018, start), (x + 0.012, start + 0.08), (x - 0.012, start + 0.08)],
        "metal",
        -0.1,
        curved=False,
    )
