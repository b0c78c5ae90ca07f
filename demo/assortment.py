"""What the shop sells: its categories with prices, materials, fits and patterns, its brands, and how it words a title."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Invented brands, and how dear each is.
BRANDS: tuple[tuple[str, float], ...] = (
    ("Nordhavn", 1.3),
    ("Alder & Finch", 1.15),
    ("Pico Verde", 0.8),
    ("Maison Lune", 1.7),
    ("Kettle Row", 1.0),
    ("Tidewright", 1.2),
    ("Otto Brand", 0.7),
    ("Saltmarsh", 0.95),
    ("Velo Cinque", 1.1),
    ("Hanami Works", 1.35),
    ("Basic Union", 0.55),
    ("Ferrum", 1.5),
)

_CLOTH = {"plain": 0.34, "striped": 0.16, "dotted": 0.1, "checked": 0.14, "floral": 0.12, "logo": 0.14}
_WARM = {"plain": 0.52, "striped": 0.1, "checked": 0.18, "logo": 0.2}
_SOFT = {"plain": 0.36, "striped": 0.15, "dotted": 0.15, "checked": 0.12, "floral": 0.22}
_HIDE = {"plain": 0.8, "checked": 0.08, "dotted": 0.06, "floral": 0.06}


@dataclass(frozen=True)
class Line:
    """One category: its share of designs, median price in euros, and what its products are made of."""

    category: str
    share: float
    price: float
    materials: tuple[str, ...]
    fits: tuple[str, ...]
    patterns: dict[str, float]
    noun: str


ASSORTMENT: dict[str, Line] = {
    line.category: line
    for line in (
        Line("t-shirt", 0.13, 22, ("cotton", "jersey", "linen"), ("slim", "regular", "oversized"), _CLOTH, "T-shirt"),
        Line("shirt", 0.1, 46, ("cotton", "linen", "denim"), ("slim", "regular", "relaxed"), _SOFT, "Shirt"),
        Line("hoodie", 0.08, 54, ("fleece", "cotton"), ("regular", "oversized", "cropped"), _WARM, "Hoodie"),
        Line("dress", 0.11, 69, ("cotton", "silk", "linen", "satin"), ("strappy", "sleeveless", "short-sleeved", "long-sleeved"), _SOFT, "Dress"),
        Line("skirt", 0.07, 42, ("cotton", "denim", "satin", "wool"), ("a-line", "pencil", "pleated"), _SOFT, "Skirt"),
        Line("trousers", 0.11, 58, ("cotton", "denim", "wool", "linen"), ("slim", "straight", "wide"), {"plain": 0.74, "checked": 0.14, "striped": 0.12}, "Trousers"),
        Line("shorts", 0.07, 34, ("cotton", "denim", "linen"), ("slim", "regular", "relaxed"), {"plain": 0.56, "striped": 0.12, "checked": 0.16, "floral": 0.16}, "Shorts"),
        Line("jacket", 0.09, 128, ("wool", "denim", "leather", "nylon"), ("tailored", "zipped", "padded"), {"plain": 0.76, "checked": 0.14, "logo": 0.1}, "Jacket"),
        Line("sneaker", 0.09, 84, ("canvas", "leather", "suede"), ("low", "mid", "high"), _HIDE, "Sneakers"),
        Line("boot", 0.05, 139, ("leather", "suede"), ("ankle", "mid", "knee-high"), {"plain": 0.94, "checked": 0.06}, "Boots"),
        Line("hat", 0.04, 29, ("cotton", "wool", "straw"), ("cap", "beanie", "brimmed"), {"plain": 0.6, "striped": 0.14, "checked": 0.12, "dotted": 0.06, "floral": 0.08}, "Hat"),
        Line("bag", 0.06, 96, ("leather", "canvas", "nylon"), ("tote", "handbag", "backpack"), {"plain": 0.62, "striped": 0.1, "checked": 0.1, "dotted": 0.08, "floral": 0.1}, "Bag"),
    )
}  # fmt: skip

_OCCASIONS = ("every day", "long weekends", "the office", "summer evenings", "city walks", "cool mornings", "travel")
_PATTERN_WORDS = {
    "plain": "in one colour",
    "striped": "with stripes",
    "dotted": "with dots",
    "checked": "with checks",
    "floral": "with a flower print",
    "logo": "with an emblem on the front",
}


def title_of(
    brand: str, category: str, fit: str, material: str, colour: str, pattern: str, rng: np.random.Generator
) -> str:
    """Return a product title; shops are not consistent about the order of its words, so neither is this."""
    noun = ASSORTMENT[category].noun
    kind = "" if pattern == "plain" else f"{pattern} " if pattern != "logo" else "emblem "
    forms = (
        f"{brand} {colour} {kind}{material} {noun.lower()}",
        f"{brand} {fit} {noun.lower()} in {colour}{', ' + kind.strip() if kind else ''}",
        f"{fit.capitalize()} {kind}{material} {noun.lower()}, {colour}",
    )
    return forms[int(rng.integers(len(forms)))]


def describe(category: str, fit: str, material: str, colour: str, pattern: str, rng: np.random.Generator) -> str:
    """Return a sentence or two about a product."""
    occasion = _OCCASIONS[int(rng.integers(len(_OCCASIONS)))]
    noun = ASSORTMENT[category].noun.lower()
    care = "Wipe clean." if material in ("leather", "suede", "straw") else "Machine wash cold."
    return f"{colour.capitalize()} {noun} of {material} {_PATTERN_WORDS[pattern]}, {fit}. Made for {occasion}. {care}"
