"""Every odd photo becomes an upright RGB image or a PhotoRejected with a reason; nothing else ever happens."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retrieval.photos.decoding import (
    PhotoLimits,
    decode_oriented,
    decode_photo,
    encode_stored,
    encode_thumbnail,
    photo_format,
)
from schemas.errors import PhotoRejected
from schemas.reasons import PhotoReason


def encoded(image: Image.Image, image_format: str = "JPEG", **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, image_format, **options)
    return sink.getvalue()


def gradient(width: int = 48, height: int = 32) -> Image.Image:
    """Dark at the left, light at the right; red grows downwards."""
    across = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.dstack([down, across, across]).astype(np.uint8), "RGB")


def levels(photo: Image.Image, x: int, y: int) -> tuple[int, int, int]:
    red, green, blue = np.asarray(photo)[y, x]
    return int(red), int(green), int(blue)


def rejected(data: bytes, **options: object) -> str:
    with pytest.raises(PhotoRejected) as caught:
        decode_photo(data, **options)  # type: ignore[arg-type]
    return str(caught.value.reason)


def test_a_photo_is_known_by_its_content_not_by_its_name() -> None:
    assert [photo_format(encoded(gradient(), name)) for name in ("JPEG", "PNG", "WEBP")] == ["JPEG", "PNG", "WEBP"]
    assert photo_format(b"<html>") is None


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_the_three_formats_give_rgb_of_the_same_size(image_format: str) -> None:
    photo = decode_photo(encoded(gradient(), image_format))
    assert (photo.mode, photo.size, photo.info) == ("RGB", (48, 32), {})


def test_a_jpeg_gives_its_luminance_alone_upright_and_other_formats_stay_rgb() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for data in (encoded(gradient(), exif=exif), encoded(gradient().convert("L"), exif=exif)):
        grey, orientation = decode_oriented(data, grey=True)
        assert (grey.mode, grey.size, orientation) == ("L", (32, 48), 6)
        assert np.abs(np.asarray(grey).astype(int) - np.asarray(decode_photo(data).convert("L"))).max() <= 3
    assert decode_oriented(encoded(gradient(), "PNG"), grey=True)[0].mode == "RGB"
    assert decode_oriented(encoded(gradient().convert("CMYK")), grey=True)[0].mode == "RGB"


@pytest.mark.parametrize("orientation", [0, 9, 40_000])
def test_an_orientation_that_means_nothing_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo, found = decode_oriented(encoded(gradient(), exif=exif))
    assert (photo.size, found) == ((48, 32), 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_dropped(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = decode_photo(encoded(gradient(), "PNG", exif=exif))
    assert photo.size == ((32, 48) if orientation >= 5 else (48, 32))
    assert dict(photo.getexif()) == {}
    corners = [levels(photo, x, y)[1] > 127 for y in (0, photo.height - 1) for x in (0, photo.width - 1)]
    light_side = {1: (1, 3), 2: (0, 2), 3: (0, 2), 4: (1, 3), 5: (2, 3), 6: (2, 3), 7: (0, 1), 8: (0, 1)}[orientation]
    assert tuple(place for place, light in enumerate(corners) if light) == light_side


def test_unreadable_exif_does_not_cost_the_photo() -> None:
    assert decode_photo(encoded(gradient(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")).size == (48, 32)


def test_cmyk_becomes_rgb_of_nearly_the_same_colours() -> None:
    photo = decode_photo(encoded(gradient().convert("CMYK"), quality=95))
    assert np.abs(np.asarray(photo).astype(int) - np.asarray(gradient())).mean() < 4


def test_sixteen_bit_grey_keeps_its_tones_rather_than_clip_to_white() -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None, :].repeat(8, 0)
    photo = decode_photo(encoded(Image.fromarray(ramp), "PNG"))
    assert [levels(photo, x, 0)[0] for x in (0, 32, 63)] == [0, 130, 255]


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    grey = Image.new("LA", (20, 20), (10, 0))
    for data in (
        encoded(clear, "PNG"),
        encoded(clear, "WEBP"),
        encoded(grey, "PNG"),
        encoded(palette, "PNG", transparency=1),
    ):
        assert levels(decode_photo(data), 5, 5) == (255, 255, 255)


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    for image_format in ("PNG", "WEBP"):
        data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:], lossless=True)
        assert levels(decode_photo(data), 5, 5) == (255, 0, 0)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_cut_file_is_truncated(image_format: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (80, 80, 3), dtype=np.uint8))
    data = encoded(noise, image_format)
    assert rejected(data[: int(share * len(data))]) == PhotoReason.TRUNCATED


def test_other_images_are_refused_by_format_and_the_rest_is_no_image() -> None:
    for image_format in ("GIF", "BMP", "TIFF", "AVIF", "ICO"):
        assert rejected(encoded(gradient(), image_format)) == PhotoReason.FORMAT_REFUSED
    for before in (b"", b'\xef\xbb\xbf<?xml version="1.0"?>\n', b"<!-- drawn -->", b"<!DOCTYPE svg>"):
        assert rejected(before + b'<svg xmlns="http://www.w3.org/2000/svg"/>') == PhotoReason.FORMAT_REFUSED
    for brand in (b"heic", b"heim", b"hevx", b"msf1"):  # of phones: a still, of several views, and a burst
        assert rejected(b"\0\0\0\x18ftyp" + brand + bytes(100)) == PhotoReason.FORMAT_REFUSED
    for jpeg_xl in (b"\xff\x0a" + bytes(100), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100)):
        assert rejected(jpeg_xl) == PhotoReason.FORMAT_REFUSED
    for data in (b"", b"\xff\xd8", b"<!doctype html><svg/>404", b"<?xml?><Error/>", b"%PDF-1.7", bytes(1000)):
        assert rejected(data) == PhotoReason.NOT_AN_IMAGE


def test_a_polyglot_is_only_its_pixels() -> None:
    photo = decode_photo(encoded(gradient(), "PNG") + b"PK\x03\x04<script>alert(1)</script>")
    assert b"script" not in encode_stored(photo)


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(50_000, 50_000), (10_000, 7_000), (2**31 - 1, 1)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    assert rejected(png_header(*size)) == PhotoReason.TOO_MANY_PIXELS


def test_limits_are_the_callers() -> None:
    assert rejected(encoded(gradient()), limits=PhotoLimits(max_pixels=48 * 32 - 1)) == PhotoReason.TOO_MANY_PIXELS
    assert rejected(encoded(gradient()), limits=PhotoLimits(max_decoded_bytes=1000)) == PhotoReason.TOO_MANY_PIXELS
    assert rejected(encoded(gradient(), progressive=True), limits=PhotoLimits(max_scans=3)) == PhotoReason.DECODE_FAILED


def test_a_large_progressive_jpeg_may_have_as_many_scans_as_encoders_write_and_no_more() -> None:
    largest = PhotoLimits().max_pixels
    assert PhotoLimits().scans_of(largest) == 15
    assert PhotoLimits().scans_of(12_000_000) == 83
    assert PhotoLimits().scans_of(1) == 100
    photo = encoded(gradient(), progressive=True)  # of ten scans
    pixels = gradient().width * gradient().height
    assert decode_photo(photo, PhotoLimits(max_scanned_pixels=10 * pixels)).size == gradient().size
    assert rejected(photo, limits=PhotoLimits(max_scanned_pixels=10 * pixels - 1)) == PhotoReason.DECODE_FAILED


def test_a_damaged_body_is_a_decode_failure() -> None:
    data = bytearray(encoded(gradient(), "PNG"))
    data[data.index(b"IDAT") + 4] ^= 0xFF
    assert rejected(bytes(data)) == PhotoReason.DECODE_FAILED


def test_large_jpegs_are_decoded_scaled_but_never_below_the_margin() -> None:
    data = encoded(gradient(2000, 1500))
    assert decode_photo(data, target_side_px=128).size == (500, 375)
    assert decode_photo(data, target_side_px=128, margin=1.4).size == (250, 188)
    assert decode_photo(data, target_side_px=128, margin=1.5).size == (500, 375)
    assert decode_photo(data, target_side_px=512).size == (2000, 1500)
    assert decode_photo(encoded(gradient(2000, 1500), "PNG"), target_side_px=128).size == (2000, 1500)


def test_stored_photos_and_thumbnails_are_capped_and_repeatable() -> None:
    photo = gradient(3000, 1500)
    stored, thumbnail = encode_stored(photo), encode_thumbnail(photo)
    assert decode_photo(stored).size == (1024, 512)
    assert decode_photo(thumbnail).size == (320, 160)
    assert (encode_stored(photo.copy()), encode_thumbnail(photo.copy())) == (stored, thumbnail)
    assert decode_photo(encode_stored(gradient())).size == (48, 32)
    assert decode_photo(encode_thumbnail(gradient(5000, 1))).size == (320, 1)


def test_metadata_is_not_stored() -> None:
    exif = Image.Exif()
    exif[0x010F] = "secret camera"
    data = encoded(gradient(), exif=exif, comment=b"secret comment", icc_profile=b"secret profile")
    assert b"secret" not in encode_stored(decode_photo(data))


def outcome(data: bytes) -> str:
    try:
        assert decode_photo(data).mode == "RGB"
    except PhotoRejected as error:
        return str(error.reason)
    return "a photo"


_SEEDS = [encoded(gradient(), name) for name in ("JPEG", "PNG", "WEBP")]


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBP"]))
def test_any_bytes_are_a_photo_or_a_rejection(data: bytes, magic: bytes) -> None:
    assert outcome(magic + data) in {"a photo", *map(str, PhotoReason)}


@given(st.sampled_from(_SEEDS), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=12))
def test_any_damage_is_a_photo_or_a_rejection(seed: bytes, damage: list[tuple[int, int]]) -> None:
    data = bytearray(seed)
    for place, value in damage:
        data[place % len(data)] = value
    assert outcome(bytes(data)) in {"a photo", *map(str, PhotoReason)}
