"""The packaged model with as many dimensions as a benchmark wants: the same cosines, so the same answers.

Large catalogs are measured with 512 dimensions, and the packaged model gives fewer. Its last layers are multiplied by a
matrix of orthonormal rows, which keeps every cosine, so that encoder, index and peers all use one real model.
"""

import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.real_vectors import lift_to
from spark_jobs.models.export import export_bundle, read_photos
from spark_jobs.models.open_clip import LoadedModel, load_model

_HIDDEN, _HIDDEN_BIAS, _LAST = (f"visual.head.mlp.{name}" for name in ("fc1.weight", "fc1.bias", "fc2.weight"))
_WORDS = "text.proj.weight"


def write_lifted_bundle(folder: Path, dimension: int, photos: Path | None = None) -> str:
    """Export the model of that many dimensions into `folder`, its runtimes measured on `photos`; returns its id."""
    return export_bundle(lifted_model(dimension), folder, read_photos(photos) if photos else []).model_id


def lifted_model(dimension: int) -> LoadedModel:
    """The packaged model, its two towers ending in `dimension` numbers."""
    from spark_jobs.models.packaged import assemble

    packaged = load_model()
    config = copy.deepcopy(packaged.config)
    own_dimension = int(config["model_cfg"]["embed_dim"])
    config["model_cfg"]["embed_dim"] = dimension
    model = assemble(config["model_cfg"])
    state = lift_heads(dict(packaged.model.state_dict()), lift_to(dimension, own_dimension))
    model.load_state_dict(state)
    return LoadedModel(f"packaged-{dimension}", model.eval(), config, packaged.tokenizer)


def lift_heads(state: dict[str, torch.Tensor], lift: NDArray[np.float32]) -> dict[str, torch.Tensor]:
    """The state with both heads multiplied by `lift` (d, D). The photo head's hidden layer is twice as wide as its output
    (timm): what is added to it stays zero."""
    turned = torch.from_numpy(np.ascontiguousarray(lift.T))
    wider = 2 * lift.shape[1] - len(state[_HIDDEN])
    pad = torch.nn.functional.pad
    return state | {
        _HIDDEN: pad(state[_HIDDEN], (0, 0, 0, wider)),
        _HIDDEN_BIAS: pad(state[_HIDDEN_BIAS], (0, wider)),
        _LAST: pad(turned @ state[_LAST], (0, wider)),
        _WORDS: turned @ state[_WORDS],
    }
