"""The smallest open_clip model that is still one: random weights, a layer a tower, exported like any other."""

import atexit
import tempfile
from functools import lru_cache
from pathlib import Path

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer

from spark_jobs.models.export import export_bundle
from spark_jobs.models.open_clip import LoadedModel

IMAGE_SIZE = 32
CONFIG = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": IMAGE_SIZE, "layers": 1, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {
        "size": IMAGE_SIZE, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25),
        "interpolation": "bicubic", "resize_mode": "shortest",
    },
}  # fmt: skip


def load_tiny_model(seed: int = 0) -> LoadedModel:
    torch.manual_seed(seed)
    model = open_clip.CLIP(**CONFIG["model_cfg"])  # type: ignore[arg-type]
    return LoadedModel("tiny", model.eval(), CONFIG, SimpleTokenizer(context_length=24))


@lru_cache(maxsize=1)
def tiny_bundle_folder() -> Path:
    """Exported once for all tests of a run; copy it to damage it."""
    scratch = tempfile.TemporaryDirectory(prefix="tiny-model-")
    atexit.register(scratch.cleanup)
    folder = Path(scratch.name) / "tiny"
    export_bundle(load_tiny_model(), folder)
    return folder
