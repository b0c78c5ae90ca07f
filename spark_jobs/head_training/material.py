"""What a training step draws from: a catalog's views, labels, captions and how often each photo is drawn."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spark_jobs.head_training.captions import ATTRIBUTES, Caption, category_caption, photo_caption
from spark_jobs.head_training.views import Views

NEEDED_COLUMNS = ("category", *ATTRIBUTES, "kids")
CAPTIONS_A_PHOTO = 6
CAPTIONS_A_CATEGORY = 24
_CATEGORY_POWER, _SENDER_POWER = 1.0, 0.25

TextFeatures = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class CatalogMaterial:
    """One catalog. Tensors by photo: `labels` (n,), `shades` (n,) category with colour or -1, `codes` (n, columns),
    `weights` (n,), `caption_places` (n, CAPTIONS_A_PHOTO). By caption: `caption_rows` (m, 384) text features,
    `caption_needs` (m, columns) codes with -1 for any. `category_rows` (categories, CAPTIONS_A_CATEGORY, 384)."""

    views: Views
    categories: list[str]
    labels: Tensor
    shades: Tensor
    codes: Tensor
    weights: Tensor
    caption_places: Tensor
    caption_rows: Tensor
    caption_needs: Tensor
    category_rows: Tensor

    def draw(self, photos: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(places of photos, their grids float32, places of a caption each), none twice."""
        chosen = torch.multinomial(self.weights, min(photos, len(self.labels)), generator=generator)
        looks = torch.randint(self.views.grids.shape[1], (len(chosen),), generator=generator)
        grids = torch.from_numpy(self.views.grids[chosen.numpy(), looks.numpy()].astype(np.float32))
        said = torch.randint(CAPTIONS_A_PHOTO, (len(chosen),), generator=generator)
        return chosen, grids, self.caption_places[chosen, said]

    def category_words(self, generator: torch.Generator) -> Tensor:
        """One caption's features for each category, (categories, 384)."""
        said = torch.randint(CAPTIONS_A_CATEGORY, (len(self.categories),), generator=generator)
        return self.category_rows[torch.arange(len(self.categories)), said]


def prepare_material(views: Views, sender_column: str, features: TextFeatures, seed: int) -> CatalogMaterial:
    """Label, caption and weigh a catalog's views. Rare categories and senders with few photos are drawn more often."""
    rng = random.Random(seed)
    values = [{name: photo.value(name) for name in NEEDED_COLUMNS} for photo in views.photos]
    categories = sorted({row["category"] for row in values})
    vocabulary = [sorted({row[name] for row in values} - {""}) for name in NEEDED_COLUMNS]
    captions: dict[str, Caption] = {}
    said = [[_remember(captions, photo_caption(row, rng)) for _ in range(CAPTIONS_A_PHOTO)] for row in values]
    place = {text: number for number, text in enumerate(captions)}
    of_category = [[category_caption(name, rng).text for _ in range(CAPTIONS_A_CATEGORY)] for name in categories]
    shades = [f"{row['category']} {row['colour']}" if row["colour"] else "" for row in values]
    known_shades = {shade: code for code, shade in enumerate(sorted(set(shades) - {""}))}
    return CatalogMaterial(
        views=views,
        categories=categories,
        labels=torch.tensor([categories.index(row["category"]) for row in values]),
        shades=torch.tensor([known_shades.get(shade, -1) for shade in shades]),
        codes=torch.tensor([_code(row, vocabulary) for row in values]),
        weights=_draw_weights(views, sender_column),
        caption_places=torch.tensor([[place[text] for text in texts] for texts in said]),
        caption_rows=features(list(captions)),
        caption_needs=torch.tensor([_code(caption.needs, vocabulary) for caption in captions.values()]),
        category_rows=torch.stack([features(texts) for texts in of_category]),
    )


def _remember(captions: dict[str, Caption], caption: Caption) -> str:
    # The first to say a text decides what it needs; the same words from another photo mean the same.
    return captions.setdefault(caption.text, caption).text


def _code(row: Mapping[str, str], vocabulary: list[list[str]]) -> list[int]:
    return [
        known.index(row[name]) if row.get(name) in known else -1
        for name, known in zip(NEEDED_COLUMNS, vocabulary, strict=True)
    ]


def _draw_weights(views: Views, sender_column: str) -> Tensor:
    categories = [photo.value("category") for photo in views.photos]
    senders = [photo.value(sender_column) or photo.value("group_id") for photo in views.photos]
    in_category, from_sender = Counter(categories), Counter(senders)
    return torch.tensor(
        [
            in_category[category] ** -_CATEGORY_POWER * from_sender[sender] ** -_SENDER_POWER
            for category, sender in zip(categories, senders, strict=True)
        ]
    )
