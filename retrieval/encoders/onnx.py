"""The encoder on ONNX Runtime: what the searcher answers with, and the exact choice on CPUs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from retrieval.encoders.bundles import read_bundle
from retrieval.encoders.contract import Pixels, Vectors, measured_batch, refuse_other_shapes, unit_rows
from retrieval.encoders.tokenizer import TextTokenizer
from schemas.bundle import IMAGE_TOWER_FILE, INT8_IMAGE_TOWER_FILE, TEXT_TOWER_FILE, Bundle
from schemas.errors import Corrupt, ModelUnavailable

_RELEASE = ".".join(onnxruntime.__version__.split(".")[:2])
_UNMEASURED_BATCH = 2
"""On a CPU small batches stay in its caches: EfficientNet-Lite0 takes 6.0 ms a photo in ones and 7.2 in eights."""
_IMAGE_TOWERS = {"fp32": IMAGE_TOWER_FILE, "int8": INT8_IMAGE_TOWER_FILE}
AS_MEASURED = "auto"


class OnnxEncoder:
    """Both towers of a bundle on the CPU. Safe to share by threads.

    `threads` are those of one call. The towers give raw rows; scaling them to length one is the last step of every
    runtime, in `unit_rows`.
    """

    def __init__(self, bundle: Bundle, folder: Path, threads: int, precision: str, *, words: bool = True) -> None:
        self._bundle, self._folder, self._threads = bundle, folder, threads
        self.model_id, self.fingerprint, self.dimension = bundle.model_id, bundle.fingerprint, bundle.dimension
        self.runtime = f"onnxruntime-{_RELEASE}-{precision}"
        self.batch_photos = measured_batch(bundle, f"onnx-{precision}", _UNMEASURED_BATCH)
        self._image_tower = _open_session(folder / _IMAGE_TOWERS[precision], threads)
        self._text_tower: onnxruntime.InferenceSession | None = None
        self._tokenizer: TextTokenizer | None = None
        if bundle.text_input is not None and words:
            self._text_tower = _open_session(folder / TEXT_TOWER_FILE, threads)
            self._tokenizer = TextTokenizer.load(folder, bundle.text_input)

    @classmethod
    def load(cls, folder: Path, threads: int = 1, precision: str = "fp32", *, words: bool = True) -> "OnnxEncoder":
        """From a bundle folder. `precision`: fp32, int8 where the bundle has that tower, or auto: whichever its export
        measured to be faster with parity. Without `words` the text tower, often the larger one, is left on disk.
        Raises ModelUnavailable.
        """
        bundle = read_bundle(folder)
        precision = measured_precision(bundle) if precision == AS_MEASURED else precision
        if precision not in _IMAGE_TOWERS or _IMAGE_TOWERS[precision] not in bundle.files:
            raise ModelUnavailable(f"{folder} has no {precision} image tower for ONNX Runtime: use the fp32 one")
        return cls(bundle, folder, threads, precision, words=words)

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        """Photos (n, 3, S, S) float32 to unit rows (n, d) float32."""
        refuse_other_shapes(pixels, self._bundle.preprocessing.image_size)
        if len(pixels) == 0:
            return np.empty((0, self.dimension), dtype=np.float32)
        return unit_rows(_run(self._image_tower, pixels))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Texts to unit rows (n, d) float32. Raises ModelUnavailable where the model has no text tower."""
        if self._text_tower is None or self._tokenizer is None:
            if self._bundle.text_input is not None:
                raise ModelUnavailable(f"{self.model_id} was loaded without its text tower: load it with words")
            raise ModelUnavailable(f"{self.model_id} has no text tower: search by photo, or serve another model")
        if len(texts) == 0:
            return np.empty((0, self.dimension), dtype=np.float32)
        takes_any_length = not isinstance(self._text_tower.get_inputs()[0].shape[1], int)
        return unit_rows(_run(self._text_tower, self._tokenizer.encode(texts, pad_to_longest=takes_any_length)))


def measured_precision(bundle: Bundle) -> str:
    """int8 where the bundle's export chose it and the bundle has it, else fp32."""
    chosen = bundle.metrics.get("cpu_runtime") == "onnx-int8" and INT8_IMAGE_TOWER_FILE in bundle.files
    return "int8" if chosen else "fp32"


def _open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Idle threads that spin would take the cores of the workers beside this one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Corrupt(str(path), "an ONNX tower", " ".join(str(error).split())[:200]) from error


def _run(session: onnxruntime.InferenceSession, values: NDArray[Any]) -> NDArray[np.float32]:
    (rows,) = session.run(None, {session.get_inputs()[0].name: values})
    return np.asarray(rows)
