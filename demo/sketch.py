"""A sketch: what a garment is made of, as shapes in its own units, before any view, colour or pattern is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Point = tuple[float, float]
STEPS_PER_CURVE = 6


@dataclass(frozen=True)
class Shape:
    """One shape: kind is fabric, solid, hole, seam, stroke or crease.

    points: (n, 2) float64, about -1…1, y down. role: colour role of solids and strokes.
    shade: darker (<0) or lighter (>0), -1…1. width: line width in the sketch's units.
    """

    kind: str
    points: np.ndarray
    role: str = "main"
    shade: float = 0.0
    width: float = 0.0


@dataclass
class Sketch:
    """Shapes in the order in which they are painted, later ones on top."""

    shapes: list[Shape] = field(default_factory=list)

    def fabric(self, points: Sequence[Point], shade: float = 0.0, *, curved: bool = True) -> None:
        """Add an area that takes the garment's colour and pattern."""
        self.shapes.append(Shape("fabric", outline(points, curved=curved), shade=shade))

    def solid(self, points: Sequence[Point], role: str, shade: float = 0.0, *, curved: bool = True) -> None:
        """Add an area of one colour: a sole, a collar, a lining."""
        self.shapes.append(Shape("solid", outline(points, curved=curved), role, shade))

    def hole(self, points: Sequence[Point], *, curved: bool = True) -> None:
        """Cut an area out, so that the background shows through."""
        self.shapes.append(Shape("hole", outline(points, curved=curved)))

    def seam(self, points: Sequence[Point], shade: float = -0.35, width: float = 0.012) -> None:
        """Add a crisp line that only darkens or lightens."""
        self.shapes.append(Shape("seam", path(points), shade=shade, width=width))

    def stroke(self, points: Sequence[Point], role: str, width: float, shade: float = 0.0) -> None:
        """Add a line of one colour: a strap, a lace, a zip."""
        self.shapes.append(Shape("stroke", path(points), role, shade, width))

    def crease(self, points: Sequence[Point], shade: float, width: float) -> None:
        """Add a soft light or dark fold."""
        self.shapes.append(Shape("crease", path(points), shade=shade, width=width))

    def disc(self, x: float, y: float, radius: float, role: str, shade: float = 0.0) -> None:
        """Add a round detail of one colour: a button, an eyelet."""
        self.solid(ring(x, y, radius, radius, 14), role, shade, curved=False)

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and highest x, y, (2,) each, of all that covers the background."""
        covers = [s.points for s in self.shapes if s.kind in ("fabric", "solid", "stroke")]
        points = np.concatenate(covers)
        return points.min(axis=0), points.max(axis=0)


def ring(x: float, y: float, rx: float, ry: float, count: int = 24) -> list[Point]:
    """Return points on an ellipse."""
    angles = np.linspace(0.0, 2 * np.pi, count, endpoint=False)
    return [(x + rx * float(np.cos(a)), y + ry * float(np.sin(a))) for a in angles]


def mirrored(right: Sequence[Point]) -> list[Point]:
    """Close a right half (top to bottom) with its mirror image."""
    return [*right, *((-x, y) for x, y in reversed(right))]


def flipped(points: Sequence[Point]) -> list[Point]:
    """Mirror points at the middle line."""
    return [(-x, y) for x, y in points]


def outline(points: Sequence[Point], *, curved: bool) -> np.ndarray:
    """Return a closed outline; a point given twice in a row is a corner."""
    return _through(np.asarray(points, float), closed=True) if curved else np.asarray(points, float)


def path(points: Sequence[Point]) -> np.ndarray:
    """Return an open, curved line through the points."""
    array = np.asarray(points, float)
    return array if len(array) < 3 else _through(array, closed=False)


def _through(points: np.ndarray, *, closed: bool) -> np.ndarray:
    """Return a Catmull-Rom curve (as cubic Hermite pieces) through (n, 2) points as (m, 2)."""
    if closed:
        before, after, further = (np.roll(points, shift, axis=0) for shift in (1, -1, -2))
        here = points
    else:
        padded = np.concatenate([points[:1], points, points[-1:]])
        before, here, after, further = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    chord = after - here
    # Tangents no longer than their chord: a short piece beside a long one must not swing out.
    leaving, arriving = _limited((after - before) / 2, chord), _limited((further - here) / 2, chord)
    t = (np.arange(STEPS_PER_CURVE) / STEPS_PER_CURVE)[:, None, None]
    curve = here + (3 * t**2 - 2 * t**3) * chord + (t**3 - 2 * t**2 + t) * leaving + (t**3 - t**2) * arriving
    # Between the two copies of a corner the curve would make a loop.
    leaves_place = np.any(here != after, axis=1)
    flat = curve.transpose(1, 0, 2)[leaves_place].reshape(-1, 2)
    return flat if closed else np.concatenate([flat, points[-1:]])


def _limited(tangents: np.ndarray, chords: np.ndarray) -> np.ndarray:
    """Shorten tangents (n, 2) that are longer than their chords (n, 2)."""
    lengths = np.maximum(np.hypot(*tangents.T), 1e-9)
    return tangents * np.minimum(np.hypot(*chords.T) / lengths, 1.0)[:, None]
