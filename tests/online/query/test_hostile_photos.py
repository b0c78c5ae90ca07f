"""Photos as strangers send them, through the whole of POST /search: the right answer, or a refusal that says why."""

import base64
import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from online.app import create_app
from online.config import SearcherConfig
from tests.online.tiny_shop import COLOURS, MeanColourEncoder, photo_of

ROOT = Path(__file__).resolve().parents[3]
MIB = 1 << 20
GREEN = COLOURS["green"]


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, file_format, **options)
    return sink.getvalue()


def plain(colour: tuple[int, ...] = GREEN, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (64, 48), colour)


def noise(side_px: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), np.uint8))


def two_halves() -> Image.Image:
    """Green above black, twice as wide as high."""
    image = Image.new("RGB", (128, 64), "black")
    image.paste(GREEN, (0, 0, 128, 32))
    return image


def turned(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, "JPEG", exif=exif, quality=95)


def grey_of_16_bits(value: int) -> bytes:
    return saved(Image.fromarray(np.full((48, 64), value, np.uint16)), "PNG")


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(16 * MIB))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def ask(client: FlaskClient, photo: bytes, **fields: object) -> TestResponse:
    return client.post("/search", data={"image": (io.BytesIO(photo), "photo"), "k": "1", **fields})


@pytest.mark.parametrize(
    ("photo", "product"),
    [
        pytest.param(lambda: saved(plain().convert("CMYK"), "JPEG", quality=95), "sock-green", id="CMYK"),
        pytest.param(lambda: grey_of_16_bits(65_000), None, id="16 bits, white"),
        pytest.param(lambda: grey_of_16_bits(4_000), "coat-black", id="16 bits, black"),
        pytest.param(lambda: saved(plain().convert("P"), "PNG"), "sock-green", id="palette"),
        pytest.param(
            lambda: saved(plain(), "WEBP", save_all=True, append_images=[plain((0, 0, 0))], lossless=True),
            "sock-green", id="animated WebP: its first frame",
        ),
        pytest.param(
            lambda: saved(plain(), "PNG", save_all=True, append_images=[plain((0, 0, 0))]),
            "sock-green", id="animated PNG: its first frame",
        ),
        pytest.param(lambda: saved(plain((*GREEN, 255), "RGBA"), "PNG"), "sock-green", id="opaque"),
        pytest.param(
            lambda: saved(plain(), "JPEG") + b"<script>alert(1)</script>PK\x03\x04", "sock-green", id="polyglot: its pixels",
        ),
        pytest.param(
            lambda: saved(plain(), "JPEG", quality=95) + b"\0\0\0\x18ftypmp42" + b"\xff\xda" * 200, "sock-green",
            id="motion photo: a film behind it",
        ),
    ],
)  # fmt: skip
def test_an_unusual_photo_is_searched_by_what_it_shows(
    client: FlaskClient, photo: Callable[[], bytes], product: str | None
) -> None:
    answer = ask(client, photo())
    assert answer.status_code == 200, answer.text
    assert product in (None, answer.get_json()["results"][0]["product_id"])


def test_what_is_transparent_is_white_and_not_the_colour_below(client: FlaskClient) -> None:
    hidden, white = saved(plain((*COLOURS["black"], 0), "RGBA"), "PNG"), photo_of((255, 255, 255))
    assert ask(client, hidden).get_json()["results"] == ask(client, white).get_json()["results"]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_box_is_cut_from_the_upright_photo(client: FlaskClient, orientation: int) -> None:
    back = {1: 0, 3: 180, 6: 90, 8: 270}[orientation]
    lying = two_halves().rotate(back, expand=True)
    answer = ask(client, turned(lying, orientation), bbox="0,0,128,30")
    assert answer.get_json()["results"][0]["product_id"] == "sock-green", answer.text
    assert ask(client, turned(lying, orientation), bbox="0,0,64,128").status_code == 422


@pytest.mark.parametrize("box", ["0,0,1e-320,1", "3,3,3.0001,3.0001", "63.9,47.9,64,48"])
def test_a_box_below_a_pixel_is_a_pixel(client: FlaskClient, box: str) -> None:
    answer = ask(client, saved(plain(), "JPEG", quality=95), bbox=box)
    assert answer.get_json()["results"][0]["product_id"] == "sock-green", answer.text


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (lambda: saved(noise(64), "PNG")[:6_000], "truncated"),
        (lambda: b"GIF89a" + bytes(100), "format_refused"),
        (lambda: saved(plain(), "BMP"), "format_refused"),
        (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "format_refused"),
        (lambda: b"%PDF-1.7" + bytes(100), "not_an_image"),
        (lambda: b"\xff\xd8\xff" + bytes(100), "truncated"),
        (lambda: saved(plain(), "PNG").replace(b"IDAT", b"IDAX", 1), "decode_failed"),
    ],
    ids=["truncated", "GIF", "BMP", "SVG", "PDF", "JPEG in name only", "damaged chunk"],
)
def test_a_photo_that_cannot_be_used_is_refused_with_its_reason(
    client: FlaskClient, photo: Callable[[], bytes], reason: str
) -> None:
    answer = ask(client, photo())
    assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/photo-rejected")
    assert answer.get_json()["reason"] == reason
    assert [error["field"] for error in answer.get_json()["errors"]] == ["image"]
    assert "send" in answer.get_json()["detail"]
    assert "Error" not in answer.text  # what to do, in a shopper's words, not a decoder's


def test_which_of_several_photos_was_refused_is_said(client: FlaskClient) -> None:
    good, bad = saved(plain(), "PNG"), b"GIF89a"
    files = [(io.BytesIO(photo), "photo") for photo in (good, bad)]
    encoded = [base64.b64encode(photo).decode() for photo in (good, bad)]
    for sent, field in (
        ({"data": {"image": files}}, "image.1"),
        ({"data": {"image": (io.BytesIO(good), "a"), "negative_image": (io.BytesIO(bad), "b")}}, "negative_image"),
        ({"json": {"image_base64": encoded}}, "image_base64.1"),
        ({"json": {"image_base64": encoded[:1], "negative_image_base64": encoded[1]}}, "negative_image_base64.0"),
    ):
        answer = client.post("/search", **sent)  # type: ignore[arg-type]
        assert answer.get_json()["type"] == "/problems/photo-rejected"
        assert [error["field"] for error in answer.get_json()["errors"]] == [field]


MEASURE = """
import resource, sys
from online.api.problems import ProblemRaised
from online.query.photos import read_photos
from schemas.bundle import Preprocessing
preprocessing = Preprocessing(224, (0.5,) * 3, (0.5,) * 3)
def peak_bytes(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
def mapped_bytes(): return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
photo = sys.stdin.buffer.read()
before = peak_bytes()
resource.setrlimit(resource.RLIMIT_AS, (mapped_bytes() + (200 << 20),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
try:
    read_photos((photo,), ("image",), sys.argv[1] if len(sys.argv) > 1 else None, preprocessing)
except ProblemRaised as problem:
    print(problem.reason, peak_bytes() - before)
"""


@pytest.mark.parametrize("box", [[], ["0,0,100,100"]], ids=["whole", "in a box"])
@pytest.mark.parametrize("side_px", [13_000, 50_000])
def test_a_png_of_50_000_by_50_000_pixels_is_refused_without_memory(side_px: int, box: list[str]) -> None:
    """And one of as many pixels as Pillow takes without a word."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *box], input=png_that_claims(side_px, side_px), cwd=ROOT, capture_output=True,
        check=True,
    )  # fmt: skip
    reason, grown_bytes = done.stdout.split()
    assert reason == b"too_many_pixels"
    assert int(grown_bytes) < 20 * MIB


def test_a_photo_in_a_form_may_be_as_long_as_the_body(config: SearcherConfig) -> None:
    app = create_app(replace(config, body_max_bytes=2 * MIB), lambda folder: MeanColourEncoder(), watch=False)
    app.extensions["searcher"].watcher.look()
    photo = base64.b64encode(saved(noise(480), "PNG")).decode()
    assert len(photo) > 500_000  # where Flask would stop of itself
    assert app.test_client().post("/search", data={"image_base64": photo}).status_code == 200
    app.extensions["searcher"].spool.close()


@pytest.mark.parametrize("number", [50, 5_000])
def test_a_form_of_countless_parts_is_a_problem(client: FlaskClient, number: int) -> None:
    answer = client.post("/search", data={f"field{each}": "x" for each in range(number)})
    assert answer.status_code in (413, 422)
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize("depth", [500, 90_000])
def test_json_of_any_depth_is_a_problem(client: FlaskClient, depth: int) -> None:
    filters = '{"attributes":' * depth + "1" + "}" * depth
    for body in (f'{{"text":"red","filters":{filters}}}', f'{{"text":{"[" * depth}{"]" * depth}}}'):
        answer = client.post("/search", data=body[:199_000], content_type="application/json")
        assert answer.status_code in (400, 422)
        assert answer.mimetype == "application/problem+json"
