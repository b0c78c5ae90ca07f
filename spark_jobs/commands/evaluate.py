"""`shoplens evaluate`: how well a model finds its way in a labelled catalog."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from retrieval.encoders.bundles import default_cache_folder, read_bundle, verify_bundle
from retrieval.encoders.onnx import OnnxEncoder
from schemas.bundle import BUNDLE_FILE
from schemas.errors import BadData, MappingInvalid
from schemas.mapping import CatalogMapping, read_mapping
from spark_jobs.evaluation.labelled_catalog import LabelledPhoto, read_labelled_photos
from spark_jobs.evaluation.ranking import EmbeddedPhotos, embed_labelled, rank_photos, rank_words
from spark_jobs.evaluation.report import draw_report, print_report
from spark_jobs.evaluation.sender_split import is_unseen

DEFAULT_TEMPLATE = "a photo of a {category}"
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@dataclass(frozen=True)
class Protocol:
    """What is ranked against what. `label`, `exclude_same` and `split_column` are mapped columns or attributes."""

    label: str
    exclude_same: str | None
    split_column: str | None
    limit: int | None

    def choose(self, photos: Sequence[LabelledPhoto]) -> list[LabelledPhoto]:
        """Labelled photos, those of unseen senders where asked, spread evenly down to the limit. Raises MappingInvalid, BadData."""
        for column in (self.label, self.exclude_same, self.split_column):
            if column and not any(photo.value(column) for photo in photos):
                known = ", ".join(sorted({name for photo in photos for name in photo.values}))
                raise MappingInvalid(f"no row has a {column!r}: map it, or use one of {known or 'none'}")
        chosen = [photo for photo in photos if photo.value(self.label)]
        if self.split_column:
            chosen = [photo for photo in chosen if is_unseen(photo.value(self.split_column))]
        if not chosen:
            raise BadData("no photo is left to evaluate: check the mapping's [images] section and the options")
        if self.limit and self.limit < len(chosen):
            chosen = [chosen[place * len(chosen) // self.limit] for place in range(self.limit)]
        return chosen

    def describe(self, against: bool) -> str:
        parts = ["gallery against queries" if against else "leave-one-out", f"by {self.label}"]
        if self.split_column:
            parts.append(f"unseen {self.split_column} only")
        if self.exclude_same:
            parts.append(f"without photos of the same {self.exclude_same}")
        return ", ".join(parts)


@click.command()
@click.option("--catalog", required=True, type=FOLDER, help="Folder of the catalog: the gallery.")
@click.option("--mapping", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Its mapping file.")
@click.option("--model", default="default", show_default=True, help="A bundle folder, default, or an open_clip name.")
@click.option("--pretrained", help="Weights of an open_clip name: a tag, a checkpoint's path, or random.")
@click.option("--queries", type=FOLDER, help="Catalog folder of the queries; without it each photo in turn is one.")
@click.option("--queries-mapping", type=click.Path(path_type=Path, dir_okay=False), help="Its mapping, if another.")
@click.option("--label", default="category", show_default=True, help="Column that must agree.")
@click.option("--exclude-same", metavar="COLUMN", help="Hide photos whose COLUMN equals the query's.")
@click.option("--unseen-senders", is_flag=True, help="Only senders that the packaged model never saw.")
@click.option("--split-column", default="sender_id", show_default=True, help="Where --unseen-senders looks.")
@click.option("--limit", type=click.IntRange(1), help="At most so many photos, spread evenly over the catalog.")
@click.option("--text-template", default=DEFAULT_TEMPLATE, show_default=True, help="Words of a category's query.")
@click.option("--text-queries", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="JSON instead: {category: [query, …]}.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=os.cpu_count() or 1, help="For the encoder; all by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw P@k by category: .png, .svg, .pdf.")
def evaluate(
    catalog: Path, mapping: Path, model: str, pretrained: str | None, queries: Path | None,
    queries_mapping: Path | None, label: str, exclude_same: str | None, unseen_senders: bool, split_column: str,
    limit: int | None, text_template: str, text_queries: Path | None, threads: int, as_json: bool, plot: Path | None,
) -> None:  # fmt: skip
    """Figures of a model on a labelled catalog: P@1, P@5, P@10, MRR, mAP@10 and nDCG@10, image → image and
    text → image, over all, by category, and as the mean over categories."""
    protocol = Protocol(label, exclude_same, split_column if unseen_senders else None, limit)
    gallery_mapping = read_mapping(mapping)
    asked_mapping = read_mapping(queries_mapping) if queries_mapping else gallery_mapping
    rejected_rows: Counter[str] = Counter()
    gallery_photos = _choose(protocol, catalog, gallery_mapping, rejected_rows)
    asked_photos = _choose(protocol, queries, asked_mapping, rejected_rows) if queries else None
    words = _text_queries(text_queries, text_template, sorted({photo.value(label) for photo in gallery_photos}))
    folder = bundle_folder(model, pretrained)
    encoder = OnnxEncoder.load(folder, threads=threads)
    gallery = _embed(gallery_photos, encoder, folder)
    asked = _embed(asked_photos, encoder, folder) if asked_photos is not None else None
    report = {
        "catalog": catalog.name,
        "model_id": encoder.model_id,
        "runtime": encoder.runtime,
        "protocol": protocol.describe(against=queries is not None),
        "gallery_photos": len(gallery.photos),
        "query_photos": len((asked or gallery).photos),
        "rejected": _sum(rejected_rows, gallery.rejected, asked.rejected if asked else {}),
        "image_to_image": rank_photos(gallery, asked, label, exclude_same).to_document(),
    }
    if read_bundle(folder).text_input is not None:
        report["text_to_image"] = rank_words(gallery, words, label, encoder).to_document()
    _show(report, as_json, plot)


def bundle_folder(model: str, pretrained: str | None = None) -> Path:
    """The model as a verified bundle: the folder itself, or one exported into the cache. Raises ModelUnavailable."""
    if (Path(model) / BUNDLE_FILE).exists():
        verify_bundle(Path(model))
        return Path(model)
    # Importing torch takes seconds that an exported bundle does not need.
    from spark_jobs.models.export import export_bundle
    from spark_jobs.models.open_clip import load_model

    slug = re.sub(r"[^A-Za-z0-9.]+", "-", f"{model}-{pretrained or ''}").strip("-")
    folder = default_cache_folder() / "evaluated" / slug
    export_bundle(load_model(model, pretrained), folder)
    return folder


def _choose(
    protocol: Protocol, catalog: Path, mapping: CatalogMapping, rejected_rows: Counter[str]
) -> list[LabelledPhoto]:
    """The photos to rank; the catalog's rows that gave none are added to `rejected_rows`, by reason."""
    found: Counter[str] = Counter()
    photos = read_labelled_photos(catalog, mapping, found)
    rejected_rows.update(found)
    if not photos:
        why = ", ".join(f"{count} {reason}" for reason, count in found.most_common())
        raise BadData(
            f"the catalog has no row with a photo{why and f' ({why})'}: check the mapping's [source] path and [images]"
        )
    return protocol.choose(photos)


def _embed(photos: Sequence[LabelledPhoto], encoder: OnnxEncoder, folder: Path) -> EmbeddedPhotos:
    with _progress(len(photos)) as advance:
        embedded = embed_labelled(photos, encoder, read_bundle(folder).preprocessing, advance)
    if not embedded.photos:
        reason = max(embedded.rejected, key=lambda name: embedded.rejected[name])
        raise BadData(f"none of {len(photos)} photos could be read (most: {reason}): check the mapping's [images]")
    return embedded


def _text_queries(file: Path | None, template: str, categories: Sequence[str]) -> dict[str, list[str]]:
    """The words for each category. Raises BadData where the file is not {category: [query, …]}."""
    if file is None:
        if "{category}" not in template:
            raise BadData("--text-template has no {category} in it")
        return {category: [template.replace("{category}", category)] for category in categories}
    try:
        found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
        if any(isinstance(texts, str) for texts in found.values()):
            raise ValueError("the words of a category stand in no list")
        queries = {str(category): [str(text) for text in texts] for category, texts in found.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise BadData(f"{file} is not JSON of the form {{category: [query, …]}}: {error}") from None
    return queries


@contextmanager
def _progress(photos: int) -> Iterator[Any]:
    """A bar on a terminal, nothing off it."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("embedding", total=photos)
        yield lambda count: progress.advance(task, count)


def _sum(*counts: Mapping[str, int]) -> dict[str, int]:
    return {name: sum(count.get(name, 0) for count in counts) for name in sorted({key for c in counts for key in c})}


def _show(report: dict[str, Any], as_json: bool, plot: Path | None) -> None:
    if plot:
        draw_report(report, plot)
    if as_json:
        click.echo(json.dumps(_without_nan(report), indent=1, ensure_ascii=False))
    else:
        print_report(report, Console())


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: a figure without queries is null."""
    if isinstance(value, dict):
        return {key: _without_nan(found) for key, found in value.items()}
    return None if isinstance(value, float) and value != value else value
