"""What must hold for whatever bytes arrive as a photo: decoded, or refused with a reason, and nothing else."""

import io

import numpy as np
from PIL import Image

from retrieval.photos.decoding import (
    STORED_SIDE_PX,
    THUMBNAIL_SIDE_PX,
    PhotoLimits,
    decode_oriented,
    decode_photo,
    encode_stored,
    encode_thumbnail,
    keep_photo,
    photo_format,
    upright_jpeg_size,
)
from retrieval.photos.jpeg_stream import bare_jpeg
from schemas.errors import PhotoRejected
from schemas.reasons import PhotoReason

LIMITS = PhotoLimits(max_pixels=4_000_000, max_decoded_bytes=16_000_000)
"""Few pixels, so that many photos are tried; what large ones cost is tested on its own."""

TARGET_SIDE_PX = 16


def judge_photo(data: bytes) -> str:
    """What became of it: its format, or the reason of its refusal. Raises AssertionError where a rule is broken."""
    size = upright_jpeg_size(data)
    try:
        upright, orientation = decode_oriented(data, LIMITS)
    except PhotoRejected as rejected:
        return PhotoReason(rejected.reason)
    assert upright.mode == "RGB"
    assert size in (None, upright.size)
    assert upright.width * upright.height <= LIMITS.max_pixels
    assert not upright.info
    assert 1 <= orientation <= 8
    _judge_scaled(data, upright)
    _judge_stored(data, upright, orientation)
    return str(photo_format(data))


def _judge_scaled(data: bytes, upright: Image.Image) -> None:
    """Decoded at a fraction it is the same photo, never smaller than it is needed."""
    try:
        scaled = decode_photo(data, LIMITS, target_side_px=TARGET_SIDE_PX)
    except PhotoRejected as rejected:
        raise AssertionError(f"whole it is decoded, at a fraction it is {rejected.reason}") from rejected
    assert scaled.mode == "RGB"
    for whole, part in zip(upright.size, scaled.size, strict=True):
        assert part == whole or 2 * TARGET_SIDE_PX <= part <= whole


def _judge_stored(data: bytes, upright: Image.Image, orientation: int) -> None:
    """What is kept of it can be decoded again, with the same pixels where they were kept as they are."""
    bare = bare_jpeg(data)
    if bare is not None and orientation == 1:
        assert np.array_equal(decode_photo(bare, LIMITS), upright)
    for kept, side_px in (
        (keep_photo(data) or encode_stored(upright), STORED_SIDE_PX),
        (encode_thumbnail(upright), THUMBNAIL_SIDE_PX),
    ):
        with Image.open(io.BytesIO(kept)) as opened:
            opened.load()
            assert opened.format == "JPEG"
            assert max(opened.size) == min(max(upright.size), side_px)
            assert not opened.getexif()
