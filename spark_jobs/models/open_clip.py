"""open_clip models by name and weights: from a hub, from a local path, or the small one that comes packaged."""

import copy
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from schemas.errors import ModelUnavailable, ShopLensError

DEFAULT_MODEL = "default"
RANDOM_WEIGHTS = "random"


@dataclass(frozen=True)
class LoadedModel:
    """An open_clip model in evaluation mode, float32 on the CPU, with its open_clip configuration
    (`model_cfg`, `preprocess_cfg`) and open_clip's own tokenizer: texts to (n, context_length) int64."""

    name: str
    model: torch.nn.Module
    config: dict[str, Any]
    tokenizer: Callable[..., torch.Tensor]


def load_model(name: str = DEFAULT_MODEL, pretrained: str | None = None) -> LoadedModel:
    """A model by its open_clip name and weights.

    `name`: `default` (packaged), an open_clip architecture, `hf-hub:…` or `local-dir:…`. `pretrained`: a tag of
    open_clip, a checkpoint's path, or `random` (repeatable, for measuring speed). Raises ModelUnavailable.
    """
    if name == DEFAULT_MODEL and pretrained in (None, DEFAULT_MODEL):
        return _load_packaged()
    _refuse_unknown(name, pretrained)
    try:
        with _quiet_and_seeded():
            return _load_open_clip(name, pretrained)
    except ShopLensError:
        raise
    except Exception as error:  # hubs, pickles and state dicts fail in many ways
        raise ModelUnavailable(_advice(name, pretrained, error)) from error


def _load_packaged() -> LoadedModel:
    from spark_jobs.models.packaged import load_packaged_model

    model, config = load_packaged_model()
    return LoadedModel(DEFAULT_MODEL, model.eval(), config, _tokenizer_of(config["model_cfg"]["text_cfg"]))


def _load_open_clip(name: str, pretrained: str | None) -> LoadedModel:
    model_cfg = copy.deepcopy(open_clip.get_model_config(name))
    # The tag knows which activation its weights were trained with; open_clip only warns of the wrong one.
    tag = open_clip.get_pretrained_cfg(name, pretrained) if pretrained else {}
    if tag.get("quick_gelu"):
        model_cfg["quick_gelu"] = True
    random = pretrained == RANDOM_WEIGHTS
    model = open_clip.create_model(
        name, pretrained=None if random else pretrained, pretrained_text=False,
        force_quick_gelu=bool(model_cfg.get("quick_gelu")), require_pretrained=not random,
    )  # fmt: skip
    config = {"model_cfg": model_cfg, "preprocess_cfg": open_clip.get_model_preprocess_cfg(model)}
    label = name.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    # A local tokenizer named by the model's own configuration needs no hub.
    tokenizer = open_clip.get_tokenizer(name) if ":" in name else _tokenizer_of(model_cfg["text_cfg"])
    return LoadedModel(f"{label}-{Path(pretrained).stem}" if pretrained else label, model.eval(), config, tokenizer)


def _tokenizer_of(text_cfg: dict[str, Any]) -> Callable[..., torch.Tensor]:
    context_length = int(text_cfg.get("context_length", 77))
    options = dict(text_cfg.get("tokenizer_kwargs", {}))
    if source := text_cfg.get("hf_tokenizer_name"):
        mode = text_cfg.get("tokenizer_mode")
        return HFTokenizer(source, context_length=context_length, tokenizer_mode=mode, **options)  # type: ignore[no-any-return]
    return SimpleTokenizer(context_length=context_length, **options)  # type: ignore[no-any-return]


def _refuse_unknown(name: str, pretrained: str | None) -> None:
    """Say what is missing before minutes are spent on finding out."""
    if name.startswith(("hf-hub:", "local-dir:")):
        return
    if name not in open_clip.list_models():
        raise ModelUnavailable(f"open_clip has no model {name!r}: `shoplens model names` lists those it has")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained is None:
        raise ModelUnavailable(
            f"{name} needs weights: give --pretrained with a checkpoint's path, or one of {', '.join(tags)}"
        )
    if pretrained not in (*tags, RANDOM_WEIGHTS) and not os.path.isfile(pretrained):
        raise ModelUnavailable(
            f"{pretrained} is neither a file nor weights that open_clip has for {name}: {', '.join(tags)}"
        )


def _advice(name: str, pretrained: str | None, error: Exception) -> str:
    first_line = (str(error).splitlines() or [type(error).__name__])[0][:200]
    if pretrained and os.path.isfile(pretrained):
        return f"{pretrained} is no checkpoint of {name}: {first_line}"
    if name.startswith("local-dir:"):
        return f"{name} holds no open_clip model: {first_line}"
    return (
        f"the weights of {name} ({pretrained or 'its hub page'}) could not be fetched: give a checkpoint's local path "
        f"with --pretrained, or use --name default; {first_line}"
    )


@contextmanager
def _quiet_and_seeded() -> Iterator[None]:
    """Random weights are the same every time; open_clip's running commentary stays off the terminal."""
    torch.manual_seed(0)
    root = logging.getLogger()
    before, root.level = root.level, logging.CRITICAL
    try:
        yield
    finally:
        root.setLevel(before)
