"""The checks on one photo's bytes: can it be used, and what is known of it. No Spark, no network.

A photo that cannot be used is a row with a reason, whatever is wrong with its bytes.
"""

import hashlib
from dataclasses import dataclass

from PIL import Image

from retrieval.photos.decoding import (
    DEFAULT_LIMITS,
    STORED_SIDE_PX,
    PhotoLimits,
    decode_oriented,
    decode_photo,
    encode_stored,
    keep_photo,
    photo_format,
)
from schemas.errors import PhotoRejected
from schemas.reasons import PhotoReason
from spark_jobs.fetch.measures import Measures, measure

DETAIL_MAX_CHARS = 200
ACCEPTED, REJECTED = "accepted", "rejected"


@dataclass(frozen=True)
class PhotoRules:
    """What a photo must be. `sharpness_min` and `spread_min` were set on real and drawn photos (docs/decisions.md)."""

    side_min_px: int = 64
    aspect_max: float = 5.0
    spread_min: int = 10
    sharpness_min: float = 10.0
    limits: PhotoLimits = DEFAULT_LIMITS


@dataclass(slots=True)
class CheckedPhoto:
    """A row of `images`, but for what only the whole set can tell; `pixels` is what a safety check looks at."""

    content_sha256: str
    verdict: str
    source_bytes: int
    reason: PhotoReason | None = None
    source_format: str | None = None
    width: int | None = None
    height: int | None = None
    phash: int | None = None
    sharpness: float | None = None
    safety_score: float | None = None
    detail: str | None = None
    stored: bytes | None = None
    pixels: Image.Image | None = None


def content_hash(data: bytes) -> str:
    """A photo's name: the SHA-256 of its bytes as downloaded."""
    return hashlib.sha256(data).hexdigest()


def check_photo(
    data: bytes, rules: PhotoRules, content_sha256: str | None = None, *, with_pixels: bool = True
) -> CheckedPhoto:
    """Decode and measure a photo and make what is kept of it, or say why it cannot be used.

    A JPEG that is kept as it came is decoded without its colours, which nothing here looks at; `with_pixels` once more,
    with them, for a safety check.
    """
    photo = CheckedPhoto(content_sha256 or content_hash(data), REJECTED, len(data))
    kept = keep_photo(data)
    try:
        decoded, _ = decode_oriented(data, rules.limits, target_side_px=STORED_SIDE_PX, grey=kept is not None)
        photo.source_format = photo_format(data)
        _check_shape(decoded, rules)
        _check_measures(photo, measure(decoded), rules)
        photo.stored = kept or encode_stored(decoded)
        if with_pixels:
            photo.pixels = decoded if kept is None else decode_photo(data, rules.limits)
    except PhotoRejected as rejected:
        photo.reason = PhotoReason(rejected.reason)
        photo.detail = _writable(rejected.detail)
        return photo
    except (MemoryError, OSError, ValueError) as error:  # a photo too strange to measure or encode
        photo.reason = PhotoReason.DECODE_FAILED
        photo.detail = _writable(f"{type(error).__name__}: {error}")
        return photo
    photo.verdict = ACCEPTED
    photo.width, photo.height = _stored_size(decoded)
    return photo


def _check_shape(pixels: Image.Image, rules: PhotoRules) -> None:
    """Raises PhotoRejected: too_small, or extreme_aspect."""
    short, long = sorted(pixels.size)
    size = f"{pixels.width} x {pixels.height}"
    if short < rules.side_min_px:
        raise PhotoRejected(PhotoReason.TOO_SMALL, size)
    if long > rules.aspect_max * short:
        raise PhotoRejected(PhotoReason.EXTREME_ASPECT, size)


def _check_measures(photo: CheckedPhoto, measures: Measures, rules: PhotoRules) -> None:
    """Note what was measured. Raises PhotoRejected: blank, or blurred."""
    photo.phash, photo.sharpness = measures.phash, measures.sharpness
    if measures.spread < rules.spread_min:
        raise PhotoRejected(PhotoReason.BLANK, f"{measures.spread} grey levels")
    if measures.sharpness < rules.sharpness_min:
        raise PhotoRejected(PhotoReason.BLURRED, f"sharpness {measures.sharpness:.1f}")


def _stored_size(pixels: Image.Image) -> tuple[int, int]:
    """Width and height of what the lake keeps."""
    longest = max(pixels.size)
    if longest <= STORED_SIDE_PX:
        return pixels.size
    width, height = (max(1, round(side * STORED_SIDE_PX / longest)) for side in pixels.size)
    return width, height


def _writable(detail: str) -> str | None:
    """What a decoder said, as text that any table can hold."""
    return detail.encode("utf-8", "replace").decode()[:DETAIL_MAX_CHARS] or None
