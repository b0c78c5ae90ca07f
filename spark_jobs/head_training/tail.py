"""EfficientNet-Lite0's last blocks in a form that trains fast on a CPU, and back again.

Batch norms are folded into the convolutions before them, 1 × 1 convolutions are matrix products over (n, places, c),
and a depthwise convolution on a small grid is one product with its Toeplitz matrix for each channel (whose weights
stay as they are). In bfloat16 a step took about a sixth of what the same blocks take as convolutions.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Stem(nn.Module):
    """What stays frozen: pixels (n, 3, 224, 224) to the input of the first trained block, (n, c, s, s)."""

    def __init__(self, trunk: Any, stage: int, block: int) -> None:
        super().__init__()
        before = [part for place, part in _blocks(trunk) if place < (stage, block)]
        self.layers = nn.Sequential(trunk.conv_stem, trunk.bn1, *before)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.layers(pixels)  # type: ignore[no-any-return]


class Tail(nn.Module):
    """What is trained of the trunk: a grid (n, c, s, s) to pooled features (n, 1280)."""

    def __init__(self, trunk: Any, stage: int, block: int, side: int) -> None:
        super().__init__()
        inner = []
        for place, part in _blocks(trunk):
            if place >= (stage, block):
                inner.append(_Inverted(part, side))
                side = -(-side // part.conv_dw.stride[0])
        self.inner = nn.ModuleList(inner)
        self.top = _Pointwise(trunk.conv_head, trunk.bn2)

    def forward(self, grid: Tensor) -> Tensor:
        rows = grid.flatten(2).transpose(1, 2)
        for block in self.inner:
            rows = block(rows)
        return F.relu6(self.top(rows)).mean(dim=1)

    @torch.no_grad()
    def write_back(self, trunk: Any, stage: int, block: int) -> None:
        """Unfold the trained weights into the trunk that this tail was made from (or another with its weights)."""
        parts = [part for place, part in _blocks(trunk) if place >= (stage, block)]
        for trained, part in zip(self.inner, parts, strict=True):
            assert isinstance(trained, _Inverted)
            trained.expand.write_back(part.conv_pw, part.bn1)
            _write_bias(trained.depthwise.bias, part.bn2)
            trained.shrink.write_back(part.conv_pwl, part.bn3)
        self.top.write_back(trunk.conv_head, trunk.bn2)


class _Pointwise(nn.Module):
    def __init__(self, conv: Any, norm: Any) -> None:
        super().__init__()
        weight, bias = _folded(conv, norm)
        self.weight, self.bias = nn.Parameter(weight[:, :, 0, 0].clone()), nn.Parameter(bias)

    def forward(self, rows: Tensor) -> Tensor:
        return F.linear(rows, self.weight, self.bias)

    def write_back(self, conv: Any, norm: Any) -> None:
        conv.weight.copy_((self.weight / _scale(norm)[:, None])[:, :, None, None])
        _write_bias(self.bias, norm)


class _Depthwise(nn.Module):
    toeplitz: Tensor

    def __init__(self, conv: Any, norm: Any, side: int) -> None:
        super().__init__()
        weight, bias = _folded(conv, norm)
        self.register_buffer("toeplitz", _toeplitz(weight, side, conv.stride[0]))
        self.bias = nn.Parameter(bias)

    def forward(self, rows: Tensor) -> Tensor:
        by_channel = torch.bmm(rows.permute(2, 0, 1), self.toeplitz.to(rows.dtype).transpose(1, 2))
        return by_channel.permute(1, 2, 0) + self.bias


class _Inverted(nn.Module):
    def __init__(self, part: Any, side: int) -> None:
        super().__init__()
        self.expand = _Pointwise(part.conv_pw, part.bn1)
        self.depthwise = _Depthwise(part.conv_dw, part.bn2, side)
        self.shrink = _Pointwise(part.conv_pwl, part.bn3)
        self.has_skip = bool(part.has_skip)

    def forward(self, rows: Tensor) -> Tensor:
        made: Tensor = self.shrink(F.relu6(self.depthwise(F.relu6(self.expand(rows)))))
        return rows + made if self.has_skip else made


def _blocks(trunk: Any) -> Iterator[tuple[tuple[int, int], Any]]:
    """((stage, block), module) in order."""
    for stage, parts in enumerate(trunk.blocks):
        for block, part in enumerate(parts):
            yield (stage, block), part


def _scale(norm: Any) -> Tensor:
    return (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()


def _folded(conv: Any, norm: Any) -> tuple[Tensor, Tensor]:
    scale = _scale(norm)
    weight = conv.weight.detach() * scale.view(-1, 1, 1, 1)
    return weight, (norm.bias - norm.running_mean * scale).detach().clone()


def _write_bias(bias: Tensor, norm: Any) -> None:
    norm.bias.copy_(bias + norm.running_mean * _scale(norm))


def _toeplitz(weight: Tensor, side: int, stride: int) -> Tensor:
    """The matrices (c, out², side²) that do a depthwise convolution (c, 1, k, k) with TensorFlow's SAME padding."""
    kernel = weight.shape[-1]
    out = -(-side // stride)
    padding = max((out - 1) * stride + kernel - side, 0)
    first, last = padding // 2, padding - padding // 2
    impulses = torch.eye(side * side).reshape(side * side, 1, side, side)
    answers = F.conv2d(F.pad(impulses, (first, last, first, last)), weight, stride=stride)
    return answers.permute(1, 2, 3, 0).reshape(len(weight), out * out, side * side).contiguous()
