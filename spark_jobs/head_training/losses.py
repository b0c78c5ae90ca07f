"""Losses over unit rows. Pairs across catalogs are neither alike nor unlike: their labels do not compare."""

import torch
import torch.nn.functional as F
from torch import Tensor


def alike_loss(rows: Tensor, labels: Tensor, catalogs: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, L_out) of unit rows (n, d) by labels (n,) int64.

    A row with a negative label is only a negative to others; rows without a positive take no part.
    """
    itself = torch.eye(len(rows), dtype=torch.bool)
    together = (catalogs[:, None] == catalogs[None, :]) & ~itself
    positive = together & (labels[:, None] == labels[None, :]) & (labels[:, None] >= 0)
    return _mean_log_share(rows @ rows.T / temperature, positive, together)


def caption_loss(rows: Tensor, words: Tensor, fits: Tensor, catalogs: Tensor, temperature: float) -> Tensor:
    """Contrast of photos (n, d) with the captions drawn for them (n, d), both ways; `fits` (n, n): caption j is true
    of photo i."""
    scores = rows @ words.T / temperature
    together = catalogs[:, None] == catalogs[None, :]
    return 0.5 * (_mean_log_share(scores, fits, together) + _mean_log_share(scores.T, fits.T, together.T))


def category_loss(rows: Tensor, words: Tensor, labels: Tensor, temperature: float, smoothing: float) -> Tensor:
    """Cross-entropy of photos (n, d) over one caption a category (c, d): labels (n,) are the captions' places."""
    return F.cross_entropy(rows @ words.T / temperature, labels, label_smoothing=smoothing)


def finding_loss(words: Tensor, rows: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """The other way round: each category's caption (c, d) looks for its photos among rows (n, d), as a shopper does."""
    fits = torch.arange(len(words))[:, None] == labels[None, :]
    return _mean_log_share(words @ rows.T / temperature, fits, torch.ones_like(fits))


def _mean_log_share(scores: Tensor, positive: Tensor, counted: Tensor) -> Tensor:
    """Minus the mean over rows, and over a row's positives, of log softmax among what is counted."""
    masked = scores.masked_fill(~counted, -1e9)
    log_share = masked - torch.logsumexp(masked, dim=1, keepdim=True)
    positives = (positive & counted).sum(dim=1)
    chosen = positives > 0
    if not bool(chosen.any()):
        return scores.sum() * 0
    sums = (log_share * (positive & counted)).sum(dim=1)
    return -(sums[chosen] / positives[chosen]).mean()
