"""Write a shop's catalog: rows, photos, faults and mapping file.

    python -m demo.catalog --out DIR --products 600 --seed 7 --day 0

DIR/catalog.csv     one row a product (or catalog.jsonl, catalog.parquet)
DIR/photos/         drawn at once, or on demand by demo.server with --lazy
DIR/faults.csv      the truth about what is wrong: path or row, kind, the reason it should end with
DIR/mapping.toml    which column is what (schemas/mapping.py)
DIR/demo.json       the seed and sizes that the server and the tests need
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from demo.days import catalog_as_of, changes_of_day
from demo.faults import PHOTO_FAULT_SHARE, PHOTO_FAULTS, photo_fault, write_faults
from demo.files import MOVED_SUFFIX, modified_at, photo_bytes, photo_path
from demo.products import Product
from demo.rows import FORMATS, bad_rows, row_of, write_mapping, write_rows

PHOTOS_A_TASK = 32


@dataclass(frozen=True)
class CatalogPlan:
    """What is to be written. day: edits applied; fault_share: part of the photos with a fault, 0–1."""

    products: int = 600
    seed: int = 7
    day: int = 0
    table_format: str = "csv"
    lazy: bool = False
    bad_rows: bool = False
    changes_only: bool = False
    fault_share: float = PHOTO_FAULT_SHARE
    base_url: str | None = None


@dataclass(frozen=True)
class CatalogSummary:
    """What was written."""

    products: int
    photos: int
    photos_drawn: int
    faulty_photos: int
    bad_rows: int


def write_catalog(folder: Path, plan: CatalogPlan, workers: int | None = None) -> CatalogSummary:
    """Write the catalog as of the plan's day. Photos that an earlier call wrote for the same seed are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    _drop_photos_of_another_seed(folder, plan)
    chosen = list(catalog_as_of(plan.seed, plan.products, plan.day))
    photos = [(product.number, view) for product in chosen for view in product.views]
    faults = {photo: photo_fault(plan.seed, *photo, plan.fault_share) for photo in photos}
    removed: list[Product] = []
    if plan.changes_only:
        chosen, removed = changes_of_day(plan.seed, plan.products, plan.day)
    spoilt = _write_rows(folder, plan, chosen, removed)
    wrong = {photo_path(*photo): kind for photo, kind in faults.items() if kind is not None}
    write_faults(folder, wrong, spoilt)
    write_mapping(folder, plan.table_format, plan.base_url)
    (folder / "demo.json").write_text(json.dumps(asdict(plan), indent=1) + "\n", encoding="utf-8")
    drawn = 0 if plan.lazy else _write_photos(folder, plan, faults, workers)
    return CatalogSummary(len(chosen), len(photos), drawn, len(wrong), len(spoilt))


def read_plan(folder: Path) -> CatalogPlan:
    """Return the plan that a folder was written by. Raises FileNotFoundError where there is none."""
    return CatalogPlan(**json.loads((folder / "demo.json").read_text(encoding="utf-8")))


def _drop_photos_of_another_seed(folder: Path, plan: CatalogPlan) -> None:
    if not (folder / "demo.json").exists():
        return
    before = read_plan(folder)
    if (before.seed, before.fault_share) != (plan.seed, plan.fault_share):
        for photo in (folder / "photos").glob("*/*.jpg"):
            photo.unlink()


def _write_rows(
    folder: Path, plan: CatalogPlan, products: Sequence[Product], removed: Sequence[Product]
) -> list[tuple[int, str]]:
    """Write the table; return (row number from 1, kind) of each bad row."""
    rows = [row_of(product, plan.base_url) for product in products]
    rows += [row_of(product, plan.base_url, removed=True) for product in removed]
    spoilt = bad_rows(rows, plan.table_format) if plan.bad_rows else []
    write_rows(folder / f"catalog.{plan.table_format}", [*rows, *(row for _, row in spoilt)], plan.table_format)
    return [(len(rows) + place, kind) for place, (kind, _) in enumerate(spoilt, 1)]


def _write_photos(
    folder: Path, plan: CatalogPlan, faults: dict[tuple[int, int], str | None], workers: int | None
) -> int:
    """Draw the photos that are not there yet; return their number."""
    files = []
    for (number, view), kind in faults.items():
        suffix = MOVED_SUFFIX if kind == "moved" else ""
        has_file = kind is None or PHOTO_FAULTS[kind].file or kind == "moved"
        if has_file and not (folder / photo_path(number, view, suffix)).exists():
            files.append((photo_path(number, view, suffix), number, view, kind))
    for sub in sorted({os.path.dirname(path) for path, *_ in files}):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    tasks = [(folder, plan.seed, files[start : start + PHOTOS_A_TASK]) for start in range(0, len(files), PHOTOS_A_TASK)]
    workers = min(workers or os.cpu_count() or 1, len(tasks))
    if workers <= 1:
        for task in tasks:
            _draw_files(*task)
    else:
        # Forked children would inherit the locks of a parent's threads (a Spark driver's, a server's).
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for future in [pool.submit(_draw_files, *task) for task in tasks]:
                future.result()
    return len(files)


def _draw_files(folder: Path, seed: int, files: Sequence[tuple[str, int, int, str | None]]) -> None:
    for path, number, view, kind in files:
        target = folder / path
        unfinished = target.with_suffix(".part")
        unfinished.write_bytes(photo_bytes(seed, number, view, kind))
        seconds = modified_at(number, view).timestamp()
        os.utime(unfinished, (seconds, seconds))
        unfinished.replace(target)


@click.command(help="Write a demo shop's catalog into a folder.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--products", type=click.IntRange(0), default=600, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True)
@click.option("--day", type=click.IntRange(0), default=0, show_default=True, help="Edits applied; 0 is the base.")
@click.option("--format", "table_format", type=click.Choice(FORMATS), default="csv", show_default=True)
@click.option("--lazy", is_flag=True, help="Draw no photos; demo.server draws them on demand.")
@click.option("--bad-rows", is_flag=True, help="Add a row of each bad kind.")
@click.option(
    "--changes-only", is_flag=True, help="Only the rows that the day changed, added or removed (removed = true)."
)
@click.option("--fault-share", type=click.FloatRange(0, 1), default=PHOTO_FAULT_SHARE, show_default=True)
@click.option("--base-url", help="Write absolute links that start with this.")
@click.option("--workers", type=click.IntRange(1), help="Processes that draw; one a core by default.")
def main(out: Path, workers: int | None, **options: object) -> None:
    """Write a catalog and print what was written."""
    summary = write_catalog(out, CatalogPlan(**options), workers)  # type: ignore[arg-type]
    click.echo(json.dumps(asdict(summary)))


if __name__ == "__main__":
    main()
