"""The parts of the searcher's benchmarks that need no server."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.closed_loop import Answered, percentile, stage_shares
from bench.lifted_model import lift_heads
from bench.photo_queries import BOUNDARY, PhotoQuery
from bench.real_vectors import lift_to
from bench.search import latency_figures
from bench.servers import memory_of

ANSWERS = [
    Answered(10.0, {"decode": 2.0, "encode": 1.0, "search": 3.0}),
    Answered(20.0, {"decode": 4.0, "encode": 1.0}),
]


def test_stages_are_shares_of_the_whole_and_what_is_left_is_the_rest() -> None:
    shares = stage_shares(ANSWERS)
    assert shares["decode"] == pytest.approx((3.0, 0.2))
    assert shares["search"] == pytest.approx((1.5, 0.1))
    assert shares["the rest"][0] == pytest.approx(15 - 3 - 1 - 1.5)


def test_the_encoder_has_no_line_of_its_own() -> None:
    named = [figure.figure for figure in latency_figures("no filters", ANSWERS, 2)]
    assert not any("encode" in name for name in named)
    assert named[:2] == ["no filters: p50, 2 at once", "no filters: p99, 2 at once"]


def test_percentiles_are_of_the_client_s_times() -> None:
    assert percentile(ANSWERS, 50) == 15.0


def test_a_form_carries_the_photo_and_the_filters_as_json(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8 a photo")
    body = PhotoQuery(tmp_path / "photo.jpg", np.zeros(2, np.float32), {"in_stock": True}).body()
    assert body.count(f"--{BOUNDARY}\r\n".encode()) == 3
    assert b'name="filters"\r\n\r\n{"in_stock": true}\r\n' in body
    assert body.endswith(f"\xff\xd8 a photo\r\n--{BOUNDARY}--\r\n".encode("latin-1"))


def test_lifted_heads_give_lifted_vectors() -> None:
    rng = torch.Generator().manual_seed(0)
    state = {
        "visual.head.mlp.fc1.weight": torch.randn(8, 5, generator=rng), "visual.head.mlp.fc1.bias": torch.randn(8, generator=rng),
        "visual.head.mlp.fc2.weight": torch.randn(4, 8, generator=rng), "text.proj.weight": torch.randn(4, 6, generator=rng),
    }  # fmt: skip
    lift = lift_to(12, 4)

    def photo_head(of: dict[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
        hidden = torch.nn.functional.gelu(inputs @ of["visual.head.mlp.fc1.weight"].T + of["visual.head.mlp.fc1.bias"])
        return hidden @ of["visual.head.mlp.fc2.weight"].T

    lifted, inputs = lift_heads(state, lift), torch.randn(3, 5, generator=rng)
    assert lifted["visual.head.mlp.fc1.weight"].shape == (24, 5)
    assert np.allclose(photo_head(lifted, inputs), photo_head(state, inputs).numpy() @ lift, atol=1e-5)
    assert np.allclose(lifted["text.proj.weight"], lift.T @ state["text.proj.weight"].numpy(), atol=1e-5)


def test_a_process_s_own_memory_is_part_of_its_share_and_that_of_what_is_resident() -> None:
    memory = memory_of(os.getpid())
    assert 0 < memory.own <= memory.proportional <= memory.resident
