"""The photos of a question: from bytes to the image tower's input, whole or inside a box."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from online.api.problems import INVALID_FIELDS, PHOTO_REJECTED, ProblemRaised
from retrieval.encoders.contract import Pixels
from retrieval.photos.decoding import QUERY_MARGIN, PhotoLimits, decode_photo, photo_format, upright_jpeg_size
from retrieval.photos.preprocess import to_batch
from schemas.api.answers import FieldError
from schemas.api.fields import parse_box
from schemas.bundle import Preprocessing
from schemas.errors import PhotoRejected
from schemas.reasons import PhotoReason

ASPECT_MAX = 20
BOX_TOLERANCE_PX = 1
"""A box drawn on a scaled photo may stand out by a rounding."""

JPEG_LIMITS = PhotoLimits(max_pixels=64_000_000)
OTHER_LIMITS = PhotoLimits(max_pixels=16_000_000)

Box = tuple[float, float, float, float]

# For shoppers and storefronts: a decoder's own words tell them nothing.
_ADVICE = {
    PhotoReason.NOT_AN_IMAGE: "this is no photo: send a JPEG, PNG or WebP file",
    PhotoReason.FORMAT_REFUSED: "photos of this format are not read: send a JPEG, PNG or WebP file",
    PhotoReason.TRUNCATED: "the file ends before the photo does: send the whole file again",
    PhotoReason.DECODE_FAILED: "the file is damaged: send an undamaged JPEG, PNG or WebP photo",
    PhotoReason.TOO_MANY_PIXELS: f"the photo has too many pixels: send a JPEG of at most {JPEG_LIMITS.max_pixels:,}, or "
    f"a PNG or WebP of at most {OTHER_LIMITS.max_pixels:,}",
    PhotoReason.EXTREME_ASPECT: f"one side is more than {ASPECT_MAX} times the other: send a part of the photo",
}


def read_photos(
    photos: Sequence[bytes], fields: Sequence[str], bbox: str | None, preprocessing: Preprocessing
) -> Pixels:
    """All photos as one batch (n, 3, S, S) float32; the box cuts the first. `fields` (n,) names them where one is refused.

    Raises ProblemRaised: photo-rejected, or invalid-fields where the box lies outside the photo.
    """
    box = None if bbox is None else parse_box(bbox)
    read = [
        _read(field, data, None if number else box, preprocessing)
        for number, (field, data) in enumerate(zip(fields, photos, strict=True))
    ]
    return to_batch(read, preprocessing)


def query_limits(photo: bytes) -> PhotoLimits:
    """A JPEG is decoded at a fraction of its size; other formats are decoded whole, so they may have fewer pixels."""
    return JPEG_LIMITS if photo_format(photo) == "JPEG" else OTHER_LIMITS


def _read(field: str, data: bytes, box: Box | None, preprocessing: Preprocessing) -> Image.Image:
    try:
        image = _decode(data, box, preprocessing.image_size)
        width, height = image.size
        if max(width, height) > ASPECT_MAX * min(width, height):
            raise PhotoRejected(PhotoReason.EXTREME_ASPECT, f"{width} x {height}")
    except PhotoRejected as rejected:
        advice = _ADVICE.get(PhotoReason(rejected.reason), "the photo cannot be used: send another")
        error = FieldError(field=field, message=advice)
        raise ProblemRaised(PHOTO_REJECTED, f"{field}: {advice}", [error], reason=str(rejected.reason)) from None
    return image


def _decode(data: bytes, box: Box | None, side_px: int) -> Image.Image:
    if box is None:
        return decode_photo(data, query_limits(data), target_side_px=side_px, margin=QUERY_MARGIN)
    size = upright_jpeg_size(data)
    if size is None:
        image = decode_photo(data, query_limits(data))
        size = image.size
        _refuse_outside(box, size)
    else:
        _refuse_outside(box, size)
        # A JPEG is decoded at a scale at which the box alone still has the pixels that the model takes. Of a box below
        # a pixel one is cut all the same.
        narrowest = min(max(box[2] - box[0], 1) / size[0], max(box[3] - box[1], 1) / size[1])
        target_side_px = int(np.ceil(side_px / narrowest))
        image = decode_photo(data, query_limits(data), target_side_px=target_side_px, margin=QUERY_MARGIN)
    return _cut(image, box, size)


def _cut(image: Image.Image, box: Box, size: tuple[int, int]) -> Image.Image:
    """The part of an image in a box that was drawn on it at another size; at least one pixel of it."""
    x1, y1, x2, y2 = box
    across, down = image.size[0] / size[0], image.size[1] / size[1]
    left, top = min(int(x1 * across), image.size[0] - 1), min(int(y1 * down), image.size[1] - 1)
    right = min(max(int(np.ceil(x2 * across)), left + 1), image.size[0])
    return image.crop((left, top, right, min(max(int(np.ceil(y2 * down)), top + 1), image.size[1])))


def _refuse_outside(box: Box, size: tuple[int, int]) -> None:
    if box[2] > size[0] + BOX_TOLERANCE_PX or box[3] > size[1] + BOX_TOLERANCE_PX:
        message = f"lies outside the upright photo, which is {size[0]} x {size[1]} pixels"
        raise ProblemRaised(INVALID_FIELDS, f"bbox: {message}", [FieldError(field="bbox", message=message)])
