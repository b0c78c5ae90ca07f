"""Words for photos: what a shopper may type for a product of this category, colour, pattern or material."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

# Labels that shops use, and other words for the same thing. A label that is not here stands for itself.
OTHER_WORDS: Mapping[str, tuple[str, ...]] = {
    "bag": ("handbag", "tote bag", "backpack"),
    "blazer": ("suit jacket", "sport coat", "tailored jacket"),
    "blouse": ("women's blouse", "women's shirt"),
    "body": ("bodysuit", "baby bodysuit", "onesie", "romper"),
    "boot": ("boots", "pair of boots", "ankle boots"),
    "dress": ("gown", "women's dress", "summer dress"),
    "hat": ("cap", "beanie", "headwear"),
    "hoodie": ("hooded sweatshirt", "hooded jumper", "hoody"),
    "jacket": ("coat", "outerwear"),
    "longsleeve": ("long sleeve", "long-sleeved top", "long sleeve t-shirt", "sweater", "jumper", "pullover"),
    "outwear": ("outerwear", "jacket", "coat", "parka", "winter jacket"),
    "pants": ("trousers", "jeans", "long pants", "slacks"),
    "polo": ("polo shirt", "polo t-shirt", "collared t-shirt"),
    "shirt": ("button-up shirt", "button-down shirt", "dress shirt"),
    "shoes": ("pair of shoes", "footwear", "sneakers", "trainers", "boots"),
    "shorts": ("short pants", "pair of shorts", "bermuda shorts"),
    "skirt": ("women's skirt", "miniskirt", "midi skirt"),
    "sneaker": ("sneakers", "trainers", "shoes"),
    "t-shirt": ("tee", "tshirt", "t shirt", "short-sleeved t-shirt", "tee shirt"),
    "top": ("women's top", "crop top", "camisole"),
    "trousers": ("pants", "long pants", "slacks"),
    "undershirt": ("tank top", "sleeveless undershirt", "singlet", "vest top"),
}
TEMPLATES = (
    "a photo of a {}", "a photo of {}", "{}", "a {}", "a picture of a {}", "product photo of a {}",
    "I am looking for a {}", "{} on a plain background",
)  # fmt: skip
# Columns whose words a caption may carry, and how often it does.
ATTRIBUTES: Mapping[str, float] = {"colour": 0.6, "pattern": 0.35, "material": 0.2}
KIDS_WORDS = ("kids", "children's", "child's")


@dataclass(frozen=True)
class Caption:
    """Words, and what a photo must be for them to be true of it: column → value."""

    text: str
    needs: Mapping[str, str]


def words_for(category: str) -> tuple[str, ...]:
    """A label in lower case, then its other words."""
    plain = category.replace("_", " ").strip().lower()
    return (plain, *OTHER_WORDS.get(plain, ()))


def category_caption(category: str, rng: random.Random) -> Caption:
    """Words for a category alone; its own name half of the time."""
    names = words_for(category)
    name = names[0] if rng.random() < 0.5 else rng.choice(names)
    return Caption(rng.choice(TEMPLATES).format(name), {"category": category})


def photo_caption(values: Mapping[str, str], rng: random.Random) -> Caption:
    """Words for one photo's product, with some of its attributes. `values` has a category."""
    needs = {"category": values["category"]}
    before: list[str] = []
    for column, share in ATTRIBUTES.items():
        if values.get(column) and rng.random() < share:
            needs[column] = values[column]
            before.append(values[column].lower())
    if values.get("kids", "").lower() == "true" and rng.random() < 0.5:
        needs["kids"] = values["kids"]
        before.insert(0, rng.choice(KIDS_WORDS))
    name = rng.choice(words_for(values["category"]))
    return Caption(rng.choice(TEMPLATES).format(" ".join([*before, name])), needs)
