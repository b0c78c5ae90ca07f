"""The safety check: any function from photos to scores, 0 safe to 1 unsafe. The built-in one asks the model's text tower."""

import importlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from schemas.errors import Misconfigured, ModelUnavailable

Scorer = Callable[[Sequence[Image.Image]], Sequence[float]]

NONE, ZERO_SHOT = "none", "zero_shot"

SAFE_PROMPTS = (
    "a photo of a product in an online shop", "a photo of clothing", "a person wearing clothes",
    "a photo of shoes or a bag on a plain background", "a photo of furniture or household goods",
)  # fmt: skip
UNSAFE_PROMPTS = (
    "a pornographic photo", "a photo of a naked person", "a photo of gore and blood", "a photo of a dead body",
    "a photo of graphic violence", "a photo of a hate symbol",
)  # fmt: skip
_TEMPERATURE = 100.0  # CLIP's own scale of cosines before the softmax


@dataclass(frozen=True)
class SafetyCheck:
    """Which check runs: `none`, `zero_shot` (needs a model), or `module:function`. Photos scored above `score_max` go.

    `model` is a bundle folder or a model id in the store; every host makes its own copy of one in the store.
    """

    check: str = NONE
    model: str | None = None
    store_uri: str = ""
    score_max: float = 0.8

    def open_scorer(self) -> Scorer | None:
        """The function, its model loaded. Raises Misconfigured, ModelUnavailable."""
        if self.check == NONE:
            return None
        if self.check == ZERO_SHOT:
            return self._zero_shot()
        return _imported(self.check)

    def _zero_shot(self) -> Scorer:
        from retrieval.bundles import locate_bundle  # here, so that a run without the check loads no runtime
        from retrieval.objects import open_store

        if not self.model:
            raise Misconfigured("--safety zero_shot needs a model: add --model ID_OR_FOLDER")
        cache_folder = Path(tempfile.gettempdir()) / "shoplens-models"
        return ZeroShotScorer(locate_bundle(open_store(self.store_uri), self.model, cache_folder))


class ZeroShotScorer:
    """The share of probability on unsafe prompts. Source: Radford et al. 2021, section 3.1."""

    def __init__(self, bundle_folder: Path) -> None:
        from retrieval.bundles import read_bundle
        from retrieval.onnx_encoder import OnnxEncoder
        from retrieval.preprocess import to_pixels

        bundle = read_bundle(bundle_folder)
        if bundle.text_input is None:
            raise ModelUnavailable(f"{bundle.model_id} has no text tower: choose another --safety, or a model with one")
        self._encoder = OnnxEncoder.load(bundle_folder)
        self._prompts = self._encoder.encode_texts([*SAFE_PROMPTS, *UNSAFE_PROMPTS])
        self._preprocessing, self._to_pixels = bundle.preprocessing, to_pixels

    def __call__(self, photos: Sequence[Image.Image]) -> Sequence[float]:
        pixels = np.stack([self._to_pixels(photo, self._preprocessing) for photo in photos])
        logits = _TEMPERATURE * self._encoder.encode_pixels(pixels) @ self._prompts.T
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        unsafe = shares[:, len(SAFE_PROMPTS) :].sum(axis=1) / shares.sum(axis=1)
        return [float(score) for score in unsafe]


def _imported(name: str) -> Scorer:
    module, _, function = name.partition(":")
    try:
        scorer = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise Misconfigured(f"--safety {name}: {error}; give none, zero_shot or module:function") from None
    if not callable(scorer):
        raise Misconfigured(f"--safety {name} is no function of photos")
    return scorer  # type: ignore[no-any-return]
