"""The encoder on torch, for GPUs (and to compare with). The only module of `retrieval` that imports torch."""

import copy
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import load_file

from retrieval.encoders.bundles import read_bundle
from retrieval.encoders.contract import Pixels, Vectors, refuse_other_shapes, unit_rows
from retrieval.encoders.tokenizer import TextTokenizer
from schemas.bundle import OPEN_CLIP_CONFIG_FILE, TEXT_CONFIG_FILE, WEIGHTS_FILE, Bundle
from schemas.errors import Corrupt, ModelUnavailable

_RELEASE = ".".join(torch.__version__.split("+")[0].split(".")[:2])
_GPU_BATCH, _CPU_BATCH = 512, 8


class TorchEncoder:
    """One bundle: bfloat16 autocast in batches of 512 on CUDA, float32 on the CPU. For one thread at a time."""

    def __init__(self, bundle: Bundle, folder: Path, model: torch.nn.Module, device: str) -> None:
        self._bundle, self._device = bundle, device
        self.model_id, self.fingerprint, self.dimension = bundle.model_id, bundle.fingerprint, bundle.dimension
        self.on_gpu = device.startswith("cuda")
        self.runtime = f"torch-{_RELEASE}-{'bf16' if self.on_gpu else 'fp32'}"
        self.batch_photos = _GPU_BATCH if self.on_gpu else _CPU_BATCH
        self._model = model.to(device)
        self._tokenizer = TextTokenizer.load(folder, bundle.text_input) if bundle.text_input else None

    @classmethod
    def load(cls, folder: Path, device: str | None = None) -> "TorchEncoder":
        """From a bundle folder with its weights; on CUDA where there is one, unless told. Raises ModelUnavailable."""
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        return cls(read_bundle(folder), folder, load_bundled_model(folder), chosen)

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        """Photos (n, 3, S, S) float32 to unit rows (n, d) float32, in pieces of `batch_photos`."""
        refuse_other_shapes(pixels, self._bundle.preprocessing.image_size)
        return self._encode(self._model.encode_image, torch.from_numpy(np.ascontiguousarray(pixels)))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Texts to unit rows (n, d) float32. Raises ModelUnavailable where the model has no text tower."""
        if self._tokenizer is None:
            raise ModelUnavailable(f"{self.model_id} has no text tower: search by photo, or serve another model")
        return self._encode(self._model.encode_text, torch.from_numpy(self._tokenizer.encode(texts)))

    def _encode(self, tower: Any, inputs: torch.Tensor) -> Vectors:
        rows = np.empty((len(inputs), self.dimension), dtype=np.float32)
        with torch.inference_mode(), self._precision():
            for start in range(0, len(inputs), self.batch_photos):
                piece = inputs[start : start + self.batch_photos].to(self._device, non_blocking=True)
                rows[start : start + len(piece)] = tower(piece).float().cpu().numpy()
        return unit_rows(rows)

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast("cuda", dtype=torch.bfloat16) if self.on_gpu else nullcontext()


def load_bundled_model(folder: Path) -> torch.nn.Module:
    """The open_clip model of a bundle, in evaluation mode, float32 on the CPU. Asks no hub.

    Raises ModelUnavailable where weights and configuration do not make a model.
    """
    weights = folder / WEIGHTS_FILE
    if not weights.exists():
        raise ModelUnavailable(f"{folder} has no {WEIGHTS_FILE}: fetch the model with its weights")
    config = json.loads((folder / OPEN_CLIP_CONFIG_FILE).read_text())
    text_cfg = config["model_cfg"]["text_cfg"]
    if text_cfg.get("hf_model_name") == TEXT_CONFIG_FILE:
        text_cfg["hf_model_name"] = str(folder / TEXT_CONFIG_FILE)
    try:
        state = load_file(weights)
    except Exception as error:
        raise Corrupt(str(weights), "safetensors", str(error)) from error
    return rebuild_model(config["model_cfg"], state)


def rebuild_model(model_cfg: dict[str, Any], state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """An open_clip model from its configuration and state dict. Raises ModelUnavailable where they do not fit."""
    arguments = copy.deepcopy(model_cfg)
    custom_text = arguments.pop("custom_text", False) or "hf_model_name" in arguments["text_cfg"]
    model_class = open_clip.CustomTextCLIP if custom_text else open_clip.CLIP
    try:
        model: torch.nn.Module = model_class(**arguments)
        model.load_state_dict(state)
    except Exception as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelUnavailable(f"the bundle's weights do not fit its configuration: {first_line}") from error
    model.eval()
    return model
