"""What the searcher is asked: a question as JSON, as a form, or with photos by link; and what became of an answer."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.api.fields import (
    ATTRIBUTE_FACETS_MAX,
    CURSOR_MAX_CHARS,
    FACETS_MAX,
    IMAGE_WEIGHT_DEFAULT,
    REQUEST_ID_PATTERN,
    RESULTS_DEFAULT,
    RESULTS_MAX,
    SHA256_PATTERN,
    Base64Photos,
    FacetName,
    Files,
    Identifier,
    PhotoLinks,
    PhotoWeights,
    ProductId,
    Products,
    ShortText,
    Whole,
    parse_box,
)
from schemas.api.filters import Filters

RANK_WEIGHT_MAX = 10

RankWeight = Annotated[float, Field(ge=0, le=RANK_WEIGHT_MAX, allow_inf_nan=False)]


class RankWeights(BaseModel):
    """How much each term of the score counts; those left out stay as the shop has them."""

    model_config = ConfigDict(extra="forbid")

    visual: RankWeight | None = Field(None, description="likeness to the query; 0.6 by default")
    attributes: RankWeight | None = Field(None, description="words and traits that were asked for; 0.15 by default")
    personal: RankWeight | None = Field(None, description="what this shopper likes; 0.15 by default")
    freshness: RankWeight | None = Field(None, description="new products first; 0.05 by default")
    price: RankWeight | None = Field(None, description="cheaper products first; 0.05 by default")


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
    product_id: ProductId | None = Field(None, description="more like this product; its own variants are left out")
    liked: Products | None = Field(None, description="products to come closer to")
    disliked: Products | None = Field(None, description="products to stay away from; they are left out")
    filters: Filters | None = Field(None, description="what a product must be to be found (in a form: JSON)")
    cursor: str | None = Field(
        None, min_length=1, max_length=CURSOR_MAX_CHARS, description="of an answer: the page after it"
    )
    k: Whole = Field(RESULTS_DEFAULT, ge=1, le=RESULTS_MAX, description="how many products, variants counted as one")
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


class ClickRequest(BaseModel):
    """A product of an earlier answer was clicked, put in a cart or bought."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(pattern=REQUEST_ID_PATTERN, description="of the answer that showed the product")
    product_id: ProductId
    position: Whole = Field(ge=0, lt=10_000, description="of the tile, counted from 0")
    action: Literal["click", "cart", "purchase"] = "click"
    user_id: Identifier | None = Field(None, description="kept only as a keyed hash")


class ImagePath(BaseModel):
    """The last part of /images/{image_id}; checked by the route, so that a wrong one is not found."""

    image_id: str = Field(
        description="image_id of a result: 64 hexadecimal digits", json_schema_extra={"pattern": SHA256_PATTERN}
    )
