"""The query vector: a weighted sum of unit vectors, from photos, words and products.

Photos and product_id are averaged; words join them by `image_weight`; liked and disliked products move the sum as
Rocchio's feedback does (Rocchio 1971); negative words and photos push it away. The parts keep the weights that they have
in the finished unit vector, so that a cosine with it is the weighted sum of the cosines with the parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Self

import numpy as np
from numpy.typing import NDArray

from online.api.parsing import Question
from online.api.problems import INVALID_FIELDS, PRODUCT_NOT_FOUND, TEXT_UNSUPPORTED, ProblemRaised
from online.query.photos import read_photos
from online.snapshots.snapshot import Snapshot
from online.telemetry.stopwatch import Stopwatch
from retrieval.arrays import Float32
from retrieval.encoders.contract import Vectors, unit_rows
from retrieval.search.segments import QueryKind
from schemas.api.answers import FieldError
from schemas.errors import ModelUnavailable
from schemas.manifest import SearchParameters

LIKED_WEIGHT = 0.75
DISLIKED_WEIGHT = 0.25
NEGATIVE_WEIGHT = 0.5
LENGTH_MIN = 0.05
"""A sum shorter than this, beside the weights of its parts, is what is left where they cancel out: it points anywhere."""


@dataclass(frozen=True)
class Part:
    """One unit vector of the sum: the field that it comes from, and its weight, below 0 where it pushes away."""

    field: str
    kind: QueryKind
    weight: float


@dataclass(frozen=True)
class Mix:
    """A weighted sum of unit vectors: `vector` (dimension,) float32."""

    vector: Float32
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, field: str, kind: QueryKind, unit_vector: Float32) -> Self:
        return cls(unit_vector, (Part(field, kind, 1.0),))

    def times(self, factor: float) -> Self:
        parts = tuple(replace(part, weight=part.weight * factor) for part in self.parts)
        return replace(self, vector=np.asarray(self.vector * np.float32(factor)), parts=parts)

    def plus(self, other: Self) -> Self:
        return replace(self, vector=self.vector + other.vector, parts=self.parts + other.parts)

    def unit(self) -> Self:
        """The same direction at length one. Raises ProblemRaised: invalid-fields, where the parts cancel out."""
        length = float(np.linalg.norm(self.vector))
        if length < LENGTH_MIN * sum(abs(part.weight) for part in self.parts):
            raise _cancels_out(self)
        return self.times(1 / length)


@dataclass(frozen=True)
class Query:
    """`mix` has unit length; rows of `hidden_groups` (codes, sorted) are not shown; `notes` says what was left aside.

    `words` are the shopper's; `models` (int64) is a row of each product that the query is like. `hidden_elsewhere`
    (uint64 digests, sorted) are hidden groups that this snapshot has not; a later one may have them again.
    """

    mix: Mix
    hidden_groups: NDArray[np.int32]
    words: str | None = None
    models: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    notes: tuple[str, ...] = ()
    hidden_elsewhere: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))

    @property
    def unit_vector(self) -> Float32:
        return self.mix.vector

    @property
    def is_mixed(self) -> bool:
        """Of several parts, so that it lies near no one photo or text."""
        return len(self.mix.parts) > 1

    def parameters(self, photo: SearchParameters, text: SearchParameters) -> SearchParameters:
        """What was tuned for the kinds of its parts; the wider of both where it has both."""
        tuned = [{"photo": photo, "text": text}[part.kind] for part in self.mix.parts]
        return SearchParameters(max(each.nprobe for each in tuned), max(each.rerank for each in tuned))


def compose_query(snapshot: Snapshot, question: Question, stopwatch: Stopwatch) -> Query:
    """Raises ProblemRaised: photo-rejected, text-unsupported, product-not-found or invalid-fields."""
    fields = question.fields
    photos, negative_photos = _encode_photos(snapshot, question, stopwatch)
    texts = _encode_texts(snapshot, {"text": fields.text, "negative_text": fields.negative_text}, stopwatch)
    products = _Products(snapshot, fields.product_id, [*(fields.liked or ()), *(fields.disliked or ())])
    weights = fields.image_weights or [1.0] * len(photos)
    seen = [Mix.of("image", "photo", photo).times(weight) for photo, weight in zip(photos, weights, strict=True)]
    if fields.product_id is not None:
        seen.append(products.required(fields.product_id))
    wanted = _join(_mean(seen), texts.get("text"), fields.image_weight)
    liked, disliked = products.mean("liked", fields.liked), products.mean("disliked", fields.disliked)
    if wanted is None and liked is None:
        raise _not_found("liked", "none of them is in the live index")
    alone = wanted is None
    wanted = _sum([(wanted, 1.0), (liked, 1.0 if alone else LIKED_WEIGHT)])
    negative = [Mix.of("negative_image", "photo", photo) for photo in negative_photos]
    negative += [texts["negative_text"]] if "negative_text" in texts else []
    mix = _sum([(wanted, 1.0), (disliked, -DISLIKED_WEIGHT), (_mean(negative), -NEGATIVE_WEIGHT)])
    assert mix is not None
    shown_before = [fields.product_id, *(fields.disliked or ()), *((fields.liked or ()) if alone else ())]
    models = products.first_rows([fields.product_id, *(fields.liked or ())])
    return Query(mix.unit(), products.groups(shown_before), fields.text, models, products.notes())


def _encode_photos(snapshot: Snapshot, question: Question, stopwatch: Stopwatch) -> tuple[Vectors, Vectors]:
    photos = (*question.images, *question.negative_images)
    if not photos:
        nothing = np.empty((0, snapshot.view.manifest.dimension), np.float32)
        return nothing, nothing
    with stopwatch.stage("decode"):
        pixels = read_photos(photos, question.photo_fields, question.fields.bbox, snapshot.preprocessing)
    with stopwatch.stage("encode"):
        vectors = snapshot.encoder.encode_pixels(pixels)
    wanted = len(question.images)
    return vectors[:wanted], vectors[wanted:]


def _encode_texts(snapshot: Snapshot, asked: dict[str, str | None], stopwatch: Stopwatch) -> dict[str, Mix]:
    given = {field: words for field, words in asked.items() if words is not None}
    if not given:
        return {}
    try:
        with stopwatch.stage("encode"):
            vectors = snapshot.encoder.encode_texts(list(given.values()))
    except ModelUnavailable as error:
        errors = [FieldError(field=field, message=str(error)) for field in given]
        raise ProblemRaised(TEXT_UNSUPPORTED, f"{' and '.join(given)}: {error}", errors) from None
    return {field: Mix.of(field, "text", vector) for field, vector in zip(given, vectors, strict=True)}


class _Products:
    """The products that a question names, looked up together."""

    def __init__(self, snapshot: Snapshot, product_id: str | None, judged: Sequence[str]) -> None:
        self._groups_of_rows = snapshot.catalog.columns.groups
        self._view = snapshot.view
        self._judged = dict.fromkeys(judged)
        asked = {*self._judged, *(() if product_id is None else (product_id,))}
        self._rows = snapshot.catalog.rows_of_products(asked) if asked else {}

    def required(self, product_id: str) -> Mix:
        """The mean of its photos. Raises ProblemRaised: product-not-found."""
        if product_id not in self._rows:
            raise _not_found("product_id", f"{product_id!r} is not in the live index")
        return Mix.of("product_id", "photo", self._vector_of(product_id))

    def mean(self, field: str, product_ids: Sequence[str] | None) -> Mix | None:
        """The mean of those that are in the index; None where none is."""
        known = [product_id for product_id in dict.fromkeys(product_ids or ()) if product_id in self._rows]
        return _mean([Mix.of(field, "photo", self._vector_of(product_id)) for product_id in known])

    def groups(self, product_ids: Sequence[str | None]) -> NDArray[np.int32]:
        """The groups of those that are in the index, sorted."""
        rows = [
            self._rows[product_id] for product_id in product_ids if product_id is not None and product_id in self._rows
        ]
        return np.unique(self._groups_of_rows[np.concatenate(rows)]) if rows else np.empty(0, np.int32)

    def first_rows(self, product_ids: Sequence[str | None]) -> NDArray[np.int64]:
        """A row of each of those that are in the index, in their order."""
        known = [
            self._rows[product_id] for product_id in product_ids if product_id is not None and product_id in self._rows
        ]
        return np.array([rows[0] for rows in known], np.int64)

    def notes(self) -> tuple[str, ...]:
        """What liked and disliked products were left aside."""
        gone = [product_id for product_id in self._judged if product_id not in self._rows]
        return tuple(f"{product_id!r} is not in the live index and was left aside" for product_id in gone)

    def _vector_of(self, product_id: str) -> Float32:
        vectors = self._view.vectors_of(self._rows[product_id])
        mean: Float32 = unit_rows(unit_rows(vectors).mean(axis=0, keepdims=True))[0]
        return mean


def _mean(mixes: Sequence[Mix]) -> Mix | None:
    """Their sum at length one; None where there is none."""
    return reduce(Mix.plus, mixes).unit() if mixes else None


def _join(seen: Mix | None, text: Mix | None, image_weight: float) -> Mix | None:
    """What is seen and what is said, by weight; the one of them where the other is not given or weighs nothing."""
    if seen is None or text is None:
        return seen or text
    return _mean([mix.times(weight) for mix, weight in ((seen, image_weight), (text, 1 - image_weight)) if weight])


def _sum(weighted: Sequence[tuple[Mix | None, float]]) -> Mix | None:
    given = [mix.times(weight) for mix, weight in weighted if mix is not None]
    return reduce(Mix.plus, given) if given else None


def _cancels_out(mix: Mix) -> ProblemRaised:
    fields = sorted({part.field for part in mix.parts})
    errors = [FieldError(field=field, message="cancels out with the rest of the query") for field in fields]
    return ProblemRaised(INVALID_FIELDS, f"{' and '.join(fields)} cancel out: nothing is left to search for", errors)


def _not_found(field: str, message: str) -> ProblemRaised:
    return ProblemRaised(PRODUCT_NOT_FOUND, f"{field}: {message}", [FieldError(field=field, message=message)])
