"""Which CPU runtime embeds with a model: the fastest of those that hold their parity on real photos, as measured."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from retrieval.encoders.contract import Encoder, Pixels, Vectors
from retrieval.encoders.runtimes import EXACT, available_cpu_runtimes, load_encoder
from schemas.bundle import IMAGE_TOWER_FILE, Bundle

PARITY = 0.999
"""Least cosine of any photo to the exact runtime: builds mix runtimes (decision 1)."""
_GAIN = 1.1
"""What is not a tenth faster than the exact runtime is not worth its rounding."""
_ROUNDS, _ROUND_SECONDS = 3, 0.3
_MATRIX_NODES = 8
_BATCHES = (1, 2, 4, 8)


def write_int8_tower(folder: Path, file_name: str) -> bool:
    """Quantise the image tower's matrix products to int8, activations as they come; False where it has hardly any.

    Towers made of convolutions lose too much (EfficientNet-Lite0: cosine 0.98), so they are not tried.
    """
    graph = onnx.load(str(folder / IMAGE_TOWER_FILE), load_external_data=False).graph
    if sum(node.op_type in ("MatMul", "Gemm") for node in graph.node) < _MATRIX_NODES:
        return False
    logging.getLogger().setLevel(max(logging.ERROR, logging.getLogger().level))  # it advises on the root logger
    quantize_dynamic(
        str(folder / IMAGE_TOWER_FILE), str(folder / file_name), weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"]
    )  # fmt: skip
    return True


def measure_runtimes(folder: Path, bundle: Bundle, pixels: Pixels) -> dict[str, Any]:
    """Parity and speed of each CPU runtime on real photos (n, 3, S, S), one thread each, in turns.

    Returns `cpu_runtime` (the choice), `photos`, and for each runtime `cosine_min`, `cosine_mean`,
    `photos_per_second` and the `batch_photos` that gave it.
    """
    encoders = {name: load_encoder(folder, name, threads=1, words=False) for name in available_cpu_runtimes(bundle)}
    rows = {name: _encode_all(encoder, pixels) for name, encoder in encoders.items()}
    speeds = _speeds(encoders, pixels)
    figures: dict[str, dict[str, float]] = {}
    for name in encoders:
        cosines = np.einsum("nd,nd->n", rows[name], rows[EXACT])
        batch = max(_BATCHES, key=lambda size: speeds[name, size])
        figures[name] = {
            "cosine_min": round(float(cosines.min()), 6),
            "cosine_mean": round(float(cosines.mean()), 6),
            "photos_per_second": round(speeds[name, batch], 2),
            "batch_photos": batch,
        }
    return {"cpu_runtime": choose(figures), "photos": len(pixels), "runtimes": figures}


def choose(figures: dict[str, dict[str, float]]) -> str:
    """The fastest runtime with parity that gains enough over the exact one, else the exact one."""
    floor = _GAIN * figures[EXACT]["photos_per_second"]
    able = [
        name for name, found in figures.items() if found["cosine_min"] >= PARITY and found["photos_per_second"] >= floor
    ]
    return max(able, key=lambda name: figures[name]["photos_per_second"], default=EXACT)


def _encode_all(encoder: Encoder, pixels: Pixels) -> Vectors:
    size = encoder.batch_photos
    return np.concatenate([encoder.encode_pixels(pixels[at : at + size]) for at in range(0, len(pixels), size)])


def _speeds(encoders: dict[str, Encoder], pixels: Pixels) -> dict[tuple[str, int], float]:
    """Photos a second by runtime and batch: the best of rounds taken in turns, since neighbours come and go."""
    found = {(name, size): 0.0 for name in encoders for size in _BATCHES}
    for _ in range(_ROUNDS):
        for name, size in found:
            found[name, size] = max(found[name, size], _speed(encoders[name], pixels[:size]))
    return found


def _speed(encoder: Encoder, batch: Pixels) -> float:
    photos, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < _ROUND_SECONDS:
        encoder.encode_pixels(batch)
        photos += len(batch)
    return photos / seconds
