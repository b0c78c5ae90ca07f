import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import image_transform
from PIL import Image

from retrieval.preprocess import to_batch, to_pixels
from schemas.bundle import Preprocessing

MEAN, STD = (0.48, 0.45, 0.40), (0.26, 0.26, 0.27)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize_mode", ["shortest", "squash"])
@settings(deadline=None)  # the first call imports torch
@given(width=st.integers(1, 400), height=st.integers(1, 400))
def test_pixels_equal_open_clips_own_transform(interpolation: str, resize_mode: str, width: int, height: int) -> None:
    if max(width, height) > 20 * min(width, height):
        return
    preprocessing = Preprocessing(32, MEAN, STD, interpolation, resize_mode)
    theirs = image_transform(32, False, mean=MEAN, std=STD, interpolation=interpolation, resize_mode=resize_mode)
    photo = noise(width, height)
    np.testing.assert_allclose(to_pixels(photo, preprocessing), theirs(photo).numpy(), atol=2e-6)


def test_a_batch_is_its_photos_in_order() -> None:
    preprocessing = Preprocessing(16, MEAN, STD)
    photos = [noise(20, 30), noise(40, 16)]
    batch = to_batch(photos, preprocessing)
    assert batch.shape == (2, 3, 16, 16)
    assert batch.dtype == np.float32
    for row, photo in zip(batch, photos, strict=True):
        np.testing.assert_array_equal(row, to_pixels(photo, preprocessing))
