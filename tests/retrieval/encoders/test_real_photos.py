"""The packaged model on real photos: every exact runtime gives torch's vectors.

The photos are those of the data set that the figures are measured on; where that is not there, drawn ones take their place.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from retrieval.encoders.bundles import read_bundle
from retrieval.encoders.contract import Pixels
from retrieval.encoders.runtimes import load_encoder
from retrieval.photos.preprocess import to_batch
from spark_jobs.models.export import export_bundle, read_photos
from spark_jobs.models.open_clip import load_model
from tests.packaged_model import packaged_bundle_folder

REAL_PHOTOS = Path(__file__).resolve().parents[4] / "shared" / "data" / "clothing" / "images"
PARITY = 0.999


@pytest.fixture(scope="module")
def folder() -> Path:
    return packaged_bundle_folder()


@pytest.fixture(scope="module")
def pixels(folder: Path) -> Pixels:
    photos = read_photos(REAL_PHOTOS, limit=48) if REAL_PHOTOS.exists() else [drawn_photo(seed) for seed in range(48)]
    return to_batch(photos, read_bundle(folder).preprocessing)


def drawn_photo(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (12, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((270, 360), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))


@pytest.mark.full
@pytest.mark.parametrize("runtime", ["onnx", "openvino", "auto"])
def test_the_image_tower_agrees_with_torch(folder: Path, pixels: Pixels, runtime: str) -> None:
    cosines = np.einsum(
        "nd,nd->n",
        load_encoder(folder, runtime).encode_pixels(pixels),
        load_encoder(folder, "torch").encode_pixels(pixels),
    )
    assert cosines.min() >= PARITY


@pytest.mark.full
def test_the_text_tower_agrees_with_torch(folder: Path) -> None:
    texts = ["red dress", "men's running shoes, size 42", "a warm winter coat with a hood", "шапка", ""]
    cosines = np.einsum(
        "nd,nd->n", load_encoder(folder, "onnx").encode_texts(texts), load_encoder(folder, "torch").encode_texts(texts)
    )
    assert cosines.min() >= PARITY


@pytest.mark.full
def test_a_second_export_has_the_same_id(folder: Path, tmp_path: Path) -> None:
    assert export_bundle(load_model(), tmp_path / "again").model_id == read_bundle(folder).model_id
