"""Dropping metadata never changes a pixel; whatever is not plain is left to a new encoding."""

import io
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retrieval.photos.decoding import KEPT_BYTES_A_PIXEL_MAX, decode_photo, encode_stored, keep_photo
from retrieval.photos.jpeg_stream import SCAN_MARK, bare_jpeg, has_more_scans


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    sink = io.BytesIO()
    (image or waves()).save(sink, "JPEG", **options)
    return sink.getvalue()


def waves(width: int = 60, height: int = 44) -> Image.Image:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    levels = 128 + 100 * np.stack([np.sin(x / 5), np.cos(y / 7), np.sin((x + y) / 9)], axis=2)
    return Image.fromarray(levels.astype(np.uint8), "RGB")


def stored(data: bytes) -> bytes:
    return keep_photo(data) or encode_stored(decode_photo(data))


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode_photo(data))


@pytest.mark.parametrize(
    "options",
    [{}, {"quality": 40}, {"subsampling": "4:4:4"}, {"subsampling": "4:2:0"}, {"optimize": True},
     {"restart_marker_rows": 1}],
)  # fmt: skip
def test_a_plain_jpeg_keeps_every_pixel(options: dict[str, object]) -> None:
    data = jpeg(**options)
    bare = bare_jpeg(data)
    assert bare is not None
    assert (pixels(bare) == pixels(data)).all()


def test_a_grey_jpeg_keeps_every_pixel() -> None:
    data = jpeg(waves().convert("L"))
    bare = bare_jpeg(data)
    assert bare is not None
    assert (pixels(bare) == pixels(data)).all()


def test_metadata_and_what_follows_the_end_are_dropped() -> None:
    exif = Image.Exif()
    exif[0x010F] = "secret camera"
    data = jpeg(exif=exif, comment=b"secret comment", icc_profile=b"secret profile") + b"PK\x03\x04 secret archive"
    bare = bare_jpeg(data)
    assert bare is not None
    assert b"secret" not in bare
    assert bare.endswith(b"\xff\xd9")


def test_an_adobe_mark_for_ycbcr_is_dropped_and_one_for_rgb_is_not_plain() -> None:
    data = jpeg()
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
    assert bare_jpeg(data[:2] + adobe + b"\x01" + data[2:]) == bare_jpeg(data)
    assert bare_jpeg(data[:2] + adobe + b"\x00" + data[2:]) is None


@pytest.mark.parametrize(
    "data",
    [jpeg(progressive=True), jpeg(waves().convert("CMYK")), jpeg(keep_rgb=True), jpeg()[:-40], jpeg()[:300], b"", b"\xff\xd8"],
    ids=["progressive", "cmyk", "rgb", "cut in the scan", "cut in the tables", "nothing", "only a start"],
)  # fmt: skip
def test_what_is_not_plain_or_not_whole_is_none(data: bytes) -> None:
    assert bare_jpeg(data) is None


@given(st.integers(0, len(jpeg()) - 1), st.integers(0, 255), st.integers(0, len(jpeg())))
def test_damaged_bytes_give_bytes_or_none_and_nothing_else(place: int, value: int, end: int) -> None:
    data = bytearray(jpeg())
    data[place] = value
    bare = bare_jpeg(bytes(data[:end]))
    assert bare is None or bare.startswith(b"\xff\xd8\xff\xe0")


def test_a_stored_photo_is_the_plain_jpeg_itself() -> None:
    data = jpeg(quality=80)
    assert stored(data) == bare_jpeg(data)


def test_a_turned_photo_is_stored_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg(waves(44, 44), exif=exif)
    assert np.abs(pixels(stored(data)).astype(int) - pixels(data)).mean() < 6
    assert np.abs(pixels(stored(data)).astype(int) - np.asarray(waves(44, 44))).mean() > 20


def test_a_large_or_an_overlarge_photo_is_encoded_anew() -> None:
    assert Image.open(io.BytesIO(stored(jpeg(waves(2048, 8))))).size == (1024, 4)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8), "RGB")
    data = jpeg(noise, quality=100, subsampling="4:4:4")
    assert len(data) > KEPT_BYTES_A_PIXEL_MAX * 96 * 96
    assert len(stored(data)) < len(data) / 2


def scans_of(data: bytes) -> int:
    return next(limit for limit in range(1_000) if not has_more_scans(data, limit))


@pytest.mark.parametrize(("options", "scans"), [({}, 1), ({"restart_marker_rows": 1}, 1), ({"progressive": True}, 10)])
def test_scans_are_counted_up_to_the_end_of_the_picture(options: dict[str, object], scans: int) -> None:
    exif = Image.Exif()
    exif[0x010F] = SCAN_MARK.decode("latin-1") * 9
    data = jpeg(exif=exif, **options)
    assert scans_of(data) == scans
    assert scans_of(data + SCAN_MARK * 300 + data) == scans


def test_each_scan_of_a_bomb_is_counted() -> None:
    plain = jpeg()
    start = plain.index(SCAN_MARK)
    assert scans_of(plain[:start] + plain[start:-2] * 300 + plain[-2:]) == 300


@given(st.binary(max_size=200))
def test_scans_of_any_bytes_are_no_more_than_their_marks(noise: bytes) -> None:
    assert 0 <= scans_of(b"\xff\xd8" + noise) <= noise.count(SCAN_MARK)


@pytest.mark.parametrize("run", [b"\xff", b"\xff\x00", b"\xff\xd0", SCAN_MARK + b"\x00\x02"])
def test_no_bytes_take_long_to_walk(run: bytes) -> None:
    started = time.process_time()
    has_more_scans(b"\xff\xd8" + run * ((4 << 20) // len(run)), 100)
    assert time.process_time() - started < 2
