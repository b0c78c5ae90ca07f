"""From a question to the best product groups: vector → filters → candidates → best photo a group → the first k."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online.filtering import rows_that_pass
from online.parsing import Question
from online.problems import (
    PHOTO_REJECTED,
    PRODUCT_NOT_FOUND,
    TEXT_UNSUPPORTED,
    ProblemRaised,
)  # fmt: skip
from online.snapshot import Snapshot
from online.stopwatch import Stopwatch
from retrieval.candidates import find_candidates
from retrieval.encoder import Vectors, unit_rows
from retrieval.item_columns import Codes, Mask
from retrieval.photos import PhotoLimits, decode_photo, photo_format
from retrieval.preprocess import to_pixels
from retrieval.segments import QueryKind
from schemas.api import FieldError, SearchResult
from schemas.errors import ModelUnavailable, PhotoRejected
from schemas.reasons import PhotoReason

ASPECT_MAX = 20
JPEG_LIMITS = PhotoLimits(max_pixels=64_000_000)
OTHER_LIMITS = PhotoLimits(max_pixels=16_000_000)

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Query:
    """`unit_vector` is (1, dimension) float32; `left_out` is a group code, or None."""

    unit_vector: Vectors
    kind: QueryKind
    left_out: int | None = None


def answer_question(snapshot: Snapshot, question: Question, stopwatch: Stopwatch) -> list[SearchResult]:
    """The best groups, best first, at most `question.k`. Raises ProblemRaised."""
    query = make_query(snapshot, question, stopwatch)
    mask = None
    if question.filters is not None:
        with stopwatch.stage("filter"):
            mask = rows_that_pass(snapshot.catalog.columns, question.filters)
    with stopwatch.stage("search"):
        scores, rows = nearest_groups(snapshot, query, question.k, mask)
    with stopwatch.stage("read"):
        return read_results(snapshot, scores, rows)


def make_query(snapshot: Snapshot, question: Question, stopwatch: Stopwatch) -> Query:
    """Raises ProblemRaised: photo-rejected, text-unsupported or product-not-found."""
    if question.photo is not None:
        return _photo_query(snapshot, question.photo, stopwatch)
    if question.text is not None:
        return _text_query(snapshot, question.text, stopwatch)
    assert question.product_id is not None
    return _product_query(snapshot, question.product_id)


def nearest_groups(snapshot: Snapshot, query: Query, k: int, mask: Mask | None = None) -> tuple[Float32, Int64]:
    """The best row of each of the k best groups: scores (m,) float32, best first, and rows (m,) int64.

    m is k wherever k groups exist among the rows of `mask`.
    """
    groups, manifest = snapshot.catalog.columns.groups, snapshot.segment.manifest
    hidden = None if query.left_out is None else np.array([query.left_out], np.int32)
    parameters = manifest.text_search if query.kind == "text" else manifest.photo_search
    found = find_candidates(snapshot.segment, query.unit_vector[0], k, groups, parameters, mask, hidden)
    return best_of_groups(found.scores, found.rows, groups, k)


def best_of_groups(scores: Float32, rows: Int64, groups: Codes, k: int) -> tuple[Float32, Int64]:
    """The first row of each group, for rows (n,) that come best first."""
    _, first = np.unique(groups[rows], return_index=True)
    first.sort()
    return scores[first[:k]], rows[first[:k]]


def read_results(snapshot: Snapshot, scores: Float32, rows: Int64) -> list[SearchResult]:
    return [
        SearchResult(
            product_id=tile["product_id"],
            group_id=tile["group_id"] or tile["product_id"],
            score=round(float(score), 6),
            image_id=tile["image_id"],
            uri=f"/images/{tile['image_id']}",
            title=tile["title"],
            brand=tile["brand"],
            category=tile["category"],
            colour=tile["colour"],
            price=tile["price"],
            currency=tile["currency"],
            in_stock=tile["in_stock"],
            attributes=tile["attributes"],
        )
        for score, tile in zip(scores, snapshot.catalog.tiles(rows), strict=True)
    ]


def query_limits(photo: bytes) -> PhotoLimits:
    """A JPEG is decoded at a fraction of its size; other formats are decoded whole, so they may have fewer pixels."""
    return JPEG_LIMITS if photo_format(photo) == "JPEG" else OTHER_LIMITS


def _photo_query(snapshot: Snapshot, photo: bytes, stopwatch: Stopwatch) -> Query:
    size = snapshot.preprocessing.image_size
    try:
        with stopwatch.stage("decode"):
            image = decode_photo(photo, query_limits(photo), target_side_px=size)
            width, height = image.size
            if max(width, height) > ASPECT_MAX * min(width, height):
                raise PhotoRejected(PhotoReason.EXTREME_ASPECT, f"{width} x {height}")
            pixels = to_pixels(image, snapshot.preprocessing)[np.newaxis]
    except PhotoRejected as rejected:
        error = FieldError(field="image", message=str(rejected))
        detail = f"image: {rejected}; send an undamaged JPEG, PNG or WebP photo"
        raise ProblemRaised(PHOTO_REJECTED, detail, [error], reason=str(rejected.reason)) from None
    with stopwatch.stage("encode"):
        return Query(snapshot.encoder.encode_pixels(pixels), "photo")


def _text_query(snapshot: Snapshot, text: str, stopwatch: Stopwatch) -> Query:
    try:
        with stopwatch.stage("encode"):
            return Query(snapshot.encoder.encode_texts([text]), "text")
    except ModelUnavailable as error:
        raise ProblemRaised(
            TEXT_UNSUPPORTED, f"text: {error}", [FieldError(field="text", message=str(error))]
        ) from None


def _product_query(snapshot: Snapshot, product_id: str) -> Query:
    """The mean of the product's photos; its own group is left out."""
    rows = snapshot.catalog.rows_of_product(product_id)
    if not len(rows):
        detail = f"product_id: {product_id!r} is not in the live index"
        raise ProblemRaised(PRODUCT_NOT_FOUND, detail, [FieldError(field="product_id", message="not in the index")])
    vectors = np.stack([snapshot.segment.vector_of(int(row)) for row in rows])
    mean = vectors.mean(axis=0, keepdims=True)
    return Query(unit_rows(mean), "photo", int(snapshot.catalog.columns.groups[rows[0]]))
