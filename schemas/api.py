"""What the searcher takes and answers. The OpenAPI document is made from these models."""

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

RESULTS_MAX = 100
RESULTS_DEFAULT = 20
CURSOR_MAX_CHARS = 100_000
PHOTOS_MAX = 5
LIKED_MAX = 50
IMAGE_WEIGHT_DEFAULT = 0.7
RANK_WEIGHT_MAX = 10
FACETS_MAX = 20
ATTRIBUTES = "attributes"
ATTRIBUTE_PREFIX = "attributes."
ATTRIBUTE_FACETS_MAX = 8
FILTER_VALUES_MAX = 100
FILTER_ATTRIBUTES_MAX = 20
SHA256_PATTERN = "^[0-9a-f]{64}$"
REQUEST_ID_PATTERN = "^[A-Za-z0-9._-]{1,64}$"

ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Words = Annotated[list[Identifier], Field(min_length=1, max_length=FILTER_VALUES_MAX)]
Numbers = Annotated[list[Number], Field(min_length=1, max_length=FILTER_VALUES_MAX)]


class Condition(BaseModel):
    """What a value must be; all that is given must hold."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            names = ", ".join(field.alias or name for name, field in type(self).model_fields.items())
            raise ValueError(f"give at least one of {names}")
        return self


class WordMatch(Condition):
    """Words are compared as the shop writes them, letter by letter."""

    equals: Identifier | None = None
    in_: Words | None = Field(None, alias="in", description="one of these")


class RangeMatch(Condition):
    """Both ends belong to the range; either may be left out."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self


class NumberMatch(RangeMatch):
    equals: Number | None = None
    in_: Numbers | None = Field(None, alias="in", description="one of these")


class AttributeMatch(RangeMatch, WordMatch):
    """An attribute's value as a word, or, where it is a plain number such as \"5.5\", as a number in a range."""


class WordFilter(WordMatch):
    not_: WordMatch | None = Field(
        None, alias="not", description="what it must not be; a product without a value is none of these"
    )


class PriceFilter(NumberMatch):
    not_: NumberMatch | None = Field(None, alias="not", description="what it must not be")
    currency: Identifier | None = Field(None, description="ISO 4217; without it the number is compared in any currency")


class AttributeFilter(AttributeMatch):
    not_: AttributeMatch | None = Field(None, alias="not", description="what it must not be")


class Filters(BaseModel):
    """What a product must be to be found at all. Parts that are given must all hold."""

    model_config = ConfigDict(extra="forbid")

    category: WordFilter | None = None
    brand: WordFilter | None = None
    colour: WordFilter | None = None
    price: PriceFilter | None = None
    in_stock: bool | None = None
    attributes: dict[Identifier, AttributeFilter] | None = Field(
        None, min_length=1, max_length=FILTER_ATTRIBUTES_MAX, description="by the name of the attribute"
    )


RankWeight = Annotated[float, Field(ge=0, le=RANK_WEIGHT_MAX, allow_inf_nan=False)]


FacetName = Annotated[
    str,
    StringConstraints(pattern=r"^(category|brand|colour|in_stock|price|attributes|attributes\..+)$", max_length=256),
]


class RankWeights(BaseModel):
    """How much each term of the score counts; those left out stay as the shop has them."""

    model_config = ConfigDict(extra="forbid")

    visual: RankWeight | None = Field(None, description="likeness to the query; 0.6 by default")
    attributes: RankWeight | None = Field(None, description="words and traits that were asked for; 0.15 by default")
    personal: RankWeight | None = Field(None, description="what this shopper likes; 0.15 by default")
    freshness: RankWeight | None = Field(None, description="new products first; 0.05 by default")
    price: RankWeight | None = Field(None, description="cheaper products first; 0.05 by default")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Base64Photos = Annotated[
    list[Annotated[str, StringConstraints(min_length=1)]],
    Field(min_length=1, max_length=PHOTOS_MAX),
    BeforeValidator(_as_list),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "contentEncoding": "base64"},
                {
                    "type": "array",
                    "items": {"type": "string", "contentEncoding": "base64"},
                    "minItems": 1,
                    "maxItems": PHOTOS_MAX,
                },
            ]
        }
    ),
]
PhotoLinks = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=2_048)]],
    Field(min_length=1, max_length=PHOTOS_MAX),
    BeforeValidator(_as_list),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "uri"},
                {
                    "type": "array",
                    "items": {"type": "string", "format": "uri"},
                    "minItems": 1,
                    "maxItems": PHOTOS_MAX,
                },
            ]
        }
    ),
]
PhotoWeights = Annotated[
    list[Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]], Field(min_length=1, max_length=PHOTOS_MAX)
]
Products = Annotated[list[Identifier], Field(min_length=1, max_length=LIKED_MAX)]


def parse_box(text: str) -> tuple[float, float, float, float]:
    """\"x1,y1,x2,y2\" as numbers. Raises ValueError."""
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("four numbers x1,y1,x2,y2 are needed, such as 10,20,200,240") from None
    if not (0 <= x1 < x2 < float("inf") and 0 <= y1 < y2 < float("inf")):
        raise ValueError("x1 < x2 and y1 < y2 are needed, none below 0")
    return x1, y1, x2, y2


class SearchRequest(BaseModel):
    """A question. At least one of image, image_base64, text, product_id and liked is needed; the rest is optional.

    Or the next page of an answer: its cursor, which brings the whole question along, and beside it at most k, facets,
    explain and user_id.
    """

    model_config = ConfigDict(extra="forbid")

    image_base64: Base64Photos | None = Field(
        None, description="photos as base64 (JPEG, PNG or WebP); several are averaged"
    )
    image_weights: PhotoWeights | None = Field(None, description="one for each photo, in their order; 1 by default")
    bbox: str | None = Field(
        None,
        max_length=100,
        description="search inside this part of the one photo: x1,y1,x2,y2 in pixels of the upright photo",
        examples=["10,20,200,240"],
    )
    text: ShortText | None = Field(None, description="words that describe the product")
    image_weight: float = Field(
        IMAGE_WEIGHT_DEFAULT,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="how much photos (and product_id) count beside text, where both are given",
    )
    negative_text: ShortText | None = Field(None, description="words to stay away from")
    negative_image_base64: Base64Photos | None = Field(None, description="photos to stay away from, as base64")
    product_id: Identifier | None = Field(None, description="more like this product; its own variants are left out")
    liked: Products | None = Field(None, description="products to come closer to")
    disliked: Products | None = Field(None, description="products to stay away from; they are left out")
    filters: Filters | None = Field(None, description="what a product must be to be found (in a form: JSON)")
    cursor: str | None = Field(
        None, min_length=1, max_length=CURSOR_MAX_CHARS, description="of an answer: the page after it"
    )
    k: int = Field(RESULTS_DEFAULT, ge=1, le=RESULTS_MAX, description="how many products, variants counted as one")
    rank: RankWeights | None = Field(None, description="weights of the score that orders the results (in a form: JSON)")
    min_score: float | None = Field(
        None, ge=-1, le=1, allow_inf_nan=False, description="leave out what has a lower `score` (cosine)"
    )
    diversity: float = Field(
        0, ge=0, le=1, allow_inf_nan=False, description="0: best first; towards 1: results that differ from one another"
    )
    facets: list[FacetName] | None = Field(
        None,
        min_length=1,
        max_length=FACETS_MAX,
        description="count products by category, brand, colour, in_stock, price or attributes.<name>; attributes stands "
        f"for the {ATTRIBUTE_FACETS_MAX} attributes that the most of the nearest products have",
    )
    explain: bool = Field(False, description="say how the query was run and what each result's score is made of")
    user_id: Identifier | None = Field(
        None, description="kept only as a keyed hash, for the learning loop; until that has run it changes no result"
    )

    @field_validator("bbox")
    @classmethod
    def _is_a_box(cls, text: str | None) -> str | None:
        if text is not None:
            parse_box(text)
        return text


Files = Annotated[
    list[str],
    WithJsonSchema(
        {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1, "maxItems": PHOTOS_MAX}
    ),
]


class SearchForm(SearchRequest):
    """The same question as multipart/form-data: photos may be files; lists are repeated fields; filters are JSON."""

    image: Files | None = Field(
        None, description="JPEG, PNG or WebP files, told by their content; several are averaged"
    )
    negative_image: Files | None = Field(None, description="photos to stay away from")


class LinkingRequest(SearchRequest):
    """A question to a searcher whose operator lets photos come by link."""

    image_url: PhotoLinks | None = Field(
        None, description="links to photos, on the sites that the operator names; several are averaged"
    )


class LinkingForm(SearchForm, LinkingRequest):
    """The same as a form."""


class Term(BaseModel):
    """One term of a score."""

    value: float = Field(description="0 to 1")
    points: float = Field(description="the value times its weight; below 0 for price")


class SearchResult(BaseModel):
    """One tile: the best photo of the best variant of one product group."""

    product_id: str
    group_id: str = Field(description="variants of one design share it")
    score: float = Field(description="cosine of the query and the photo, -1 to 1")
    rank_score: float = Field(description="what the results are ordered by: likeness and the other terms of `rank`")
    image_id: str = Field(description="SHA-256 of the photo that matched")
    uri: str = Field(description="where its thumbnail is, relative to this service")
    title: str | None = None
    brand: str | None = None
    category: str | None = None
    colour: str | None = None
    price: float | None = None
    currency: str | None = Field(None, description="ISO 4217")
    in_stock: bool | None = None
    attributes: dict[str, str] = Field(default_factory=dict)
    explain: dict[str, Term] | None = Field(None, description="the terms of rank_score, where it was asked for")


class QueryPart(BaseModel):
    """One unit vector of the query's sum."""

    field: str
    kind: Literal["photo", "text"]
    weight: float = Field(description="in the finished unit vector; below 0 where it pushes away")


class Explanation(BaseModel):
    """How the query was run."""

    path: str = Field(description="what the planner chose: probe, probe_more, scan_few, scan_all, exact or nothing")
    why: str
    rows_matched: int = Field(description="photos that pass the filters")
    nprobe: int = Field(description="lists of the index that were read; 0 where rows were scored without it")
    candidates: int = Field(description="photos that were ranked")
    query: list[QueryPart]
    weights: dict[str, float] = Field(description="of the terms of rank_score")
    visual_scale: tuple[float, float] = Field(description="the cosines that count as 0 and as 1")
    no_good_match_below: float | None = Field(None, description="the score that the nearest photo must reach")
    notes: list[str] = Field(description="what was left aside or stayed neutral, and why")


class FacetValue(BaseModel):
    value: str
    count: int = Field(description="products (groups of variants) that have it")


class FacetRange(BaseModel):
    """Prices in one currency."""

    currency: str | None = Field(description="ISO 4217; null where the shop gives none")
    min: float
    max: float
    count: int = Field(description="products that have a price in it")


class Facet(BaseModel):
    """Products by value, most frequent first, among the candidates: the photos nearest to the query."""

    field: str
    exact: bool = Field(description="the candidates are all products under the filters, so the counts are exact")
    values: list[FacetValue] = Field(default_factory=list, description="at most 100")
    ranges: list[FacetRange] = Field(default_factory=list, description="for price")


class SearchResponse(BaseModel):
    """The best products, best first, and what answered."""

    results: list[SearchResult]
    no_good_match: bool | None = Field(
        None,
        description="nothing is near enough to be what was asked for; the nearest are given all the same. "
        "Null where it cannot be told (the build did not measure it, or the query is more like a product) "
        "and on later pages",
    )
    cursor: str | None = Field(
        None, description="send it to see the next page; null on the last one. It lasts until the index is built anew"
    )
    facets: list[Facet] = Field(default_factory=list, description="in the order asked for")
    explain: Explanation | None = Field(None, description="where it was asked for")
    latency_ms: float = Field(description="from the first byte of the request to here")
    stages_ms: dict[str, float] = Field(
        description="the parts of latency_ms: fetch (photos by link), decode, encode, plan (under filters), search, rank, facets, read"
    )
    generation: int = Field(description="of CURRENT; it only grows")
    build_id: str
    delta_id: str | None = Field(None, description="what was laid over the build: products that changed since")
    model_id: str
    request_id: str


class ClickRequest(BaseModel):
    """A product of an earlier answer was clicked, put in a cart or bought."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(pattern=REQUEST_ID_PATTERN, description="of the answer that showed the product")
    product_id: Identifier
    position: int = Field(ge=0, lt=10_000, description="of the tile, counted from 0")
    action: Literal["click", "cart", "purchase"] = "click"
    user_id: Identifier | None = Field(None, description="kept only as a keyed hash")


class ImagePath(BaseModel):
    """The last part of /images/{image_id}; checked by the route, so that a wrong one is not found."""

    image_id: str = Field(
        description="image_id of a result: 64 hexadecimal digits", json_schema_extra={"pattern": SHA256_PATTERN}
    )


class HealthResponse(BaseModel):
    status: Literal["alive"] = "alive"


class ReadyResponse(BaseModel):
    """What this worker serves, verified and warmed."""

    status: Literal["ready"] = "ready"
    generation: int
    build_id: str
    delta_id: str | None = Field(None, description="what was laid over the build: products that changed since")
    model_id: str
    model_fingerprint: str
    rows: int = Field(description="photos that can be found")
    products: int
    interval_end: str


class FieldError(BaseModel):
    """One field that is wrong."""

    field: str
    message: str


class Problem(BaseModel):
    """An error as RFC 9457 writes it (application/problem+json). `type` is stable and has a page of its own."""

    type: str = Field(description="/problems/<name>")
    title: str
    status: int
    detail: str = Field(description="what was wrong this time, and what to do")
    request_id: str
    errors: list[FieldError] = Field(default_factory=list, description="the fields at fault")
    reason: str | None = Field(None, description="for a refused photo: a name from a closed list")
