"""Vectors to measure indexes with: real photos' embeddings, multiplied by mixing and noise.

Each vector is a point between two embeddings of real photos with noise across all dimensions, so that neighbourhoods
overlap as they do in a large catalog. Without the photos, random directions stand in and the table says so.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.onnx import OnnxEncoder
from retrieval.photos.decoding import decode_photo
from retrieval.photos.preprocess import to_batch
from spark_jobs.models.export import export_bundle
from spark_jobs.models.open_clip import load_model

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ROOT.parent / "shared" / "data" / "clothing" / "images"
CACHE = ROOT / ".run" / "bench"
NOISE = 0.3
_BLOCK = 65_536


def real_embeddings() -> tuple[NDArray[np.float32], str]:
    """Unit rows (n, d) float32 of real photos, made once, and where they come from."""
    if not PHOTOS.is_dir():
        return _unit(np.random.default_rng(0).standard_normal((3_000, 256)).astype(np.float32)), "random directions"
    bundle = export_bundle(load_model(), CACHE / "model")
    cached = CACHE / f"embeddings-{bundle.fingerprint[:12]}.npy"
    if cached.exists():
        return np.load(cached), "real photos"
    print(f"embedding the photos of {PHOTOS.parent.name} once …", file=sys.stderr, flush=True)
    encoder = OnnxEncoder.load(CACHE / "model", threads=2)
    paths = photo_paths()
    batches = [paths[start : start + 32] for start in range(0, len(paths), 32)]
    rows = [
        encoder.encode_pixels(to_batch([decode_photo(path.read_bytes()) for path in batch], bundle.preprocessing))
        for batch in batches
    ]
    np.save(cached, np.concatenate(rows))
    return np.load(cached), "real photos"


def photo_paths() -> list[Path]:
    """The real photos, in the order of `real_embeddings`."""
    return sorted(PHOTOS.glob("*.jpg"))


def lift_to(dimension: int, own_dimension: int) -> NDArray[np.float32]:
    """Orthonormal rows (own_dimension, dimension): the same for all seeds, since queries must live where the rows live."""
    square = np.random.default_rng(42).standard_normal((dimension, dimension))
    return np.asarray(np.linalg.qr(square)[0][:own_dimension], dtype=np.float32)


def write_vectors(path: Path, embeddings: NDArray[np.float32], rows: int, dimension: int, seed: int) -> None:
    """Write unit rows (rows, dimension) as .npy, block by block: float32 whose values float16 holds exactly.

    So an index of float16 and one of float32 are measured against one truth.
    """
    rng = np.random.default_rng(seed)
    lift = lift_to(dimension, embeddings.shape[1])
    out = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dimension))
    for start in range(0, rows, _BLOCK):
        count = min(_BLOCK, rows - start)
        one, other = embeddings[rng.integers(0, len(embeddings), (2, count))]
        share = rng.uniform(0.5, 1.0, (count, 1)).astype(np.float32)
        out[start : start + count] = mix(rng, one, other, share, lift).astype(np.float16)
    out.flush()


def mix(
    rng: np.random.Generator,
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    share: NDArray[np.float32],
    lift: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Unit rows (n, D) float32 between rows of `one` and `other` (n, d), `share` (n, 1) of the first, with noise in all
    D dimensions of the `lift` (d, D)."""
    noise = rng.standard_normal((len(one), lift.shape[1])).astype(np.float32) * np.float32(
        NOISE / np.sqrt(lift.shape[1])
    )
    return _unit(_unit(share * one + (1 - share) * other) @ lift + noise)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
