"""The training loop: photos of a category together, and beside the words for them.

Several members are trained from the same start on different draws, and their weights averaged (Wortsman et al. 2022,
model soups): what each learned by heart cancels out, and the model stays as large and as fast as one of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spark_jobs.head_training.losses import alike_loss, caption_loss, category_loss, finding_loss
from spark_jobs.head_training.material import CatalogMaterial
from spark_jobs.head_training.tail import Tail

MAX_GRADIENT = 5.0


@dataclass(frozen=True)
class Settings:
    """`start`: (stage, block) of the trunk from which it is trained; `batch`: photos of each catalog in a step;
    `members`: how often `steps` are trained, each with another seed, before the weights are averaged;
    `mixing`: both parameters of the Beta that proportions of mixed photos are drawn from;
    `tail_rate`: the trunk's learning rate as a share of the heads'."""

    start: tuple[int, int] = (5, 1)
    members: int = 8
    steps: int = 160
    batch: tuple[int, ...] = (112, 40)
    learning_rate: float = 1e-3
    tail_rate: float = 0.3
    weight_decay: float = 0.05
    dropout: float = 0.3
    temperature: float = 0.1
    smoothing: float = 0.1
    shade_share: float = 0.5
    caption_share: float = 0.5
    finding_share: float = 1.0
    mixed_share: float = 1.3
    mixing: float = 0.4
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
    """Train in place, and leave the mean of the members' weights. `after_step` gets the steps done and the loss.

    The same seed gives the same weights on the same number of threads.
    """
    start = [parameter.detach().clone() for parameter in towers.parameters()]
    mean = [torch.zeros_like(parameter) for parameter in start]
    _set_dropout(towers.image_head, settings.dropout)
    for member in range(settings.members):
        _set_parameters(towers, start)
        _fit_member(towers, catalogs, settings, member, partial(_count_on, member * settings.steps, after_step))
        for total, parameter in zip(mean, towers.parameters(), strict=True):
            total += parameter.detach() / settings.members
    _set_parameters(towers, mean)
    towers.eval()


def _count_on(done: int, after_step: Callable[[int, float], None], step: int, loss: float) -> None:
    after_step(done + step, loss)


def _fit_member(
    towers: TrainedTowers,
    catalogs: Sequence[CatalogMaterial],
    settings: Settings,
    member: int,
    after_step: Callable[[int, float], None],
) -> None:
    """AdamW, one cycle of the learning rate."""
    generator = torch.Generator().manual_seed(settings.seed * settings.members + member)
    torch.manual_seed(settings.seed * settings.members + member)  # Dropout draws from the global generator.
    heads = [*towers.image_head.parameters(), *towers.text_head.parameters()]
    rates = [settings.learning_rate * settings.tail_rate, settings.learning_rate]
    groups = [{"params": list(towers.tail.parameters()), "lr": rates[0]}, {"params": heads, "lr": rates[1]}]
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=settings.steps, pct_start=0.1)
    towers.train()
    for step in range(settings.steps):
        loss = _loss(towers, catalogs, settings, generator)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(towers.parameters(), MAX_GRADIENT)
        optimiser.step()
        schedule.step()
        after_step(step + 1, float(loss.detach()))


def _loss(
    towers: TrainedTowers, catalogs: Sequence[CatalogMaterial], settings: Settings, generator: torch.Generator
) -> Tensor:
    """Same category together, same category and colour closer, the category's name both ways, the photo's caption;
    and mixtures of photos near the names of both."""
    drawn = [part.draw(photos, generator) for part, photos in zip(catalogs, settings.batch, strict=True)]
    rows = towers.photos(torch.cat([grids for _, grids, _ in drawn]))
    pieces = rows.split([len(chosen) for chosen, _, _ in drawn])
    which = torch.cat([torch.full((len(chosen),), number) for number, (chosen, _, _) in enumerate(drawn)])
    labels = torch.cat([part.labels[chosen] for part, (chosen, _, _) in zip(catalogs, drawn, strict=True)])
    shades = torch.cat([part.shades[chosen] for part, (chosen, _, _) in zip(catalogs, drawn, strict=True)])
    loss = alike_loss(rows, labels, which, settings.temperature)
    if bool((shades >= 0).any()):
        loss = loss + settings.shade_share * alike_loss(rows, shades, which, settings.temperature)
    for part, piece, (chosen, grids, captions) in zip(catalogs, pieces, drawn, strict=True):
        share = len(chosen) / len(rows)
        names = towers.words(part.category_words(generator))
        mixed = _mixed_loss(towers, grids, part.labels[chosen], names, settings, generator)
        named = category_loss(piece, names, part.labels[chosen], settings.temperature, settings.smoothing)
        found = finding_loss(names, piece, part.labels[chosen], settings.temperature)
        said = towers.words(part.caption_rows[captions])
        needs, codes = part.caption_needs[captions], part.codes[chosen]
        fits = ((needs[None, :, :] < 0) | (needs[None, :, :] == codes[:, None, :])).all(dim=2)
        told = caption_loss(piece, said, fits, torch.zeros(len(chosen)), settings.temperature)
        loss = loss + share * (
            named + settings.finding_share * found + settings.caption_share * told + settings.mixed_share * mixed
        )
    return loss


def _mixed_loss(
    towers: TrainedTowers, grids: Tensor, labels: Tensor, names: Tensor, settings: Settings, generator: torch.Generator
) -> Tensor:
    """Manifold mixup (Verma et al. 2019) of half of the grids, each with another photo's, in one proportion."""
    half = (len(grids) + 1) // 2
    other = torch.randperm(len(grids), generator=generator)[:half]
    part = float(torch.distributions.Beta(settings.mixing, settings.mixing).sample())
    scores = towers.photos(part * grids[:half] + (1 - part) * grids[other]) @ names.T / settings.temperature
    return part * F.cross_entropy(scores, labels[:half]) + (1 - part) * F.cross_entropy(scores, labels[other])


@torch.no_grad()
def _set_parameters(towers: TrainedTowers, values: Sequence[Tensor]) -> None:
    for parameter, value in zip(towers.parameters(), values, strict=True):
        parameter.copy_(value)


def _set_dropout(module: nn.Module, share: float) -> None:
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = share
