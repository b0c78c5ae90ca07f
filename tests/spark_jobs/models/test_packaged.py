"""The packaged model: put together offline, refused where its files do not fit."""

import shutil
import socket

import pytest
import torch
from safetensors.torch import load_file, save_file

from schemas.errors import ModelUnavailable
from spark_jobs.models.packaged import (
    CONFIG_FILE,
    HEADS_FILE,
    PACKAGED_FOLDER,
    assemble,
    is_head,
    load_heads,
    load_packaged_model,
    pack_trained,
    read_packaged_config,
)


@pytest.fixture(scope="module")
def assembled():
    return assemble(read_packaged_config()["model_cfg"]).eval()


@pytest.fixture
def own_folder(tmp_path):
    for name in (CONFIG_FILE, HEADS_FILE):
        shutil.copy(PACKAGED_FOLDER / name, tmp_path / name)
    return tmp_path


def test_the_model_loads_without_a_network_and_gives_unit_rows(monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    model, config = load_packaged_model()
    with torch.inference_mode():
        rows = model.encode_image(torch.zeros(2, 3, 224, 224), normalize=True)
        words = model.encode_text(torch.tensor([[101, 2000, 102, 0]]), normalize=True)
    assert rows.shape == (2, config["model_cfg"]["embed_dim"])
    assert torch.allclose(torch.cat([rows, words]).norm(dim=1), torch.ones(3), atol=1e-5)


def test_what_is_committed_stays_small_and_names_no_path():
    assert (PACKAGED_FOLDER / HEADS_FILE).stat().st_size <= 5_000_000
    assert "/" not in (PACKAGED_FOLDER / CONFIG_FILE).read_text()


def test_missing_heads_are_refused_with_the_command_that_makes_them(own_folder):
    (own_folder / HEADS_FILE).unlink()
    with pytest.raises(ModelUnavailable, match="train-heads"):
        load_packaged_model(own_folder)


def test_a_file_without_the_text_head_is_refused(assembled):
    heads = load_file(PACKAGED_FOLDER / HEADS_FILE)
    without = {key: tensor for key, tensor in heads.items() if not key.startswith("text.proj.")}
    with pytest.raises(ModelUnavailable, match=r"lacks text\.proj"):
        load_heads(assembled, without)


def test_a_head_of_another_shape_is_refused(assembled):
    with pytest.raises(ModelUnavailable, match="does not fit"):
        load_heads(assembled, {"text.proj.weight": torch.zeros(3, 3)})


def test_an_unreadable_configuration_is_named(own_folder):
    (own_folder / CONFIG_FILE).write_text("{")
    with pytest.raises(ModelUnavailable, match=CONFIG_FILE):
        load_packaged_model(own_folder)


def test_packing_keeps_what_training_changed_and_nothing_else(assembled, tmp_path):
    before = {key: tensor.clone() for key, tensor in assembled.state_dict().items()}
    changed, torch_generator = "visual.trunk.conv_head.weight", torch.Generator().manual_seed(0)
    difference = 0.01 * torch.randn(before[changed].shape, generator=torch_generator)
    packed = pack_trained(before, {**before, changed: before[changed] + difference})
    save_file(packed, tmp_path / HEADS_FILE)
    assert {key for key in packed if not is_head(key)} == {f"{changed}:delta", f"{changed}:scale"}
    load_heads(assembled, load_file(tmp_path / HEADS_FILE))
    restored = assembled.state_dict()[changed] - before[changed]
    assembled.load_state_dict(before)
    assert (restored - difference).norm() < 0.02 * difference.norm()
