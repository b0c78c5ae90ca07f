"""One query at a time through each runtime: milliseconds for a photo and for words, and parity with torch on real photos.

    python -m bench.query_encoder [--model default --model ViT-B-16:random] [--json]

One thread each, in turns, as a searcher's worker encodes. Parity is the least cosine to torch in float32. Where a bundle
has no int8 tower because its export found it unfit, one is made for this table and marked so.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic

from bench.real_vectors import CACHE, PHOTOS
from bench.report import Figure, compare, print_figures
from retrieval.encoders.bundles import read_bundle
from retrieval.encoders.contract import Encoder, Vectors
from retrieval.encoders.onnx import OnnxEncoder
from retrieval.encoders.runtimes import EXACT, available_cpu_runtimes, load_encoder
from retrieval.photos.preprocess import to_batch
from schemas.bundle import IMAGE_TOWER_FILE, INT8_IMAGE_TOWER_FILE, TEXT_TOWER_FILE, Bundle
from spark_jobs.models.export import export_bundle, read_photos
from spark_jobs.models.open_clip import load_model

BENCH = "query_encoder"
TORCH, TORCH_BF16, UNFIT_INT8 = "torch-fp32", "torch-bf16", "onnx-int8 (made for this table)"
WORDS = ("red summer dress", "men's leather boots size 43", "warm jacket", "blue shirt with long sleeves")
_MEASURED = {"default": 64}
_SLOW_MODEL_PHOTOS = 32
_ROUNDS = 5
_TURNS_A_ROUND = 12

Encode = Callable[[Any], Vectors]


@contextmanager
def encoders_of(folder: Path, bundle: Bundle) -> Iterator[dict[str, Encoder]]:
    """Every runtime that this machine has, by name."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="shoplens-bench-") as scratch:
        found: dict[str, Encoder] = {
            TORCH: load_encoder(folder, "torch"),
            TORCH_BF16: _Bfloat16(load_encoder(folder, "torch")),
        }
        found |= {name: load_encoder(folder, name) for name in available_cpu_runtimes(bundle)}
        made = Path(scratch)
        for path in folder.iterdir():
            (made / path.name).symlink_to(path.absolute())
        if "onnx-int8" not in found:
            _quantise(folder / IMAGE_TOWER_FILE, made / INT8_IMAGE_TOWER_FILE)
        else:
            (made / INT8_IMAGE_TOWER_FILE).unlink()
            (made / INT8_IMAGE_TOWER_FILE).symlink_to((folder / INT8_IMAGE_TOWER_FILE).absolute())
        (made / TEXT_TOWER_FILE).unlink()
        _quantise(folder / TEXT_TOWER_FILE, made / TEXT_TOWER_FILE)
        yield found | {UNFIT_INT8: OnnxEncoder(bundle, made, 1, "int8")}


class _Bfloat16:
    """torch's own way to compute in bfloat16: the CPU's autocast."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.model_id, self.fingerprint, self.dimension = encoder.model_id, encoder.fingerprint, encoder.dimension
        self.runtime, self.batch_photos = f"{encoder.runtime}-bf16", encoder.batch_photos

    def encode_pixels(self, pixels: NDArray[np.float32]) -> Vectors:
        with torch.autocast("cpu", torch.bfloat16):
            return self._encoder.encode_pixels(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        with torch.autocast("cpu", torch.bfloat16):
            return self._encoder.encode_texts(texts)


def _quantise(source: Path, target: Path) -> None:
    """All that can be: convolutions too. The exporter's own notes on shapes are dropped, since the tool trips over them."""
    model = onnx.load(str(source))
    del model.graph.value_info[:]
    quantize_dynamic(model, str(target), weight_type=QuantType.QInt8)


def median_ms(encodes: dict[str, Encode], queries: Sequence[Any]) -> dict[str, float]:
    """The median of single queries; runtimes take turns, so that a busy neighbour slows all of them."""
    taken: dict[str, list[float]] = {name: [] for name in encodes}
    for turn in range(_ROUNDS * _TURNS_A_ROUND):
        query = queries[turn % len(queries)]
        for name, encode in encodes.items():
            if not turn % _TURNS_A_ROUND:
                encode(query)  # warm again after the others
            started = time.perf_counter()
            encode(query)
            taken[name].append(1e3 * (time.perf_counter() - started))
    return {name: statistics.median(each) for name, each in taken.items()}


def least_cosines(encodes: dict[str, Encode], queries: Sequence[Any]) -> dict[str, float]:
    """To torch in float32."""
    rows = {name: np.concatenate([encode(query) for query in queries]) for name, encode in encodes.items()}
    return {name: float(np.einsum("nd,nd->n", each, rows[TORCH]).min()) for name, each in rows.items()}


def figures_of(model: str, kind: str, encodes: dict[str, Encode], queries: Sequence[Any], chosen: str) -> list[Figure]:
    times, cosines = median_ms(encodes, queries), least_cosines(encodes, queries)
    figures = []
    for name in encodes:
        mark = " (chosen)" if name == chosen else ""
        figures += [
            compare(BENCH, f"{model}, one {kind}, {name}{mark}", times[name], "ms", TORCH, times[TORCH]),
            Figure(BENCH, f"{model}, {kind}, {name}: least of {len(queries)}", cosines[name], "cosine"),
        ]
    return figures


def measure(model: str, photos: Path) -> list[Figure]:
    name, _, pretrained = model.partition(":")
    folder = CACHE / "models" / model.replace(":", "-").lower()
    images = read_photos(photos, limit=_MEASURED.get(name, _SLOW_MODEL_PHOTOS))
    bundle = export_bundle(load_model(name, pretrained or None), folder, images)
    pixels = to_batch(images, read_bundle(folder).preprocessing)[:, np.newaxis]
    chosen = str(bundle.metrics.get("cpu_runtime", EXACT))
    with encoders_of(folder, bundle) as encoders:
        photo: dict[str, Encode] = {name: encoder.encode_pixels for name, encoder in encoders.items()}
        words: dict[str, Encode] = {
            name: encoder.encode_texts for name, encoder in encoders.items() if not name.startswith("openvino")
        }  # OpenVINO's encoder gives words to ONNX Runtime
        words.pop("onnx-int8", None)  # the bundle's int8 is of the image tower alone
        return [
            *figures_of(model, "photo", photo, list(pixels), chosen),
            *figures_of(model, "text", words, [[text] for text in WORDS], EXACT),
        ]


@click.command(help=__doc__)
@click.option("--photos", type=click.Path(path_type=Path, exists=True, file_okay=False), default=PHOTOS)
@click.option("--model", "models", multiple=True, help="open_clip NAME:WEIGHTS or default; repeatable")
@click.option("--json", "as_json", is_flag=True)
def main(photos: Path, models: tuple[str, ...], as_json: bool) -> None:
    print_figures(
        [figure for model in models or ("default", "ViT-B-16:random") for figure in measure(model, photos)], as_json
    )


if __name__ == "__main__":
    main()
