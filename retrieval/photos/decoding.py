"""Photos in, photos out: decode what a stranger sent, and the two encodings that ShopLens keeps of it.

Formats are told by content only. Whatever goes wrong with the bytes is a PhotoRejected with a reason of
`schemas.reasons.PhotoReason`; no other exception leaves `decode_photo`.
"""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from retrieval.photos.jpeg_stream import SCAN_MARK, bare_jpeg, has_more_scans
from schemas.errors import PhotoRejected
from schemas.reasons import PhotoReason

FORMATS = ("JPEG", "PNG", "WEBP")
STORED_SIDE_PX = 1024
STORED_QUALITY = 92
KEPT_BYTES_A_PIXEL_MAX = 1.0
"""A JPEG with more is encoded anew: it holds noise that no model sees."""
SCALED_MARGIN = 2.0
"""A JPEG that is decoded at a fraction keeps so many times the pixels a side that are wanted."""
QUERY_MARGIN = 1.5
"""Enough for a query: of phone photos the cosine to a full decode stays above 0.997 (`bench.phone_photo`)."""
THUMBNAIL_SIDE_PX = 320
THUMBNAIL_QUALITY = 85

_OTHER_IMAGES = (
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"\0\0\1\0",
    b"8BPS",
    b"<svg",
    b"\xff\x0a",
    b"%!PS",
    b"\0\0\0\x0cjP",
    b"\0\0\0\x0cJXL ",
)
_BOX_IMAGES = (
    *(b"avif", b"avis", b"heif", b"mif1", b"msf1"),
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
)
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_THEIR_SIDE = (5, 6, 7, 8)


@dataclass(frozen=True)
class PhotoLimits:
    """What a photo may cost. `max_scans` and `max_scanned_pixels` bound progressive JPEGs, where each scan is another pass
    over all pixels: encoders write ten or so, at any size, and a hundred over 64 million take ten seconds."""

    max_pixels: int = 64_000_000
    max_decoded_bytes: int = 256_000_000
    max_scans: int = 100
    max_scanned_pixels: int = 1_000_000_000

    def scans_of(self, pixels: int) -> int:
        """How many a photo of so many pixels may have."""
        return min(self.max_scans, self.max_scanned_pixels // max(pixels, 1))


DEFAULT_LIMITS = PhotoLimits()


def photo_format(data: bytes) -> str | None:
    """JPEG, PNG or WEBP by the first bytes; None for anything else."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return None


def decode_photo(
    data: bytes,
    limits: PhotoLimits = DEFAULT_LIMITS,
    *,
    target_side_px: int | None = None,
    margin: float = SCALED_MARGIN,
) -> Image.Image:
    """The photo as an upright RGB image without metadata: first frame, transparency on white.

    With `target_side_px`, a JPEG that is large on both sides is decoded at a half, quarter or eighth, never below
    `margin` times the target. Raises PhotoRejected: not_an_image, format_refused, truncated, decode_failed
    or too_many_pixels.
    """
    return decode_oriented(data, limits, target_side_px=target_side_px, margin=margin)[0]


def decode_oriented(
    data: bytes,
    limits: PhotoLimits = DEFAULT_LIMITS,
    *,
    target_side_px: int | None = None,
    margin: float = SCALED_MARGIN,
    grey: bool = False,
) -> tuple[Image.Image, int]:
    """As `decode_photo`, with the EXIF orientation, 1 to 8, that the bytes asked for and the image now has.

    `grey`: the luminance alone will do, which a JPEG gives in half the time. The image is then of mode L, of other formats
    still RGB.
    """
    source_format = photo_format(data)
    if source_format is None:
        raise PhotoRejected(PhotoReason.FORMAT_REFUSED if _is_other_image(data) else PhotoReason.NOT_AN_IMAGE)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            _refuse_bombs(opened, data, source_format, limits)
            if source_format == "JPEG":
                size = (int(margin * target_side_px),) * 2 if target_side_px else None
                opened.draft("L" if grey else None, size)
            orientation = _orientation(opened)
            opened.load()
            upright = opened.copy() if grey and opened.mode == "L" and source_format == "JPEG" else _to_rgb(opened)
        if orientation in _UPRIGHT:
            upright = upright.transpose(_UPRIGHT[orientation])
    except PhotoRejected:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoRejected(PhotoReason.TOO_MANY_PIXELS, _one_line(error)) from None
    except Exception as error:  # Pillow raises OSError, ValueError, SyntaxError, struct.error, MemoryError and more
        reason = PhotoReason.TRUNCATED if _is_cut_short(data, source_format) else PhotoReason.DECODE_FAILED
        raise PhotoRejected(reason, _one_line(error)) from None
    upright.info = {}
    return upright, orientation


def upright_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels as a JPEG stands upright, from its header; None where there is no such header.

    Other formats may say how they stand after their pixels (a PNG's eXIf), so they have to be decoded.
    """
    found = _jpeg_header(data)
    if found is None:
        return None
    (width, height), orientation = found
    return (height, width) if orientation in _ON_THEIR_SIDE else (width, height)


def keep_photo(data: bytes) -> bytes | None:
    """A photo's own compressed pixels, without metadata, where the lake keeps just these: it is a plain JPEG of at most 1,024
    pixels a side, upright as it lies and not overlarge. Else None. Nothing is decoded."""
    found = _jpeg_header(data)
    if found is None:
        return None
    (width, height), orientation = found
    if orientation in _UPRIGHT or max(width, height) > STORED_SIDE_PX:
        return None
    bare = bare_jpeg(data)
    return bare if bare and len(bare) <= KEPT_BYTES_A_PIXEL_MAX * width * height else None


def encode_stored(image: Image.Image) -> bytes:
    """Pixels as the lake keeps them of a photo that is not kept as it came (`keep_photo`): JPEG of quality 92, 4:2:0, at most
    1,024 pixels a side. Every model embeds what the lake keeps.

    A photo within the cap keeps its size. The same pixels give the same bytes with the same Pillow.
    """
    return _encode_jpeg(_within(image, STORED_SIDE_PX), STORED_QUALITY)


def encode_thumbnail(image: Image.Image) -> bytes:
    """The tile of a result: JPEG of quality 85, at most 320 pixels a side, never enlarged."""
    return _encode_jpeg(_within(image, THUMBNAIL_SIDE_PX), THUMBNAIL_QUALITY)


def _refuse_bombs(opened: Image.Image, data: bytes, source_format: str, limits: PhotoLimits) -> None:
    """Look at the header only: nothing is decoded yet."""
    width, height = opened.size
    pixels = width * height
    if pixels > limits.max_pixels:
        raise PhotoRejected(PhotoReason.TOO_MANY_PIXELS, f"{width} x {height}")
    if 4 * pixels > limits.max_decoded_bytes:  # the widest step on the way to RGB is RGBA
        raise PhotoRejected(PhotoReason.TOO_MANY_PIXELS, f"{width} x {height} decode to {4 * pixels} bytes")
    scans = limits.scans_of(pixels)
    if source_format == "JPEG" and data.count(SCAN_MARK) > scans and has_more_scans(data, scans):
        raise PhotoRejected(PhotoReason.DECODE_FAILED, f"more than {scans} scans")
    if source_format == "PNG" and _has_damaged_chunk(data):
        raise PhotoRejected(PhotoReason.DECODE_FAILED, "a chunk's checksum is wrong")


def _orientation(opened: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; what cannot be read or means nothing is upright, since the pixels may still be good."""
    try:
        orientation = int(opened.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _to_rgb(opened: Image.Image) -> Image.Image:
    if opened.mode.startswith("I") or opened.mode == "F":
        # Sixteen bits a pixel: Pillow's own conversion clips them to white.
        grey = np.asarray(opened).astype(np.int64) >> 8
        return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8), "L").convert("RGB")
    if "A" in opened.getbands() or "a" in opened.getbands() or "transparency" in opened.info:
        layer = opened.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return opened.convert("RGB")


def _jpeg_header(data: bytes) -> tuple[tuple[int, int], int] | None:
    """Width and height in pixels as the photo lies, and its orientation; None where there is no such header."""
    if photo_format(data) != "JPEG":
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as opened:
            return opened.size, _orientation(opened)
    except Exception:  # as in decode_photo, which says what is wrong
        return None


def _is_other_image(data: bytes) -> bool:
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    return (
        data.startswith(_OTHER_IMAGES)
        or (head.startswith((b"<svg", b"<?xml", b"<!--", b"<!DOCTYPE svg")) and b"<svg" in head)
        or (data[4:8] == b"ftyp" and data[8:12] in _BOX_IMAGES)
    )


def _is_cut_short(data: bytes, source_format: str) -> bool:
    """Whether the end that the format promises is missing."""
    if source_format == "JPEG":
        return b"\xff\xd9" not in data[-65536:]
    if source_format == "PNG":
        return b"IEND" not in data[-65536:]
    return int.from_bytes(data[4:8], "little") + 8 > len(data)


def _has_damaged_chunk(data: bytes) -> bool:
    """Whether a chunk that decides pixels fails its CRC. Pillow draws such a PNG black without a word."""
    place = 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        name, end = data[place + 4 : place + 8], place + 8 + length
        if name == b"IEND" or end + 4 > len(data):
            return False
        if (
            name in (b"IHDR", b"PLTE", b"IDAT")
            and zlib.crc32(data[place + 4 : end]) != struct.unpack_from(">I", data, end)[0]
        ):
            return True
        place = end + 4
    return False


def _within(image: Image.Image, side_px: int) -> Image.Image:
    longest = max(image.size)
    if longest <= side_px:
        return image
    width, height = (max(1, round(side * side_px / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _encode_jpeg(image: Image.Image, quality: int) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality, subsampling="4:2:0")
    return sink.getvalue()


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
