"""Losses on rows small enough to work out by hand."""

import math

import pytest
import torch

from spark_jobs.head_training.losses import alike_loss, caption_loss, category_loss, finding_loss

ONE_CATALOG = torch.tensor([0, 0, 0])


def test_alike_rows_that_lie_together_cost_less_than_apart():
    near = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    far = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    labels = torch.tensor([0, 0, 1])
    assert alike_loss(near, labels, ONE_CATALOG, 0.1) < alike_loss(far, labels, ONE_CATALOG, 0.1)


def test_alike_loss_is_the_log_share_of_the_positive():
    rows, labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1])
    # Each of the first two sees its positive at cosine 1 and one other row at cosine 0.
    expected = -math.log(math.e / (math.e + 1))
    assert alike_loss(rows, labels, ONE_CATALOG, 1.0).item() == pytest.approx(expected)


def test_rows_of_another_catalog_are_not_even_negatives():
    rows, labels = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), torch.tensor([0, 0, 0])
    assert alike_loss(rows, labels, torch.tensor([0, 0, 1]), 1.0).item() == pytest.approx(0.0)


def test_a_negative_label_has_no_positives():
    rows, labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([-1, -1, -1])
    assert alike_loss(rows, labels, ONE_CATALOG, 1.0).item() == 0.0


def test_a_caption_true_of_two_photos_draws_both():
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    fits = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    assert caption_loss(rows, rows, fits, ONE_CATALOG, 0.1) < caption_loss(rows, rows.flip(0), fits, ONE_CATALOG, 0.1)


def test_category_loss_falls_as_photos_near_their_name():
    names, labels = torch.eye(2), torch.tensor([0, 1])
    assert category_loss(torch.eye(2), names, labels, 0.1, 0.0) < category_loss(
        torch.eye(2).flip(0), names, labels, 0.1, 0.0
    )


def test_finding_loss_is_the_log_share_of_a_names_own_photo():
    names, rows = torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    # The first name sees its one photo at cosine 1 beside two at 0; the second its two at 1 beside one at 0.
    expected = (math.log((math.e + 2) / math.e) + math.log((2 * math.e + 1) / math.e)) / 2
    assert finding_loss(names, rows, torch.tensor([0, 1, 1]), 1.0).item() == pytest.approx(expected)


def test_a_name_without_a_photo_in_the_draw_takes_no_part():
    rows, labels = torch.eye(3)[:2], torch.tensor([0, 1])
    nameless = torch.tensor([[0.0, 0.0, 1.0]])
    assert finding_loss(torch.cat([rows, nameless]), rows, labels, 0.1) == finding_loss(rows, rows, labels, 0.1)
