"""Vectors to measure indexes with: real photos' embeddings, multiplied by mixing and noise.

Each vector is a point between two embeddings of real photos with noise across all dimensions, so that neighbourhoods
overlap as they do in a large catalog. Without the photos, random directions stand in and the table says so.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.onnx_encoder import OnnxEncoder
from retrieval.photos import decode_photo
from retrieval.preprocess import to_batch
from spark_jobs.export_model import export_bundle
from spark_jobs.open_clip_models import load_model

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ROOT.parent / "shared" / "data" / "clothing" / "images"
CACHE = ROOT / ".run" / "bench"
_NOISE = 0.3
_BLOCK = 65_536


def real_embeddings() -> tuple[NDArray[np.float32], str]:
    """Unit rows (n, d) float32 of real photos, made once, and where they come from."""
    cached = CACHE / "embeddings.npy"
    if cached.exists():
        return np.load(cached), "real photos"
    if not PHOTOS.is_dir():
        return _unit(np.random.default_rng(0).standard_normal((3_000, 256)).astype(np.float32)), "random directions"
    print(f"embedding the photos of {PHOTOS.parent.name} once …", file=sys.stderr, flush=True)
    bundle = export_bundle(load_model(), CACHE / "model")
    encoder = OnnxEncoder.load(CACHE / "model", threads=2)
    paths = sorted(PHOTOS.glob("*.jpg"))
    batches = [paths[start : start + 32] for start in range(0, len(paths), 32)]
    rows = [
        encoder.encode_pixels(to_batch([decode_photo(path.read_bytes()) for path in batch], bundle.preprocessing))
        for batch in batches
    ]
    np.save(cached, np.concatenate(rows))
    return np.load(cached), "real photos"


def write_vectors(path: Path, embeddings: NDArray[np.float32], rows: int, dimension: int, seed: int) -> None:
    """Write unit rows (rows, dimension) as .npy, block by block: float32 whose values float16 holds exactly.

    So an index of float16 and one of float32 are measured against one truth.
    """
    rng = np.random.default_rng(seed)
    # One lift for all seeds: queries must live where the rows live.
    lift = np.linalg.qr(np.random.default_rng(42).standard_normal((dimension, dimension)))[0][: embeddings.shape[1]]
    out = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dimension))
    for start in range(0, rows, _BLOCK):
        count = min(_BLOCK, rows - start)
        one, other = embeddings[rng.integers(0, len(embeddings), (2, count))]
        share = rng.uniform(0.5, 1.0, (count, 1)).astype(np.float32)
        noise = rng.standard_normal((count, dimension)).astype(np.float32) * np.float32(_NOISE / np.sqrt(dimension))
        mixed = _unit(share * one + (1 - share) * other) @ lift.astype(np.float32)
        out[start : start + count] = _unit(mixed + noise).astype(np.float16)
    out.flush()


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
