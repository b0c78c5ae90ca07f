"""`shoplens model train-heads`: train the packaged model's heads and last blocks on labelled catalogs.

    python -m demo.catalog --out DEMO --products 480 --seed 11 --fault-share 0
    shoplens model train-heads --catalog CLOTHING --mapping demo/clothing.toml \\
        --catalog DEMO --mapping DEMO/mapping.toml --out retrieval/packaged

Senders of part 4 (spark_jobs/evaluation/sender_split.py) are never read; with --validate those of part 1 are kept back too, and
figures on their photos, beside those of the backbone as it comes, say which settings are good.
"""

import json
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import torch
from open_clip.tokenizer import HFTokenizer
from rich.console import Console
from rich.progress import Progress
from safetensors.torch import save_file

from schemas.errors import BadData, MappingInvalid
from schemas.mapping import read_mapping
from spark_jobs.evaluation.labelled_catalog import LabelledPhoto, read_labelled_photos
from spark_jobs.evaluation.sender_split import RULE, UNSEEN_PART, VALIDATION_PART, part_of
from spark_jobs.head_training.fit import Settings, TrainedTowers, fit
from spark_jobs.head_training.material import TextFeatures, prepare_material
from spark_jobs.head_training.validation import validate_backbone, validate_views
from spark_jobs.head_training.views import Views, grid_shape, make_views
from spark_jobs.models.export import preprocessing_of
from spark_jobs.models.packaged import (
    CONFIG_FILE,
    HEADS_FILE,
    PACKAGED_FOLDER,
    TRAINING_FILE,
    assemble,
    pack_trained,
    read_packaged_config,
)

VIEWS = (8, 4)
_TEXTS_AT_ONCE = 64


@dataclass(frozen=True)
class Split:
    """One catalog's photos: trained on, and kept back to choose settings by."""

    name: str
    train: list[LabelledPhoto]
    validation: list[LabelledPhoto]


@click.command()
@click.option("--catalog", "catalogs", multiple=True, required=True, help="Folder of a catalog; repeatable.",
              type=click.Path(path_type=Path, exists=True, file_okay=False))  # fmt: skip
@click.option("--mapping", "mappings", multiple=True, required=True, help="Its mapping file, in the same order.",
              type=click.Path(path_type=Path, dir_okay=False))  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for the heads.")
@click.option(
    "--work", type=click.Path(path_type=Path, file_okay=False), help="Folder for views; removed if not named."
)
@click.option("--sender-column", default="sender_id", show_default=True, help="Who took the photo, where known.")
@click.option("--start", default="5.1", show_default=True, help="STAGE.BLOCK of the trunk from which it is trained.")
@click.option("--views", multiple=True, type=click.IntRange(1), help="Looks at each photo of a catalog; 8, then 4.")
@click.option("--members", type=click.IntRange(1), default=Settings.members, show_default=True,
              help="Trainings whose weights are averaged.")  # fmt: skip
@click.option("--steps", type=click.IntRange(2), default=Settings.steps, show_default=True)
@click.option("--batch", "batches", multiple=True, type=click.IntRange(2), help="Photos of each catalog in a step.")
@click.option("--learning-rate", type=float, default=Settings.learning_rate, show_default=True)
@click.option("--tail-rate", type=float, default=Settings.tail_rate, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True,
              help="The same seed gives the same weights only on as many threads.")  # fmt: skip
@click.option("--validate", is_flag=True, help="Keep the validation senders back and print figures on them.")
def train_heads(
    catalogs: tuple[Path, ...], mappings: tuple[Path, ...], out: Path, work: Path | None, sender_column: str,
    start: str, views: tuple[int, ...], members: int, steps: int, batches: tuple[int, ...], learning_rate: float,
    tail_rate: float, seed: int, threads: int, validate: bool,
) -> None:  # fmt: skip
    """Train projection heads and the image tower's last blocks, and write them with their configuration."""
    if len(catalogs) != len(mappings):
        raise MappingInvalid(f"{len(catalogs)} catalogs but {len(mappings)} mapping files: give one for each")
    settings = Settings(
        start=_place(start), members=members, steps=steps, batch=batches or _for_each(Settings.batch, catalogs),
        learning_rate=learning_rate, tail_rate=tail_rate, seed=seed,
    )  # fmt: skip
    looks = views or _for_each(VIEWS, catalogs)
    if {len(settings.batch), len(looks)} != {len(catalogs)}:
        raise BadData(f"{len(catalogs)} catalogs: give --batch and --views once for each, or leave them out")
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    splits = [
        split_catalog(catalog, mapping, sender_column, validate)
        for catalog, mapping in zip(catalogs, mappings, strict=True)
    ]
    with _work_folder(work) as folder:
        figures = train(splits, settings, looks, threads, sender_column, folder, out)
    record = {
        "command": shlex.join(["shoplens", "model", "train-heads", *sys.argv[3:]]),
        "settings": asdict(settings),
        "views": looks,
        "threads": threads,
        "versions": {name: version(name) for name in ("torch", "open_clip_torch", "timm", "openvino", "pillow")},
        "split": RULE,
        "photos": {split.name: len(split.train) for split in splits},
        "photos_kept_back_for_validation": {split.name: len(split.validation) for split in splits},
        "validation": figures,
    }
    (out / TRAINING_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    click.echo(json.dumps(figures, indent=1))


def split_catalog(catalog: Path, mapping: Path, sender_column: str, validate: bool) -> Split:
    """Labelled photos without those of unseen senders. Photos without a sender are all trained on.

    Raises BadData where none is left.
    """
    rejected: Counter[str] = Counter()
    found = read_labelled_photos(catalog, read_mapping(mapping), rejected)
    photos = [photo for photo in found if photo.value("category")]
    parts = [part_of(photo.value(sender_column)) if photo.value(sender_column) else -1 for photo in photos]
    kept = {UNSEEN_PART, VALIDATION_PART} if validate else {UNSEEN_PART}
    train = [photo for photo, part in zip(photos, parts, strict=True) if part not in kept]
    if not train:
        raise BadData(f"{catalog} has no photo with a category to train on: check {mapping}")
    if len(photos) < len(found):
        rejected["no_category"] = len(found) - len(photos)
    _say_left_out(rejected, f"of the rows and photos of {catalog}")
    held = [photo for photo, part in zip(photos, parts, strict=True) if validate and part == VALIDATION_PART]
    return Split(catalog.name, train, held)


def _say_left_out(rejected: Mapping[str, int], of: str) -> None:
    if rejected:
        reasons = ", ".join(f"{number} {reason}" for reason, number in Counter(rejected).most_common())
        click.echo(f"{of} were left out: {reasons}", err=True)


def train(
    splits: Sequence[Split],
    settings: Settings,
    views: Sequence[int],
    threads: int,
    sender_column: str,
    work: Path,
    out: Path,
) -> dict[str, Any]:
    """Train, write heads and configuration into `out`, and return figures on what was kept back, by catalog."""
    config = read_packaged_config()
    model: Any = assemble(config["model_cfg"]).eval()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    preprocessing = preprocessing_of(config["preprocess_cfg"])
    side, _ = grid_shape(model.visual.trunk, settings.start, preprocessing.image_size)

    def look(name: str, photos: Sequence[LabelledPhoto], each: int) -> Views:
        with _progress(f"views of {name}", len(photos)) as advance:
            made = make_views(
                photos, model.visual.trunk, settings.start, preprocessing, each, work / f"{name}.npy", threads,
                settings.seed, advance,
            )  # fmt: skip
        if not made.photos:
            reason = max(made.rejected, key=lambda reason: made.rejected[reason])
            raise BadData(f"none of {len(photos)} photos could be read (most: {reason}): check the mapping's [images]")
        _say_left_out(made.rejected, f"of {len(photos)} photos of {name}")
        return made

    features = text_features(model, config["model_cfg"]["text_cfg"])
    material, held = [], {}
    for number, split in enumerate(splits):
        seen = look(f"{number}-{split.name}", split.train, views[number])
        material.append(prepare_material(seen, sender_column, features, settings.seed))
        if split.validation:
            held[split.name] = look(f"{number}-{split.name}-validation", split.validation, 1)
    towers = TrainedTowers(model, settings, side)
    backbone = {name: validate_backbone(towers, seen, sender_column) for name, seen in held.items()}
    with _progress("training", settings.members * settings.steps) as advance:
        fit(towers, material, settings, lambda step, loss: advance(1))
    figures = {
        name: {"trained": validate_views(towers, seen, sender_column, features), "bare backbone": backbone[name]}
        for name, seen in held.items()
    }
    write_trained(model, towers, settings, before, out)
    return figures


def text_features(model: Any, text_cfg: dict[str, Any]) -> TextFeatures:
    """Texts to the text tower's pooled rows before its head, (n, 384) float32."""
    tokenizer = HFTokenizer(text_cfg["hf_tokenizer_name"], context_length=text_cfg["context_length"])
    head = model.text.proj

    @torch.no_grad()
    def features(texts: Sequence[str]) -> torch.Tensor:
        model.text.proj = torch.nn.Identity()
        try:
            rows = []
            for first in range(0, len(texts), _TEXTS_AT_ONCE):
                tokens = tokenizer(list(texts[first : first + _TEXTS_AT_ONCE]))
                longest = int((tokens != 0).sum(dim=1).max())
                rows.append(model.encode_text(tokens[:, :longest]).clone())
            return torch.cat(rows)
        finally:
            model.text.proj = head

    return features


def write_trained(
    model: Any, towers: TrainedTowers, settings: Settings, before: dict[str, torch.Tensor], out: Path
) -> None:
    """Write what training changed, beside the configuration that it fits."""
    towers.tail.write_back(model.visual.trunk, *settings.start)
    out.mkdir(parents=True, exist_ok=True)
    save_file(pack_trained(before, model.state_dict()), out / HEADS_FILE)
    (out / HEADS_FILE).chmod(0o644)
    if out.resolve() != PACKAGED_FOLDER.resolve():
        (out / CONFIG_FILE).write_bytes((PACKAGED_FOLDER / CONFIG_FILE).read_bytes())


def _for_each(defaults: tuple[int, ...], catalogs: Sequence[Path]) -> tuple[int, ...]:
    """The first catalog's default, and the second's for all others."""
    return (defaults[0], *[defaults[1]] * (len(catalogs) - 1))


def _place(start: str) -> tuple[int, int]:
    stage, _, block = start.partition(".")
    if not (stage.isdigit() and block.isdigit() and (4, 0) < (int(stage), int(block)) < (7, 1)):
        raise BadData(f"--start {start} is no STAGE.BLOCK between 4.1 and 7.0 (the last convolution alone)")
    return int(stage), int(block)


@contextmanager
def _work_folder(work: Path | None) -> Iterator[Path]:
    if work is None:
        with tempfile.TemporaryDirectory(prefix="shoplens-views-") as folder:
            yield Path(folder)
    else:
        work.mkdir(parents=True, exist_ok=True)
        yield work


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing off it."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)
