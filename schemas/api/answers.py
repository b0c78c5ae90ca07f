"""What the searcher answers: results and what explains them, its state, and problems."""

from typing import Literal

from pydantic import BaseModel, Field


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
    """Products by value, most frequent first, among the candidates: the photos nearest to the query, without those that
    earlier pages showed."""

    field: str
    exact: bool = Field(description="the candidates are all products left under the filters, so the counts are exact")
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
        None,
        description="send it to see the next page; null on the last one, and beyond 5,000 products. It lasts until the index "
        "is built anew",
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
