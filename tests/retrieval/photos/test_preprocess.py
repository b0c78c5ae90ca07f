import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import image_transform
from PIL import Image

from retrieval.photos.preprocess import WHOLE_ASPECT_MAX, to_batch, to_pixels
from schemas.bundle import Preprocessing

MEAN, STD = (0.48, 0.45, 0.40), (0.26, 0.26, 0.27)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize_mode", ["shortest", "squash"])
@settings(deadline=None)  # the first call imports torch
@given(width=st.integers(1, 400), height=st.integers(1, 400))
def test_pixels_equal_open_clips_own_transform(interpolation: str, resize_mode: str, width: int, height: int) -> None:
    if max(width, height) > WHOLE_ASPECT_MAX * min(width, height):
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


@pytest.mark.parametrize("size", [(4000, 1), (1, 4000), (4001, 2), (3, 65_000)])
def test_a_strip_never_grows_beyond_its_middle(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    resize = Image.Image.resize

    def watched(image: Image.Image, size: tuple[int, int], *more: object) -> Image.Image:
        asked.append(size[0] * size[1])
        return resize(image, size, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", watched)
    assert to_pixels(Image.new("RGB", size), Preprocessing(32, MEAN, STD)).shape == (3, 32, 32)
    assert max(asked) <= (WHOLE_ASPECT_MAX + 1) * 32 * 32


@pytest.mark.parametrize("size", [(641, 30), (31, 702), (90, 4), (5, 2001), (4, 150), (3001, 13)])
def test_the_middle_of_a_strip_is_what_open_clip_takes_of_it(size: tuple[int, int]) -> None:
    """Within half a pixel of the square, which rounding may move: a few grey levels on these slopes."""
    theirs = image_transform(32, False, mean=MEAN, std=STD)
    across, down = np.indices(size)
    slopes = [128 * (1 + np.sin((across + down) * slope / min(size))) for slope in (1, 0.5, 0.7)]
    photo = Image.fromarray(np.stack(slopes, axis=2).clip(0, 255).astype(np.uint8).transpose(1, 0, 2).copy())
    assert photo.size == size
    np.testing.assert_allclose(to_pixels(photo, Preprocessing(32, MEAN, STD)), theirs(photo).numpy(), atol=0.1)
