"""The image tower on OpenVINO, where it is faster than ONNX Runtime; words go through ONNX Runtime all the same."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino

from retrieval.encoders.bundles import read_bundle
from retrieval.encoders.contract import Pixels, Vectors, measured_batch, refuse_other_shapes, unit_rows
from retrieval.encoders.onnx import OnnxEncoder
from schemas.bundle import IMAGE_TOWER_FILE, Bundle
from schemas.errors import Corrupt, ModelUnavailable

_RELEASE = ".".join(openvino.__version__.split("-")[0].split(".")[:2])
_UNMEASURED_BATCH = 4
_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoEncoder:
    """One bundle on the CPU, for one thread at a time: an OpenVINO request holds its own buffers."""

    def __init__(self, bundle: Bundle, folder: Path, threads: int, precision: str) -> None:
        self._bundle, self._folder, self._threads = bundle, folder, threads
        self.model_id, self.fingerprint, self.dimension = bundle.model_id, bundle.fingerprint, bundle.dimension
        self.runtime = f"openvino-{_RELEASE}-{precision}"
        self.batch_photos = measured_batch(bundle, f"openvino-{precision}", _UNMEASURED_BATCH)
        self._image_tower = _compile(folder / IMAGE_TOWER_FILE, threads, _HINTS[precision])
        self._words: OnnxEncoder | None = None

    @classmethod
    def load(cls, folder: Path, threads: int = 1, precision: str = "fp32") -> "OpenVinoEncoder":
        """From a bundle folder. `precision`: fp32, or bf16 on CPUs that have it. Raises ModelUnavailable."""
        if precision not in supported_precisions():
            raise ModelUnavailable(f"this CPU has no {precision}: choose --runtime onnx")
        return cls(read_bundle(folder), folder, threads, precision)

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        """Photos (n, 3, S, S) float32 to unit rows (n, d) float32."""
        refuse_other_shapes(pixels, self._bundle.preprocessing.image_size)
        if len(pixels) == 0:
            return np.empty((0, self.dimension), dtype=np.float32)
        return unit_rows(self._image_tower(pixels)[0])

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Texts to unit rows (n, d) float32, by ONNX Runtime in fp32. Raises ModelUnavailable without a text tower."""
        if self._words is None:
            self._words = OnnxEncoder.load(self._folder, self._threads)
        return self._words.encode_texts(texts)


def supported_precisions() -> tuple[str, ...]:
    """fp32, and bf16 where the CPU computes in it."""
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("fp32", "bf16") if "BF16" in capabilities else ("fp32",)


def _compile(path: Path, threads: int, hint: str) -> openvino.CompiledModel:
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # Every worker would pin itself to the same first core.
        "ENABLE_CPU_PINNING": False,
    }
    try:
        core = openvino.Core()
        return core.compile_model(core.read_model(str(path)), "CPU", settings)
    except Exception as error:
        raise Corrupt(str(path), "an ONNX tower", " ".join(str(error).split())[:200]) from error
