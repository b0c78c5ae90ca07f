"""A phone's photo of 12 megapixels, from its bytes to the encoder's input, and what scaled decoding changes.

    python -m bench.phone_photo [--photos 40] [--json]

Real photos are enlarged to 4032 × 3024, given a sensor's noise, and encoded as a phone does (quality 92, 4:2:0, half of
them lying on their side by EXIF). The embedding is compared with that of the same file decoded whole.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from bench.real_vectors import CACHE, PHOTOS, photo_paths
from bench.report import Figure, print_figures
from retrieval.encoders.bundles import read_bundle
from retrieval.encoders.contract import Pixels
from retrieval.encoders.onnx import OnnxEncoder
from retrieval.photos.decoding import QUERY_MARGIN, decode_photo
from retrieval.photos.preprocess import to_pixels
from spark_jobs.models.export import export_bundle
from spark_jobs.models.open_clip import load_model

BENCH = "phone_photo"
SIZE_PX = (4032, 3024)
QUALITY = 92
NOISE_LEVELS = 4.0
_ON_ITS_SIDE = 6
_ORIENTATION_TAG = 0x0112
_ROUNDS = 5


def phone_jpeg(photo: Path, rng: np.random.Generator, *, on_its_side: bool) -> bytes:
    """A photo as a phone would have taken it."""
    image = decode_photo(photo.read_bytes())
    if image.width < image.height:
        image = image.transpose(Image.Transpose.ROTATE_90)
    large = np.asarray(image.resize(SIZE_PX, Image.Resampling.LANCZOS), np.float32)
    noise = rng.standard_normal((SIZE_PX[1], SIZE_PX[0], 1), np.float32) * np.float32(NOISE_LEVELS)
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = _ON_ITS_SIDE if on_its_side else 1
    sink = io.BytesIO()
    taken = Image.fromarray(np.clip(large + noise, 0, 255).astype(np.uint8))
    taken.save(sink, "JPEG", quality=QUALITY, subsampling="4:2:0", exif=exif)
    return sink.getvalue()


def fastest_ms(work: Callable[[], Any]) -> float:
    """The best of a few rounds: neighbours come and go."""
    taken = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - started))
    return min(taken)


@click.command(help=__doc__)
@click.option("--photos", default=40, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(photos: int, as_json: bool) -> None:
    if not PHOTOS.is_dir():
        raise SystemExit(f"no photos in {PHOTOS}: this benchmark enlarges real ones")
    export_bundle(load_model(), CACHE / "model")
    preprocessing, encoder = read_bundle(CACHE / "model").preprocessing, OnnxEncoder.load(CACHE / "model")
    paths, rng = photo_paths(), np.random.default_rng(0)
    chosen = [paths[place] for place in np.sort(rng.choice(len(paths), photos, replace=False))]
    times, decode_times, cosines, sizes = [], [], [], []
    for number, path in enumerate(chosen):
        data = phone_jpeg(path, rng, on_its_side=bool(number % 2))
        sizes.append(len(data) / 1e6)

        def decode(data: bytes = data) -> Image.Image:
            return decode_photo(data, target_side_px=preprocessing.image_size, margin=QUERY_MARGIN)

        def prepare(data: bytes = data) -> Pixels:
            return to_pixels(decode(data), preprocessing)

        decode_times.append(fastest_ms(decode))
        times.append(fastest_ms(prepare))
        pair = np.stack([to_pixels(image, preprocessing) for image in (decode(), decode_photo(data))])
        scaled, whole = encoder.encode_pixels(pair)
        cosines.append(float(scaled @ whole))
    figures = [
        Figure(BENCH, f"size of the file, mean of {photos}", float(np.mean(sizes)), "MB"),
        Figure(BENCH, "decode, median", float(np.median(decode_times)), "ms"),
        Figure(BENCH, "decode and preprocess, median", float(np.median(times)), "ms"),
        Figure(BENCH, "decode and preprocess, slowest photo", max(times), "ms"),
        Figure(BENCH, "cosine to a full decode, least", min(cosines), ""),
        Figure(BENCH, "cosine to a full decode, mean", float(np.mean(cosines)), ""),
    ]
    print_figures(figures, as_json)


if __name__ == "__main__":
    main()
