"""The training loop: photos of a category together, and beside the words for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spark_jobs.head_training.losses import alike_loss, caption_loss, category_loss
from spark_jobs.head_training.material import CatalogMaterial
from spark_jobs.head_training.tail import Tail

MAX_GRADIENT = 5.0


@dataclass(frozen=True)
class Settings:
    """`start`: (stage, block) of the trunk from which it is trained; `batch`: photos of each catalog in a step;
    `tail_rate`: the trunk's learning rate as a share of the heads'."""

    start: tuple[int, int] = (5, 2)
    steps: int = 300
    batch: tuple[int, ...] = (128, 48)
    learning_rate: float = 1e-3
    tail_rate: float = 0.3
    weight_decay: float = 0.05
    dropout: float = 0.3
    temperature: float = 0.1
    smoothing: float = 0.1
    shade_share: float = 0.5
    caption_share: float = 0.5
    seed: int = 0


class TrainedTowers(nn.Module):
    """The parts of the model that learn. Grids (n, c, s, s) and text features (m, 384) become unit rows (…, d)."""

    def __init__(self, model: Any, settings: Settings, side: int) -> None:
        super().__init__()
        self.tail = Tail(model.visual.trunk, *settings.start, side)
        self.image_head, self.text_head = model.visual.head, model.text.proj

    def photos(self, grids: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            features = self.tail(grids)
            return F.normalize(self.image_head(features).float(), dim=1)

    def words(self, features: Tensor) -> Tensor:
        return F.normalize(self.text_head(features), dim=1)


def fit(
    towers: TrainedTowers,
    catalogs: Sequence[CatalogMaterial],
    settings: Settings,
    after_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train in place: AdamW, one cycle of the learning rate. `after_step` gets the steps done and the loss."""
    generator = torch.Generator().manual_seed(settings.seed)
    _set_dropout(towers.image_head, settings.dropout)
    heads = [*towers.image_head.parameters(), *towers.text_head.parameters()]
    rates = [settings.learning_rate * settings.tail_rate, settings.learning_rate]
    groups = [{"params": list(towers.tail.parameters()), "lr": rates[0]}, {"params": heads, "lr": rates[1]}]
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=settings.steps, pct_start=0.1)
    for step in range(settings.steps):
        towers.train()
        loss = _loss(towers, catalogs, settings, generator)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(towers.parameters(), MAX_GRADIENT)
        optimiser.step()
        schedule.step()
        after_step(step + 1, float(loss.detach()))
    towers.eval()


def _loss(
    towers: TrainedTowers, catalogs: Sequence[CatalogMaterial], settings: Settings, generator: torch.Generator
) -> Tensor:
    """Four terms: same category together, same category and colour closer, the category's name, the photo's caption."""
    drawn = [part.draw(photos, generator) for part, photos in zip(catalogs, settings.batch, strict=True)]
    rows = towers.photos(torch.cat([grids for _, grids, _ in drawn]))
    pieces = rows.split([len(chosen) for chosen, _, _ in drawn])
    which = torch.cat([torch.full((len(chosen),), number) for number, (chosen, _, _) in enumerate(drawn)])
    labels = torch.cat([part.labels[chosen] for part, (chosen, _, _) in zip(catalogs, drawn, strict=True)])
    shades = torch.cat([part.shades[chosen] for part, (chosen, _, _) in zip(catalogs, drawn, strict=True)])
    loss = alike_loss(rows, labels, which, settings.temperature)
    if bool((shades >= 0).any()):
        loss = loss + settings.shade_share * alike_loss(rows, shades, which, settings.temperature)
    for part, piece, (chosen, _, captions) in zip(catalogs, pieces, drawn, strict=True):
        share = len(chosen) / len(rows)
        names = towers.words(part.category_words(generator))
        named = category_loss(piece, names, part.labels[chosen], settings.temperature, settings.smoothing)
        said = towers.words(part.caption_rows[captions])
        needs, codes = part.caption_needs[captions], part.codes[chosen]
        fits = ((needs[None, :, :] < 0) | (needs[None, :, :] == codes[:, None, :])).all(dim=2)
        told = caption_loss(piece, said, fits, torch.zeros(len(chosen)), settings.temperature)
        loss = loss + share * (named + settings.caption_share * told)
    return loss


def _set_dropout(module: nn.Module, share: float) -> None:
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = share
