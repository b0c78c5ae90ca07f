"""Several looks at each photo, as the input of the first trained block: made once, read in every epoch."""

import random
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from retrieval.encoders.contract import Pixels
from retrieval.photos.preprocess import to_pixels
from schemas.bundle import Preprocessing
from spark_jobs.evaluation.labelled_catalog import LabelledPhoto, photo_batches
from spark_jobs.head_training.tail import Stem

_PHOTOS_A_BATCH = 8
_LEAST_AREA = 0.45
_TILT_DEGREES = 15.0
_JITTER = 0.3


@dataclass(frozen=True)
class Views:
    """`grids` (n, v, c, s, s) float16, the first view of each photo plain; `photos` are those that could be read."""

    photos: list[LabelledPhoto]
    grids: NDArray[np.float16]
    rejected: dict[str, int]


def make_views(
    photos: Sequence[LabelledPhoto],
    trunk: Any,
    start: tuple[int, int],
    preprocessing: Preprocessing,
    views: int,
    file: Path,
    threads: int,
    seed: int,
    advance: Callable[[int], None],
) -> Views:
    """Run the frozen part over `views` looks at each photo (the plain one and augmented ones) into `file`."""
    stem = _compiled(Stem(trunk, *start).eval(), preprocessing.image_size, threads)
    side, channels = grid_shape(trunk, start, preprocessing.image_size)
    grids = open_memmap(file, "w+", np.float16, (len(photos), views, channels, side, side))

    def looks(image: Image.Image) -> Pixels:
        # Seeded by the photo itself: photos are read by several threads, in no order.
        own = random.Random(seed ^ zlib.crc32(image.tobytes()))
        made = [image, *[augment(image, preprocessing.image_size, own) for _ in range(views - 1)]]
        return np.stack([to_pixels(look, preprocessing) for look in made])

    rejected: Counter[str] = Counter()
    kept: list[int] = []
    for rows, batch in photo_batches(photos, _PHOTOS_A_BATCH, looks, rejected):
        if batch:
            answers = stem(np.concatenate(batch))[0]
            grids[len(kept) : len(kept) + len(rows)] = answers.reshape(len(rows), views, channels, side, side)
        kept += rows
        advance(_PHOTOS_A_BATCH)
    return Views([photos[row] for row in kept], grids[: len(kept)], dict(rejected))


def grid_shape(trunk: Any, start: tuple[int, int], image_size: int) -> tuple[int, int]:
    """(side, channels) of the first trained block's input."""
    with torch.no_grad():
        grid = Stem(trunk, *start).eval()(torch.zeros(1, 3, image_size, image_size))
    return int(grid.shape[-1]), int(grid.shape[1])


def augment(image: Image.Image, side: int, rng: random.Random) -> Image.Image:
    """A square of `side` pixels as another camera might have taken it: cropped, mirrored, tilted, lit otherwise."""
    look = _crop(image, side, rng)
    if rng.random() < 0.5:
        look = look.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.5:
        border = tuple(int(value) for value in np.asarray(look).reshape(-1, 3).mean(axis=0))
        look = look.rotate(rng.uniform(-_TILT_DEGREES, _TILT_DEGREES), Image.Resampling.BILINEAR, fillcolor=border)
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        look = enhancer(look).enhance(rng.uniform(1 - _JITTER, 1 + _JITTER))
    if rng.random() < 0.25:
        look = _erase(look, rng)
    return look


def _crop(image: Image.Image, side: int, rng: random.Random) -> Image.Image:
    """A random part of at least _LEAST_AREA, its aspect between 3:4 and 4:3, resized to a square."""
    width, height = image.size
    for _ in range(10):
        area, aspect = width * height * rng.uniform(_LEAST_AREA, 1), rng.uniform(0.75, 1.333)
        across, down = (area * aspect) ** 0.5, (area / aspect) ** 0.5
        if across <= width and down <= height:
            break
    else:
        across = down = float(min(width, height))
    left, top = rng.uniform(0, width - across), rng.uniform(0, height - down)
    return image.resize((side, side), Image.Resampling.BICUBIC, box=(left, top, left + across, top + down))


def _erase(look: Image.Image, rng: random.Random) -> Image.Image:
    """A grey square over part of it: no single detail may decide."""
    pixels = np.array(look)
    size = int(len(pixels) * rng.uniform(0.13, 0.4))
    top, left = (int(rng.uniform(0, len(pixels) - size)) for _ in range(2))
    pixels[top : top + size, left : left + size] = 127
    return Image.fromarray(pixels)


def _compiled(stem: Stem, image_size: int, threads: int) -> Any:
    """The frozen part on OpenVINO: on a CPU several times as fast as torch."""
    model = openvino.convert_model(stem, example_input=torch.zeros(1, 3, image_size, image_size))
    model.reshape([-1, 3, image_size, image_size])
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(model, "CPU", options)
