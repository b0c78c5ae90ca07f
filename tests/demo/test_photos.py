"""Photos are the same bytes for the same seed, decode, and show what they claim."""

import hashlib
import io
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from PIL import Image

from demo.faults import PHOTO_FAULT_SHARE, PHOTO_FAULTS, photo_fault
from demo.files import parse_photo_path, photo_bytes, photo_path
from demo.palette import palette_of
from demo.photos import draw_photo
from demo.products import draw_product
from demo.queries import TEXT_QUERIES, held_out_query, text_query
from demo.raster import rasterise
from demo.silhouettes import SILHOUETTES
from demo.streams import stream
from demo.views import draw_view


def decoded(photo):
    with Image.open(io.BytesIO(photo)) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.float32)


def fingerprint(number):
    return hashlib.sha256(draw_photo(7, number, number % 3)).hexdigest()


def test_a_photo_is_the_same_bytes_twice_and_in_another_process():
    numbers = (0, 7, 19)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        elsewhere = list(pool.map(fingerprint, reversed(numbers)))
    assert [fingerprint(number) for number in numbers] == elsewhere[::-1]


@pytest.mark.parametrize("view", [0, 1, 2, 11, 100])
def test_every_view_decodes_at_full_size_and_shows_something(view):
    for number in range(0, 60, 12):
        pixels = decoded(draw_photo(7, number, view))
        assert pixels.shape == (480, 400, 3)
        assert pixels.std() > 12


def test_views_of_a_product_differ():
    first, second, third = (decoded(draw_photo(7, 3, view)) for view in range(3))
    assert np.abs(first - second).mean() > 5
    assert np.abs(second - third).mean() > 5


def test_a_plain_red_product_is_red_and_a_blue_one_blue():
    chosen: dict[str, int] = {}
    for number in range(400):
        product = draw_product(7, number)
        if product.pattern == "plain" and product.category in ("t-shirt", "trousers", "dress", "skirt"):
            chosen.setdefault(product.colour, number)
    red = decoded(draw_photo(7, chosen["red"], 0))[220:260, 180:220].mean(axis=(0, 1))
    blue = decoded(draw_photo(7, chosen["blue"], 0))[220:260, 180:220].mean(axis=(0, 1))
    assert red[0] > red[2] + 40
    assert blue[2] > blue[0] + 40


def covered(category, fit, seed):
    """Return the category's outline on a grid of 24 × 20 cells, as shares covered."""
    sketch = SILHOUETTES[category](stream(seed, "cut", 1), fit)
    view = draw_view(0, stream(1, "view", 1))
    layers = rasterise(sketch, view, palette_of("red", stream(1, "dye", 1)), 480, 400)
    frame = np.zeros((480, 400), np.float32)
    height, width = layers.cover.shape
    frame[layers.top : layers.top + height, layers.left : layers.left + width] = layers.cover
    return frame.reshape(24, 20, 20, 20).mean(axis=(1, 3))


def test_silhouettes_differ_between_categories():
    fits = {"dress": "sleeveless", "boot": "mid", "bag": "handbag", "hat": "brimmed", "sneaker": "low"}
    grids = {category: covered(category, fits.get(category, "regular"), 5) for category in SILHOUETTES}
    names = list(grids)
    for place, one in enumerate(names):
        for other in names[:place]:
            assert np.abs(grids[one] - grids[other]).sum() > 14, (one, other)


def test_about_three_percent_of_photos_have_a_fault_of_every_kind():
    kinds = [photo_fault(7, number, view) for number in range(4000) for view in range(2)]
    share = sum(kind is not None for kind in kinds) / len(kinds)
    assert abs(share - PHOTO_FAULT_SHARE) < 0.006
    assert set(kinds) - {None} == set(PHOTO_FAULTS)


def test_faulty_files_are_what_their_kind_says():
    good = draw_photo(7, 12, 0)
    assert photo_bytes(7, 12, 0, None) == good
    assert photo_bytes(7, 12, 0, "placeholder") == photo_bytes(7, 99, 1, "placeholder")
    assert photo_bytes(7, 12, 0, "html").startswith(b"<!DOCTYPE html>")
    assert decoded(photo_bytes(7, 12, 0, "tiny")).shape == (24, 20, 3)
    assert decoded(photo_bytes(7, 12, 0, "blank")).std() < 1
    cut = photo_bytes(7, 12, 0, "truncated_file")
    assert good.startswith(cut)
    with pytest.raises(OSError, match="truncated"):
        decoded(cut)
    earlier = {hashlib.sha256(draw_photo(7, number, 0)).digest() for number in range(12)}
    assert hashlib.sha256(photo_bytes(7, 12, 0, "duplicate")).digest() in earlier


def test_photo_paths_are_read_back():
    assert parse_photo_path(photo_path(12345, 1)) == (12345, 1, False)
    assert parse_photo_path(photo_path(3, 0, "-moved")) == (3, 0, True)
    assert parse_photo_path("photos/001/P000003-0.jpg") is None
    assert parse_photo_path("../etc/passwd") is None


def test_a_held_out_photo_is_in_no_catalog():
    query = held_out_query(7, 5)
    product = draw_product(7, 5)
    assert (query.product_id, query.group_id, query.category) == (
        product.product_id,
        product.group_id,
        product.category,
    )
    assert query.photo not in {draw_photo(7, 5, view) for view in (*product.views, 11)}
    assert query == held_out_query(7, 5)


def test_text_queries_know_what_they_ask_for():
    assert text_query("red striped dress")[1:] == ("dress", "red", "striped")
    assert len(TEXT_QUERIES) >= 50
    products = [draw_product(7, number) for number in range(1200)]
    answered = [query for query in TEXT_QUERIES if any(query.fits(product) for product in products)]
    assert len(answered) >= 48
    with pytest.raises(ValueError, match="umbrella"):
        text_query("red umbrella")
