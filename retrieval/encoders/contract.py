"""The encoder contract: pixels to unit vectors, words to unit vectors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.bundle import Bundle

Vectors = NDArray[np.float32]
Pixels = NDArray[np.float32]


class Encoder(Protocol):
    """A loaded model. One instance serves one thread or process at a time unless its class says otherwise.

    `model_id` and `fingerprint` are the bundle's; `runtime` names what computes, such as `onnxruntime-1.31-fp32`;
    `batch_photos` is the batch at which this runtime is fastest.
    """

    @property
    def model_id(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    @property
    def runtime(self) -> str: ...

    @property
    def batch_photos(self) -> int: ...

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        """Encode preprocessed photos (n, 3, S, S) float32 to unit rows (n, d) float32. Raises ValueError on other shapes."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode texts to unit rows (n, d) float32. Raises ModelUnavailable where the model has no text tower."""


def unit_rows(rows: NDArray[np.floating]) -> Vectors:
    """Rows scaled to length one, float32 (n, d); a row of zeros stays zeros."""
    wide = np.asarray(rows, dtype=np.float32)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(lengths, 1e-12), dtype=np.float32)


def measured_batch(bundle: Bundle, runtime: str, otherwise: int) -> int:
    """The batch at which the bundle's export found a CPU runtime fastest, or `otherwise` where it did not measure."""
    return int(bundle.metrics.get("runtimes", {}).get(runtime, {}).get("batch_photos", otherwise))


def refuse_other_shapes(pixels: Pixels, image_size: int) -> None:
    """Raises ValueError unless pixels are (n, 3, S, S) float32."""
    if pixels.ndim != 4 or pixels.shape[1:] != (3, image_size, image_size) or pixels.dtype != np.float32:
        raise ValueError(
            f"pixels must be (n, 3, {image_size}, {image_size}) float32, not {pixels.shape} {pixels.dtype}"
        )
