"""The safety check: any function from photos to scores, 0 safe to 1 unsafe. The built-in one asks the model's text tower.

A check that cannot score plain photos ends the job before its downloads. One that fails on a single photo says NaN of
it: the photo is kept, with no score.
"""

import importlib
import logging
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from schemas.errors import Corrupt, Misconfigured, ModelUnavailable

log = logging.getLogger("shoplens")

Scorer = Callable[[Sequence[Image.Image]], Sequence[float]]
"""One score for each photo, 0 safe to 1 unsafe, NaN where it cannot tell."""

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
_PLAIN_PHOTOS = (Image.new("RGB", (96, 128), "white"), Image.new("RGB", (128, 96), "grey"))


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
        """The function, its model loaded and tried on plain photos; of later failures a score is NaN.

        Raises Misconfigured, ModelUnavailable.
        """
        if not 0 <= self.score_max <= 1:
            raise Misconfigured(f"--max-safety-score {self.score_max} is no score: write one from 0 to 1, such as 0.8")
        if self.check == NONE:
            return None
        scorer = GuardedScorer(self.check, self._zero_shot() if self.check == ZERO_SHOT else _imported(self.check))
        scorer.refuse_if_useless()
        return scorer

    def _zero_shot(self) -> Scorer:
        from retrieval.encoders.bundles import locate_bundle  # here, so that a run without the check loads no runtime
        from retrieval.store.objects import open_store

        if not self.model:
            raise Misconfigured("--safety zero_shot needs a model: add --model ID_OR_FOLDER")
        cache_folder = Path(tempfile.gettempdir()) / "shoplens-models"
        try:
            return ZeroShotScorer(locate_bundle(open_store(self.store_uri), self.model, cache_folder))
        except Corrupt as error:
            raise ModelUnavailable(
                f"--safety zero_shot cannot load {self.model}, {error}: export it again with `shoplens model export`"
            ) from error


class GuardedScorer:
    """A check whose failures cost no photo: always as many scores as photos, each 0 to 1, or NaN."""

    def __init__(self, name: str, score: Scorer) -> None:
        self._name, self._score = name, score

    def refuse_if_useless(self) -> None:
        """Raises Misconfigured where even plain photos get no scores."""
        try:
            _as_scores(self._score(_PLAIN_PHOTOS), _PLAIN_PHOTOS)
        except Exception as error:  # whatever someone else's function raises
            raise Misconfigured(
                f"--safety {self._name} cannot score plain photos ({_shown(error)}): "
                "give a function from a list of PIL photos to as many scores from 0 to 1"
            ) from error

    def __call__(self, photos: Sequence[Image.Image]) -> Sequence[float]:
        try:
            scores = _as_scores(self._score(photos), photos)
        except Exception as error:
            if len(photos) > 1:  # one photo must not cost the others their scores
                return [score for photo in photos for score in self([photo])]
            log.warning("safety check %s failed on a photo: %s", self._name, _shown(error))
            return [math.nan]
        return [score if 0 <= score <= 1 else math.nan for score in scores]


class ZeroShotScorer:
    """The share of probability on unsafe prompts. Source: Radford et al. 2021, section 3.1."""

    def __init__(self, bundle_folder: Path) -> None:
        from retrieval.encoders.bundles import read_bundle
        from retrieval.encoders.onnx import OnnxEncoder
        from retrieval.photos.preprocess import to_pixels

        bundle = read_bundle(bundle_folder)
        if bundle.text_input is None:
            raise ModelUnavailable(f"{bundle.model_id} has no text tower: choose another --safety, or a model with one")
        self._encoder = OnnxEncoder.load(bundle_folder)
        self._prompts = self._encoder.encode_texts([*SAFE_PROMPTS, *UNSAFE_PROMPTS])
        self._preprocessing, self._to_pixels = bundle.preprocessing, to_pixels

    def __call__(self, photos: Sequence[Image.Image]) -> Sequence[float]:
        at_once = self._encoder.batch_photos
        return [
            score for first in range(0, len(photos), at_once) for score in self._score(photos[first : first + at_once])
        ]

    def _score(self, photos: Sequence[Image.Image]) -> list[float]:
        pixels = np.stack([self._to_pixels(photo, self._preprocessing) for photo in photos])
        logits = _TEMPERATURE * (self._encoder.encode_pixels(pixels) @ self._prompts.T).astype(np.float64)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        unsafe = shares[:, len(SAFE_PROMPTS) :].sum(axis=1) / shares.sum(axis=1)
        return [min(1.0, float(score)) for score in unsafe]


def _imported(name: str) -> Scorer:
    module, _, function = name.partition(":")
    try:
        scorer = getattr(importlib.import_module(module), function)
    except Exception as error:  # a module may raise anything while it is imported
        raise Misconfigured(f"--safety {name}: {_shown(error)}; give none, zero_shot or module:function") from error
    if not callable(scorer):
        raise Misconfigured(f"--safety {name} is no function of photos: give none, zero_shot or module:function")
    return scorer  # type: ignore[no-any-return]


def _as_scores(found: Sequence[float], photos: Sequence[Image.Image]) -> list[float]:
    """Raises TypeError or ValueError where these are not as many numbers as photos."""
    scores = [float(score) for score in found]
    if len(scores) != len(photos):
        raise ValueError(f"{len(scores)} scores for {len(photos)} photos")
    return scores


def _shown(error: Exception) -> str:
    """An error of someone else's code as part of one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".removesuffix(": ")
