"""Queries whose right answers are known: photos that no catalog holds, and texts with the category, colour and pattern meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from demo.assortment import ASSORTMENT
from demo.palette import COLOURS
from demo.photos import draw_photo
from demo.products import Product, draw_product
from demo.views import HELD_OUT_VIEW


class PhotoQuery(NamedTuple):
    """A shopper's photo (JPEG bytes) of a product, and what it shows."""

    photo: bytes
    product_id: str
    group_id: str
    category: str


class TextQuery(NamedTuple):
    """A shopper's words; None where they say nothing about the colour or the pattern."""

    text: str
    category: str
    colour: str | None
    pattern: str | None

    def fits(self, product: Product) -> bool:
        """Return whether the product is what the words ask for."""
        return (
            product.category == self.category
            and self.colour in (None, product.colour)
            and self.pattern in (None, product.pattern)
        )


def held_out_query(seed: int, number: int, take: int = 0) -> PhotoQuery:
    """Return photo `take` (0, 1, …) of product `number` as a shopper took it, in a view that no catalog holds."""
    product = draw_product(seed, number)
    photo = draw_photo(seed, number, HELD_OUT_VIEW + take)
    return PhotoQuery(photo, product.product_id, product.group_id, product.category)


def held_out_queries(seed: int, products: int, count: int) -> Iterator[PhotoQuery]:
    """Yield `count` photo queries spread evenly over the first `products` products."""
    for place in range(count):
        yield held_out_query(seed, place * products // count)


def text_query(text: str) -> TextQuery:
    """Return the query that the words mean. Raises ValueError where they name no category of the shop."""
    words = text.lower().replace(",", "").split()
    category = next((name for word in words for name, forms in _NOUNS.items() if word in forms), None)
    if category is None:
        raise ValueError(f"{text!r} names none of {', '.join(ASSORTMENT)}")
    colour = next((word for word in words if word in COLOURS), None)
    pattern = next((name for word in words for name, forms in _PATTERN_WORDS.items() if word in forms), None)
    return TextQuery(text, category, colour, pattern)


_NOUNS = {
    "t-shirt": ("t-shirt", "tee"),
    "shirt": ("shirt",),
    "hoodie": ("hoodie",),
    "dress": ("dress",),
    "skirt": ("skirt",),
    "trousers": ("trousers", "pants"),
    "shorts": ("shorts",),
    "jacket": ("jacket", "blazer"),
    "sneaker": ("sneaker", "sneakers"),
    "boot": ("boot", "boots"),
    "hat": ("hat", "beanie", "cap"),
    "bag": ("bag", "backpack", "handbag"),
}
_PATTERN_WORDS = {
    "striped": ("striped", "stripes"),
    "dotted": ("dotted", "dots"),
    "checked": ("checked", "checks"),
    "floral": ("floral", "flowers", "flower"),
    "plain": ("plain",),
    "logo": ("emblem",),
}

_TEXTS = (
    "red striped dress", "black dress", "floral dress", "white dress with dots", "long green dress",
    "blue t-shirt", "striped t-shirt", "white tee with emblem", "black plain t-shirt", "dotted t-shirt",
    "checked shirt", "white shirt", "blue linen shirt", "striped shirt in navy", "floral shirt",
    "grey hoodie", "red hoodie", "hoodie with emblem", "black plain hoodie",
    "pleated skirt", "black skirt", "checked skirt", "pink skirt", "denim skirt in blue",
    "black trousers", "checked trousers", "beige trousers", "slim grey pants", "navy trousers", "brown pants",
    "blue shorts", "floral shorts", "beige shorts", "checked shorts",
    "black leather jacket", "padded jacket", "green jacket", "checked blazer", "red zipped jacket",
    "white sneakers", "red sneakers", "high black sneakers", "canvas sneakers in blue",
    "brown leather boots", "black ankle boots", "knee-high boots",
    "wool beanie", "red hat", "striped hat", "blue cap",
    "brown leather bag", "black backpack", "striped bag", "yellow handbag",
)  # fmt: skip

TEXT_QUERIES: tuple[TextQuery, ...] = tuple(text_query(text) for text in _TEXTS)
