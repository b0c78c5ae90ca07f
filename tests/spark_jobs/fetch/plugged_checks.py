"""Safety checks as a shop may plug them in: `--safety tests.spark_jobs.fetch.plugged_checks:by_width`."""

import math
from collections.abc import Sequence

from PIL import Image

WIDE_PX = 500
batches: list[list[Image.Image]] = []
"""What `by_width` was called with."""

not_a_function = "a text"


def by_width(photos: Sequence[Image.Image]) -> list[float]:
    """A thousandth for each pixel."""
    batches.append(list(photos))
    return [photo.width / 1000 for photo in photos]


def fails_on_wide(photos: Sequence[Image.Image]) -> list[float]:
    if any(photo.width > WIDE_PX for photo in photos):
        raise RuntimeError("too wide\nfor this check")
    return [0.25 for _ in photos]


def forgets_wide(photos: Sequence[Image.Image]) -> list[float]:
    return [0.25 for photo in photos if photo.width <= WIDE_PX]


def nan_of_wide(photos: Sequence[Image.Image]) -> list[float]:
    return [math.nan if photo.width > WIDE_PX else 0.25 for photo in photos]


def beyond_one_for_wide(photos: Sequence[Image.Image]) -> list[float]:
    return [100.0 if photo.width > WIDE_PX else 0.25 for photo in photos]


def always_fails(photos: Sequence[Image.Image]) -> list[float]:
    raise RuntimeError("no licence\nfound")


def one_score_for_all(photos: Sequence[Image.Image]) -> list[float]:
    return [0.5]


def words(photos: Sequence[Image.Image]) -> list[str]:
    return ["safe" for _ in photos]
