"""Rank a labelled catalog by a model: photos against photos, words against photos."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.encoders.contract import Encoder, Pixels, Vectors
from retrieval.photos.preprocess import to_pixels
from retrieval.search.metrics import DEPTH, QueryFigures, RankingFigures, mean_over_categories, rank_queries
from schemas.bundle import Preprocessing
from spark_jobs.evaluation.labelled_catalog import LabelledPhoto, photo_batches


@dataclass(frozen=True)
class EmbeddedPhotos:
    """Photos that could be embedded, their unit rows (n, d) float32, and how many could not be, by reason."""

    photos: list[LabelledPhoto]
    vectors: Vectors
    rejected: dict[str, int]


@dataclass(frozen=True)
class Direction:
    """Figures of one direction. `enough`: the mean over the categories with at least ten photos to find."""

    everything: RankingFigures
    by_category: dict[str, RankingFigures]
    mean_over_categories: RankingFigures
    enough: RankingFigures
    short_categories: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """As it stands in the JSON report."""
        return {
            "all": asdict(self.everything),
            "mean_over_categories": asdict(self.mean_over_categories),
            "mean_over_categories_with_10_photos": asdict(self.enough),
            "categories_with_fewer_than_10_photos": list(self.short_categories),
            "by_category": {name: asdict(figures) for name, figures in self.by_category.items()},
        }


def embed_labelled(
    photos: Sequence[LabelledPhoto],
    encoder: Encoder,
    preprocessing: Preprocessing,
    advance: Callable[[int], None] = lambda count: None,
) -> EmbeddedPhotos:
    """Embed photos in the encoder's batches, those that cannot be read left out; `advance` is told of each batch."""

    def pixels(image: Image.Image) -> Pixels:
        return to_pixels(image, preprocessing)

    rejected: Counter[str] = Counter()
    kept: list[int] = []
    vectors = [np.empty((0, encoder.dimension), dtype=np.float32)]
    for rows, batch in photo_batches(photos, encoder.batch_photos, pixels, rejected):
        if batch:
            vectors.append(encoder.encode_pixels(np.stack(batch)))
        kept += rows
        advance(encoder.batch_photos)
    return EmbeddedPhotos([photos[row] for row in kept], np.concatenate(vectors), dict(rejected))


def rank_photos(
    gallery: EmbeddedPhotos, queries: EmbeddedPhotos | None, label: str, exclude_same: str | None
) -> Direction:
    """Image → image: `queries` against the gallery, or without them the gallery against itself, leaving one out.

    Photos whose column `exclude_same` equals the query's are hidden from it.
    """
    asked = gallery if queries is None else queries
    names, (asked_labels, gallery_labels) = _codes(label, asked.photos, gallery.photos)
    groups: list[NDArray[np.int64]] | list[None] = [None, None]
    if exclude_same:
        groups = _codes(exclude_same, asked.photos, gallery.photos)[1]
    figures = rank_queries(
        asked.vectors,
        gallery.vectors,
        asked_labels,
        gallery_labels,
        groups[0],
        groups[1],
        leave_one_out=queries is None,
    )
    return _direction(figures, [names[code] for code in asked_labels])


def rank_words(
    gallery: EmbeddedPhotos, queries: Mapping[str, Sequence[str]], label: str, encoder: Encoder
) -> Direction:
    """Text → image: the words for each label against all photos. Raises ModelUnavailable without a text tower."""
    names, (gallery_labels,) = _codes(label, gallery.photos)
    asked = [(name, text) for name, texts in queries.items() for text in texts]
    code_of = {name: code for code, name in enumerate(names)}
    labels = np.array([code_of.get(name, len(names)) for name, _ in asked], dtype=np.int64)
    vectors = encoder.encode_texts([text for _, text in asked])
    return _direction(rank_queries(vectors, gallery.vectors, labels, gallery_labels), [name for name, _ in asked])


def _direction(figures: QueryFigures, labels: list[str]) -> Direction:
    by_category = figures.mean_by(labels)
    named = np.asarray(labels, dtype=object)
    short = tuple(name for name in by_category if int(figures.relevant[named == name].max()) < DEPTH)
    enough = {name: found for name, found in by_category.items() if name not in short}
    return Direction(
        figures.mean(), by_category, mean_over_categories(by_category), mean_over_categories(enough), short
    )


def _codes(column: str, *photo_lists: Sequence[LabelledPhoto]) -> tuple[list[str], list[NDArray[np.int64]]]:
    """A column's distinct texts, sorted, and each photo's place among them; -1 where it has none."""
    names = sorted({photo.value(column) for photos in photo_lists for photo in photos} - {""})
    place = {name: code for code, name in enumerate(names)}
    codes = [
        np.array([place.get(photo.value(column), -1) for photo in photos], dtype=np.int64) for photos in photo_lists
    ]
    return names, codes
