"""From an open_clip model to ONNX: one tower for photos, one for words. Both give rows before scaling to length one."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transformer import text_global_pool

_EMBEDDED_BYTES = 1_900_000_000
"""A protobuf file ends at 2 GB; the weights of larger towers lie beside it."""


class ImageTower(torch.nn.Module):
    """Pixels (n, 3, S, S) float32 to rows (n, d)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(pixels)  # type: ignore[no-any-return]


class TextTower(torch.nn.Module):
    """Ids (n, length) int64 to rows (n, d)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model.encode_text(ids)  # type: ignore[no-any-return]


class CausalTextTower(TextTower):
    """CLIP's own text tower at any length. A causal mask hides what follows the end mark, so a search of five words
    costs seven positions, not 77; the row is the same."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        model, length = self.model, ids.shape[1]
        states = model.token_embedding(ids) + model.positional_embedding[:length]
        states = model.transformer(states, attn_mask=model.attn_mask[:length, :length])
        end = text_global_pool(model.ln_final(states), ids, model.text_pool_type)
        if isinstance(model.text_projection, torch.nn.Linear):
            return model.text_projection(end)  # type: ignore[no-any-return]
        return end if model.text_projection is None else end @ model.text_projection  # type: ignore[no-any-return]


def export_image_tower(model: torch.nn.Module, image_size: int, path: Path) -> None:
    """Write the ONNX image tower: `pixels` (batch, 3, S, S) float32 → `rows` (batch, d) float32."""
    _export(ImageTower(model), torch.zeros(2, 3, image_size, image_size), "pixels", {0: "batch"}, path)


def export_text_tower(model: torch.nn.Module, context_length: int, path: Path) -> None:
    """Write the ONNX text tower: `ids` (batch, length) int64 → `rows` (batch, d) float32.

    The length is free where the model allows it, else it is the context length.
    """
    tower, any_length = _text_tower(model)
    length = min(16, context_length) if any_length else context_length
    shape: dict[int, str] = {0: "batch", 1: "length"} if any_length else {0: "batch"}
    _export(tower, torch.ones(2, length, dtype=torch.int64), "ids", shape, path)


def _text_tower(model: Any) -> tuple[TextTower, bool]:
    if isinstance(model, open_clip.CLIP):
        causal = model.attn_mask is not None and model.text_pool_type == "argmax"
        return (CausalTextTower(model), True) if causal else (TextTower(model), False)
    return TextTower(model), hasattr(model.text, "pooler")  # transformers' towers mask their padding


def _export(tower: torch.nn.Module, example: torch.Tensor, name: str, shape: dict[int, str], path: Path) -> None:
    weights_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tower.state_dict().values())
    with torch.no_grad(), _silence():
        torch.onnx.export(
            tower.eval(), (example,), str(path), input_names=[name], output_names=["rows"],
            dynamo=True, dynamic_shapes=(shape,), external_data=weights_bytes > _EMBEDDED_BYTES,
        )  # fmt: skip


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The exporter talks on standard output, which belongs to the command's own answer."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
