"""What stands at each photo's path: the path's name, and the bytes of the file behind it, faults included."""

from __future__ import annotations

import datetime
import io
import re
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from demo.faults import duplicated_number
from demo.photos import HEIGHT_PX, WIDTH_PX, draw_photo, encode_jpeg
from demo.products import FIRST_DAY
from demo.streams import stream

PHOTO_FOLDER = "photos"
MOVED_SUFFIX = "-moved"
_PATH = re.compile(r"photos/(\d+)/P(\d+)-(\d+)(-moved)?\.jpg")


def photo_path(number: int, view: int, suffix: str = "") -> str:
    """Return the path of a photo, relative to the catalog's folder; a thousand products share a folder."""
    return f"{PHOTO_FOLDER}/{number // 1000:03d}/P{number:06d}-{view}{suffix}.jpg"


def parse_photo_path(path: str) -> tuple[int, int, bool] | None:
    """Return (product number, view, whether it is the new place of a moved photo), or None for another path."""
    match = _PATH.fullmatch(path)
    if match is None or int(match[1]) != int(match[2]) // 1000:
        return None
    return int(match[2]), int(match[3]), match[4] is not None


def photo_bytes(seed: int, number: int, view: int, fault: str | None) -> bytes:
    """Return the file of a photo with its fault, if any, applied."""
    if fault == "placeholder":
        return placeholder_jpeg()
    if fault == "html":
        return not_found_page()
    if fault == "duplicate" and number > 0:
        return draw_photo(seed, duplicated_number(seed, number), 0)
    if fault == "blank":
        return blank_jpeg(seed, number, view)
    if fault == "tiny":
        return tiny_jpeg(draw_photo(seed, number, view))
    photo = draw_photo(seed, number, view)
    if fault == "truncated_file":
        kept = stream(seed, "cut short", number, view).uniform(0.3, 0.8)
        return photo[: int(len(photo) * kept)]
    return photo


def modified_at(number: int, view: int) -> datetime.datetime:
    """Return when a photo's file was last changed, the same in every run."""
    hours = (number * 7 + view * 13) % (24 * 180)
    start = datetime.datetime.combine(FIRST_DAY, datetime.time(), datetime.UTC)
    return start - datetime.timedelta(hours=hours)


@lru_cache(maxsize=1)
def placeholder_jpeg() -> bytes:
    """Return the shop's one "no image" picture."""
    picture = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), (236, 236, 238))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((120, 160, 280, 280), 14, outline=(176, 178, 184), width=8)
    draw.ellipse((160, 185, 190, 215), fill=(176, 178, 184))
    draw.polygon([(130, 270), (190, 215), (220, 245), (240, 225), (272, 270)], fill=(176, 178, 184))
    draw.text((WIDTH_PX / 2, 320), "NO IMAGE", fill=(150, 152, 158), anchor="mm", font_size=30)
    return encode_jpeg(np.asarray(picture))


def not_found_page() -> bytes:
    """Return the page that some shops serve, as image/jpeg, where a photo is missing."""
    return (
        b"<!DOCTYPE html>\n<html><head><title>Not found</title></head>"
        b"<body><h1>Sorry, this page does not exist</h1><p>Back to the shop</p></body></html>\n"
    )


def blank_jpeg(seed: int, number: int, view: int) -> bytes:
    """Return an evenly coloured photo."""
    level = int(stream(seed, "blank", number, view).integers(235, 256))
    return encode_jpeg(np.full((HEIGHT_PX, WIDTH_PX, 3), level, np.uint8))


def tiny_jpeg(photo: bytes) -> bytes:
    """Return a photo shrunk to a stamp of 20 by 24 pixels."""
    with Image.open(io.BytesIO(photo)) as picture:
        return encode_jpeg(np.asarray(picture.resize((20, 24))))
