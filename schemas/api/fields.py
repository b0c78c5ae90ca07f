"""The fields that requests are made of: their bounds, and how they look in the OpenAPI document."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from schemas.texts import OUTER_BLANKS

RESULTS_MAX = 100
RESULTS_DEFAULT = 20
CURSOR_MAX_CHARS = 100_000
PHOTOS_MAX = 5
LIKED_MAX = 50
IMAGE_WEIGHT_DEFAULT = 0.7
FACETS_MAX = 20
ATTRIBUTES = "attributes"
ATTRIBUTE_PREFIX = "attributes."
ATTRIBUTE_FACETS_MAX = 8
SHA256_PATTERN = "^[0-9a-f]{64}$"
REQUEST_ID_PATTERN = "^[A-Za-z0-9._-]{1,64}$"


def _as_kept(value: object) -> object:
    """Text as ingest keeps a shop's own, so that the shop can ask with what its tables hold: trimmed, and in NFC."""
    return unicodedata.normalize("NFC", value.strip(OUTER_BLANKS)) if isinstance(value, str) else value


ShortText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), BeforeValidator(_as_kept)
]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256)]
ProductId = Annotated[Identifier, BeforeValidator(_as_kept)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=1024), BeforeValidator(_as_kept)]
"""A value of a product; as long as ingest takes it."""

Currency = Annotated[Word, AfterValidator(str.upper)]
FacetName = Annotated[
    str,
    StringConstraints(pattern=r"^(category|brand|colour|in_stock|price|attributes|attributes\..+)$", max_length=256),
]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_whole(value: object) -> object:
    """5.0 is an integer in JSON Schema, and some clients write every number so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_as_whole)]


def _one_or_several(written: dict[str, str]) -> WithJsonSchema:
    several = {"type": "array", "items": written, "minItems": 1, "maxItems": PHOTOS_MAX}
    return WithJsonSchema({"anyOf": [written, several]})


Base64Photos = Annotated[
    list[Annotated[str, StringConstraints(min_length=1)]],
    Field(min_length=1, max_length=PHOTOS_MAX),
    BeforeValidator(_as_list),
    _one_or_several({"type": "string", "contentEncoding": "base64"}),
]
PhotoLinks = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=2_048)]],
    Field(min_length=1, max_length=PHOTOS_MAX),
    BeforeValidator(_as_list),
    _one_or_several({"type": "string", "format": "uri"}),
]
PhotoWeights = Annotated[
    list[Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]], Field(min_length=1, max_length=PHOTOS_MAX)
]
Products = Annotated[list[ProductId], Field(min_length=1, max_length=LIKED_MAX)]
Files = Annotated[
    list[str],
    WithJsonSchema(
        {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1, "maxItems": PHOTOS_MAX}
    ),
]


def parse_box(text: str) -> tuple[float, float, float, float]:
    """\"x1,y1,x2,y2\" as numbers. Raises ValueError."""
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("four numbers x1,y1,x2,y2 are needed, such as 10,20,200,240") from None
    if not (0 <= x1 < x2 < float("inf") and 0 <= y1 < y2 < float("inf")):
        raise ValueError("x1 < x2 and y1 < y2 are needed, none below 0")
    return x1, y1, x2, y2
