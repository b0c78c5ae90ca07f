"""Emblems for the chest: symmetric shapes and words, so that a mirrored photo still reads."""

from __future__ import annotations

import numpy as np

from demo.sketch import Point, Sketch, mirrored, ring

# Words that read the same in a mirror, in letters five rows high.
_WORDS = ("OTTO", "AVA", "OXO", "WOW", "AHA", "MAAM")
_LETTERS = {
    "A": (".#.", "#.#", "###", "#.#", "#.#"),
    "H": ("#.#", "#.#", "###", "#.#", "#.#"),
    "M": ("#...#", "##.##", "#.#.#", "#...#", "#...#"),
    "O": ("###", "#.#", "#.#", "#.#", "###"),
    "T": ("###", ".#.", ".#.", ".#.", ".#."),
    "V": ("#.#", "#.#", "#.#", "#.#", ".#."),
    "W": ("#...#", "#...#", "#.#.#", "##.##", "#...#"),
    "X": ("#.#", "#.#", ".#.", "#.#", "#.#"),
}


def add_emblem(sketch: Sketch, rng: np.random.Generator, category: str) -> None:
    """Add an emblem where the category wears it; a jacket has a small one at the side."""
    if category == "jacket":
        _star(sketch, 0.24, -0.3, 0.08, int(rng.integers(5, 8)))
        return
    x, y, size = 0.0, float(rng.uniform(-0.16, -0.02)), float(rng.uniform(0.16, 0.24))
    kind = int(rng.integers(6))
    if kind == 0:
        _star(sketch, x, y, size, int(rng.integers(5, 9)))
    elif kind == 1:
        sketch.solid(ring(x, y, size, size), "accent")
        sketch.fabric(ring(x, y, size * 0.72, size * 0.72))
        _star(sketch, x, y, size * 0.6, 5)
    elif kind == 2:
        peak: list[Point] = [(x, y - size), (x + size * 1.2, y + size * 0.8)]
        sketch.solid(mirrored(peak), "accent", curved=False)
        sketch.solid(
            mirrored([(x, y - size), (x + size * 0.4, y - size * 0.4), (x, y - size * 0.2)]), "sole", curved=False
        )
    elif kind == 3:
        for step in range(3):
            top = y - size + step * size * 0.6
            arm = [
                (x, top),
                (x + size * 1.3, top + size * 0.6),
                (x + size * 1.3, top + size * 0.95),
                (x, top + size * 0.35),
            ]
            sketch.solid(mirrored(arm), "accent", curved=False)
    else:
        _word(sketch, _WORDS[int(rng.integers(len(_WORDS)))], y, size * (1.6 if kind == 4 else 2.0))


def _star(sketch: Sketch, x: float, y: float, size: float, tips: int) -> None:
    angles = -np.pi / 2 + np.arange(2 * tips) * np.pi / tips
    radii = np.where(np.arange(2 * tips) % 2 == 0, size, size * 0.45)
    corners = [(x + float(r * np.cos(a)), y + float(r * np.sin(a))) for a, r in zip(angles, radii, strict=True)]
    sketch.solid(corners, "accent", curved=False)


def _word(sketch: Sketch, word: str, y: float, width: float) -> None:
    columns = sum(len(_LETTERS[letter][0]) + 1 for letter in word) - 1
    cell = min(2 * width / columns * 0.5, 0.055)
    left = -columns * cell / 2
    for letter in word:
        rows = _LETTERS[letter]
        for row, line in enumerate(rows):
            for column, mark in enumerate(line):
                if mark == "#":
                    x0, y0 = left + column * cell, y + (row - 2.5) * cell * 1.2
                    box = [
                        (x0, y0),
                        (x0 + cell * 1.02, y0),
                        (x0 + cell * 1.02, y0 + cell * 1.22),
                        (x0, y0 + cell * 1.22),
                    ]
                    sketch.solid(box, "accent", curved=False)
        left += (len(rows[0]) + 1) * cell
