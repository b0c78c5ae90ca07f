"""The trainable tail is the trunk itself in another form."""

import timm
import torch

from spark_jobs.head_training.tail import Stem, Tail


def trunk_with_lively_norms() -> torch.nn.Module:
    """Random weights, and batch norms that would show if they were folded wrongly."""
    torch.manual_seed(0)
    trunk = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0).eval()
    for module in trunk.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    return trunk


@torch.no_grad()
def test_stem_and_tail_give_the_trunks_features():
    trunk, pixels = trunk_with_lively_norms(), torch.randn(2, 3, 224, 224)
    for stage, block in ((5, 0), (5, 2), (6, 0)):
        grid = Stem(trunk, stage, block)(pixels)
        features = Tail(trunk, stage, block, grid.shape[-1])(grid)
        assert torch.allclose(features, trunk(pixels), atol=1e-4)


@torch.no_grad()
def test_trained_weights_written_back_change_the_trunk_as_they_changed_the_tail():
    trunk, pixels = trunk_with_lively_norms(), torch.randn(2, 3, 224, 224)
    grid = Stem(trunk, 6, 0)(pixels)
    tail = Tail(trunk, 6, 0, grid.shape[-1])
    untrained = trunk(pixels)
    for parameter in tail.parameters():
        parameter += 0.05 * torch.randn_like(parameter) * parameter.std()
    tail.write_back(trunk, 6, 0)
    assert not torch.allclose(trunk(pixels), untrained, atol=1e-3)
    assert torch.allclose(trunk(pixels), tail(grid), atol=1e-4)
