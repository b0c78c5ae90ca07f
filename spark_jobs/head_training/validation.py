"""Figures on the plain views of photos that were kept back: of trained towers, and of the backbone as it comes."""

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from retrieval.search.metrics import DEPTH, RankingFigures, mean_over_categories, rank_queries
from spark_jobs.head_training.fit import TrainedTowers
from spark_jobs.head_training.material import TextFeatures
from spark_jobs.head_training.views import Views

_PHOTOS_AT_ONCE = 64


@torch.no_grad()
def validate_views(
    towers: TrainedTowers, views: Views, sender_column: str, features: TextFeatures
) -> dict[str, dict[str, float]]:
    """Figures of plain views: leave-one-out, the same without the sender's own photos, and words as queries."""
    towers.eval()
    rows, (categories, labels) = _rows(towers.photos, views), _labels(views)
    words = towers.words(features([f"a photo of a {category}" for category in categories])).numpy()
    told = rank_queries(words, rows, np.arange(len(categories)), labels).mean_by(categories)
    enough = {name: found for name, found in told.items() if labels.tolist().count(categories.index(name)) >= DEPTH}
    figures = {
        **_photo_figures(rows, labels, views, sender_column),
        "text_mean_over_categories_with_10_photos": mean_over_categories(enough),
        "text_mean_over_all_categories": mean_over_categories(told),
    }
    return {name: _rounded(found) for name, found in figures.items()}


@torch.no_grad()
def validate_backbone(towers: TrainedTowers, views: Views, sender_column: str) -> dict[str, dict[str, float]]:
    """Photo figures of the trunk's pooled features without a head: before training, of the backbone as it comes."""
    towers.eval()
    rows = _rows(lambda grids: F.normalize(towers.tail(grids), dim=1), views)
    figures = _photo_figures(rows, _labels(views)[1], views, sender_column)
    return {name: _rounded(found) for name, found in figures.items()}


def _rows(embed: Callable[[torch.Tensor], torch.Tensor], views: Views) -> NDArray[np.float32]:
    """Unit rows (n, d) of the plain views."""
    starts = range(0, len(views.photos), _PHOTOS_AT_ONCE)
    plain = (views.grids[first : first + _PHOTOS_AT_ONCE, 0].astype(np.float32) for first in starts)
    rows: NDArray[np.float32] = torch.cat([embed(torch.from_numpy(grids)) for grids in plain]).numpy()
    return rows


def _labels(views: Views) -> tuple[list[str], NDArray[np.int64]]:
    """The categories, sorted, and each photo's place among them."""
    categories = sorted({photo.value("category") for photo in views.photos})
    return categories, np.array([categories.index(photo.value("category")) for photo in views.photos], dtype=np.int64)


def _photo_figures(
    rows: NDArray[np.float32], labels: NDArray[np.int64], views: Views, sender_column: str
) -> dict[str, RankingFigures]:
    senders = np.unique([photo.value(sender_column) for photo in views.photos], return_inverse=True)[1]
    return {
        "leave_one_out": rank_queries(rows, rows, labels, labels, leave_one_out=True).mean(),
        "other_senders": rank_queries(rows, rows, labels, labels, senders, senders, leave_one_out=True).mean(),
    }


def _rounded(figures: RankingFigures) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in asdict(figures).items()}
