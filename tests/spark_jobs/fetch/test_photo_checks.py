import hashlib
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from retrieval.photos.decoding import PhotoLimits, keep_photo
from schemas.reasons import PhotoReason
from spark_jobs.fetch.measures import hamming_distance, measure
from spark_jobs.fetch.photo_checks import ACCEPTED, REJECTED, PhotoRules, check_photo
from tests.spark_jobs.fetch.photos import encoded, photo, soft_picture

RULES = PhotoRules()
ORIENTATION = 0x0112


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_good_photo_is_stored_once_re_encoded(kind: str) -> None:
    data = photo(kind=kind)
    checked = check_photo(data, RULES)
    assert (checked.verdict, checked.reason, checked.source_format) == (ACCEPTED, None, kind)
    assert checked.content_sha256 == hashlib.sha256(data).hexdigest()
    assert checked.stored is not None
    assert opened(checked.stored).size == (checked.width, checked.height) == (96, 128)


def test_orientation_is_applied_and_metadata_dropped() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010F] = "secret maker"
    checked = check_photo(photo(exif=exif), RULES)
    assert (checked.width, checked.height) == (128, 96)
    assert checked.stored is not None
    assert b"secret" not in checked.stored
    assert not Image.open(io.BytesIO(checked.stored)).getexif()


def test_a_large_photo_is_stored_within_the_cap_and_its_size_noted_so() -> None:
    checked = check_photo(photo(width=1500, height=3000), RULES)
    assert checked.stored is not None
    assert opened(checked.stored).size == (checked.width, checked.height) == (512, 1024)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html>not found</html>", PhotoReason.NOT_AN_IMAGE),
        (photo(kind="GIF"), PhotoReason.FORMAT_REFUSED),
        (photo()[:-300], PhotoReason.TRUNCATED),
        (photo(width=60), PhotoReason.TOO_SMALL),
        (photo(width=80, height=401), PhotoReason.EXTREME_ASPECT),
        (encoded(Image.new("RGB", (100, 100), "white")), PhotoReason.BLANK),
        (photo(width=300, height=300, kind="PNG")[:40] + b"\0" * 400, PhotoReason.TRUNCATED),
    ],
)
def test_a_photo_that_cannot_be_used_says_why(data: bytes, reason: PhotoReason) -> None:
    checked = check_photo(data, RULES)
    assert (checked.verdict, checked.reason, checked.stored) == (REJECTED, reason, None)


def test_a_bomb_is_refused_by_its_header() -> None:
    rules = PhotoRules(limits=PhotoLimits(max_pixels=10_000))
    assert check_photo(photo(width=200, height=200), rules).reason == PhotoReason.TOO_MANY_PIXELS


def test_nearly_blank_is_blank_and_a_plain_product_on_white_is_not() -> None:
    picture = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(picture).text((5, 5), "x", fill="black")
    assert check_photo(encoded(picture), RULES).reason == PhotoReason.BLANK
    ImageDraw.Draw(picture).rectangle((60, 60, 140, 140), fill=(225, 225, 225))
    assert check_photo(encoded(picture), RULES).verdict == ACCEPTED


def test_a_blurred_photo_is_refused_at_any_size() -> None:
    for side in (200, 800):
        sharp = opened(photo(3, side, side, "PNG"))
        assert check_photo(encoded(sharp), RULES).verdict == ACCEPTED
        blurred = sharp.filter(ImageFilter.GaussianBlur(side / 25))
        assert check_photo(encoded(blurred), RULES).reason == PhotoReason.BLURRED


def test_a_picture_keeps_its_hash_when_it_is_resized_or_compressed_and_another_has_a_far_one() -> None:
    original = soft_picture(1)
    copies = [original.resize((150, 150)), opened(encoded(original, quality=40)), original.point(lambda v: v * 0.9)]
    first = measure(original).phash
    assert all(hamming_distance(first, measure(copy).phash) <= 4 for copy in copies)
    others = [measure(soft_picture(seed)).phash for seed in range(2, 12)]
    assert min(hamming_distance(first, other) for other in others) > 12


@pytest.mark.parametrize("data", [photo(), photo(kind="PNG"), photo(width=1500, height=3000)])
def test_what_is_noted_of_a_photo_does_not_depend_on_whether_its_pixels_are_looked_at(data: bytes) -> None:
    with_pixels, without = check_photo(data, RULES), check_photo(data, RULES, with_pixels=False)
    assert with_pixels.pixels is not None
    assert with_pixels.pixels.mode == "RGB"
    assert without.pixels is None
    with_pixels.pixels = None
    assert with_pixels == without


def test_a_photo_that_is_decoded_without_its_colours_measures_as_it_does_with_them() -> None:
    for seed in range(20):
        data = encoded(soft_picture(seed))
        noted, whole = check_photo(data, RULES, with_pixels=False), measure(opened(data))
        assert keep_photo(data) == noted.stored
        assert noted.phash is not None
        assert noted.sharpness == pytest.approx(whole.sharpness, rel=0.02)
        assert hamming_distance(noted.phash, whole.phash) <= 2


def test_a_hash_is_a_signed_number_of_64_bits_that_any_table_holds() -> None:
    hashes = [measure(opened(photo(seed))).phash for seed in range(40)]
    assert all(-(2**63) <= value < 2**63 for value in hashes)
    assert min(hashes) < 0 < max(hashes)
    assert hamming_distance(-1, 0) == 64


def test_noise_of_any_kind_is_a_row_and_never_an_error() -> None:
    noise = np.random.default_rng(0)
    good = {"JPEG": photo(), "PNG": photo(kind="PNG"), "WEBP": photo(kind="WEBP")}
    for data in good.values():
        for _ in range(60):
            damaged = bytearray(data)
            for place in noise.integers(0, len(data), 12):
                damaged[place] = noise.integers(0, 256)
            checked = check_photo(bytes(damaged), RULES)
            assert (checked.verdict == ACCEPTED) == (checked.reason is None)
