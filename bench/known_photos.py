"""The searcher with an encoder that takes no time, to measure all the rest: the WSGI app `bench.known_photos:app`.

Each worker encodes the photos of SHOPLENS_BENCH_PHOTOS (a file of paths) before it serves, and answers them from memory
by their pixels. Any other photo goes through the real encoder. Runs in the online environment.
"""

import hashlib
import importlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from retrieval.encoders.bundles import read_bundle
from retrieval.encoders.contract import Encoder, Pixels, Vectors
from retrieval.encoders.onnx import OnnxEncoder
from retrieval.photos.decoding import decode_photo
from retrieval.photos.preprocess import to_batch

PHOTOS = "SHOPLENS_BENCH_PHOTOS"
_STRIDE = 7


class KnownPhotos:
    """An encoder with answers ready for some photos."""

    def __init__(self, encoder: Encoder, known: Iterable[Pixels]) -> None:
        self._encoder = encoder
        self._known = {_mark(pixels): encoder.encode_pixels(pixels[np.newaxis]) for pixels in known}
        self.model_id, self.fingerprint, self.dimension = encoder.model_id, encoder.fingerprint, encoder.dimension
        self.runtime, self.batch_photos = encoder.runtime, encoder.batch_photos

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        """As the real encoder gave it for one known photo."""
        known = self._known.get(_mark(pixels[0])) if len(pixels) == 1 else None
        return self._encoder.encode_pixels(pixels) if known is None else known

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        return self._encoder.encode_texts(texts)


def _mark(pixels: Pixels) -> bytes:
    return hashlib.blake2b(pixels[:, ::_STRIDE, ::_STRIDE].tobytes(), digest_size=16).digest()


def _load(folder: Path) -> KnownPhotos:
    preprocessing = read_bundle(folder).preprocessing
    paths = Path(os.environ[PHOTOS]).read_text(encoding="utf-8").splitlines()
    photos = (decode_photo(Path(path).read_bytes(), target_side_px=preprocessing.image_size) for path in paths)
    return KnownPhotos(OnnxEncoder.load(folder), (to_batch([photo], preprocessing)[0] for photo in photos))


if PHOTOS in os.environ:
    # By name: types of the bench are checked in the pipeline environment, which has no Flask.
    importlib.import_module("online.telemetry.logs").configure_logging()
    _config = importlib.import_module("online.config").SearcherConfig.from_env(os.environ)
    app = importlib.import_module("online.app").create_app(_config, _load)
