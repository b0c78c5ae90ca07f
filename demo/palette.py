"""The shop's colours by name, and the shades that a garment of that colour is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "black": (34, 34, 38),
    "white": (240, 238, 234),
    "grey": (138, 140, 145),
    "navy": (32, 44, 84),
    "blue": (58, 112, 190),
    "red": (190, 38, 46),
    "green": (62, 122, 78),
    "beige": (212, 190, 156),
    "brown": (112, 74, 48),
    "pink": (232, 142, 170),
    "yellow": (236, 196, 66),
    "purple": (112, 72, 150),
}

# What goes with what: the second colour of stripes, checks, dots and emblems.
ACCENTS: dict[str, tuple[str, ...]] = {
    "black": ("white", "grey", "red"),
    "white": ("navy", "black", "red", "blue"),
    "grey": ("white", "black", "navy"),
    "navy": ("white", "beige", "red"),
    "blue": ("white", "navy", "yellow"),
    "red": ("white", "black", "navy"),
    "green": ("white", "beige", "black"),
    "beige": ("brown", "white", "navy"),
    "brown": ("beige", "white", "black"),
    "pink": ("white", "purple", "red"),
    "yellow": ("white", "black", "navy"),
    "purple": ("white", "pink", "black"),
}


@dataclass(frozen=True)
class Palette:
    """Colours of one variant, each (r, g, b) in 0–255."""

    main: RGB
    accent: RGB
    third: RGB
    dark: RGB
    lining: RGB
    sole: RGB
    metal: RGB
    wood: RGB = (122, 84, 52)

    def role(self, name: str) -> RGB:
        """Return the colour of a role that a silhouette names."""
        colour: RGB = getattr(self, name)
        return colour


def mixed(first: RGB, second: RGB, share: float) -> RGB:
    """Blend two colours; share is the second's part in 0–1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def jittered(colour: RGB, rng: np.random.Generator, spread: float) -> RGB:
    """Move a colour a little, as dye lots and screens do."""
    # Dark dyes vary less, or black would turn maroon.
    spread *= 0.25 + 0.75 * sum(colour) / 765
    shift = rng.normal(0.0, spread, 3) + rng.normal(0.0, spread)
    red, green, blue = (int(np.clip(c + s, 12, 248)) for c, s in zip(colour, shift, strict=True))
    return red, green, blue


def palette_of(colour: str, rng: np.random.Generator) -> Palette:
    """Return the shades of a variant of the named colour. Raises KeyError for an unknown name."""
    main = jittered(COLOURS[colour], rng, 5.0)
    accents = ACCENTS[colour]
    accent_name = accents[int(rng.integers(len(accents)))]
    accent = jittered(COLOURS[accent_name], rng, 4.0)
    third = jittered(COLOURS[accents[int(rng.integers(len(accents)))]], rng, 8.0)
    soles: tuple[RGB, ...] = ((238, 236, 230), (238, 236, 230), (60, 52, 48), (196, 158, 112))
    return Palette(
        main=main,
        accent=accent,
        third=third,
        dark=mixed(main, (10, 10, 14), 0.5),
        lining=mixed(mixed(main, (30, 26, 26), 0.55), accent, 0.12),
        sole=soles[int(rng.integers(len(soles)))],
        metal=((206, 206, 210), (214, 182, 112), (90, 90, 96))[int(rng.integers(3))],
    )
