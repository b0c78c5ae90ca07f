"""The hourly run against the nightly run, each with 1 % of the catalog changed: time beyond start-up, and bytes written.

    python -m bench.hourly [--products 100000] [--json] [--home FOLDER]

Of the changed products eight in ten got another price, one was removed, one has another photo; a tenth as many are new.
The hour takes just these; the night takes the whole catalog, with another 1 % changed. Links of changed products are
looked at (files here), so downloads from a shop are not in either time.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click

from bench.nightly import work_seconds
from bench.report import Figure, compare, print_figures
from bench.synthetic_lake import FIRST_NIGHT, SyntheticShop, later, percent_of
from demo.nightly import HOURLY_JOBS, JOBS, ROOT, run_nightly
from demo.setup import export_model
from retrieval.publishing.publish import publish
from retrieval.store.objects import FolderStore
from schemas.pointer import Served
from schemas.receipts import Receipt

STEPS = ("ingest_catalog", "fetch_images", "embed_images", "build_delta", "evaluate_delta", "publish_deltas")


def publish_first_base(shop: SyntheticShop) -> None:
    """Built by the real job; published without the gate, which the night that is measured passes."""
    built = run_nightly(shop.nightly, FIRST_NIGHT, jobs=("build_index",))["build_index"]
    served = Served(str(built.facts["build_id"]), str(built.facts["model_id"]))
    publish(FolderStore(shop.nightly.store), served, FIRST_NIGHT.key, built.table_versions, "first night")


def run_hour(shop: SyntheticShop) -> tuple[Receipt, int]:
    """One percent changed, as changes. Returns the application's receipt and the bytes it wrote."""
    edits = percent_of(shop.products, 1)
    changes = shop.write_catalog("changes", edits.all, edits)
    before = bytes_of(shop)
    receipts = run_nightly(shop.nightly.of_hours(str(changes)), later(1), jobs=HOURLY_JOBS)
    return receipts["apply_changes"], bytes_of(shop) - before


def run_night(shop: SyntheticShop) -> tuple[Mapping[str, Receipt], int]:
    """Another percent changed, as a whole catalog. Returns receipts by job and the bytes they wrote."""
    edits = percent_of(shop.products, 1) | percent_of(shop.products, 2)
    there = (frozenset(range(shop.products)) | edits.added) - edits.removed
    nightly = replace(shop.nightly, catalog=str(shop.write_catalog("second", there, edits)))
    before = bytes_of(shop)
    return run_nightly(nightly, later(2, timedelta(days=1)), jobs=JOBS), bytes_of(shop) - before


def bytes_of(shop: SyntheticShop) -> int:
    """Of all files of lake and store."""
    folders = (shop.nightly.lake, shop.nightly.store)
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def compare_runs(shop: SyntheticShop) -> list[Figure]:
    publish_first_base(shop)
    hour, hour_bytes = run_hour(shop)
    night, night_bytes = run_night(shop)
    night_seconds = sum(work_seconds(receipt) for receipt in night.values())
    named = f"{shop.products} products, 1 % changed"
    figures = [
        compare("hourly", f"hour beyond start-up, {named}", work_seconds(hour), "s", "night", night_seconds),
        compare("hourly", f"bytes written by the hour, {named}", hour_bytes / 1e6, "MB", "night", night_bytes / 1e6),
    ]
    for step in STEPS:
        seconds = hour.figures[f"{step}_seconds"]
        if step == "ingest_catalog":
            seconds -= hour.figures["startup_seconds"]
        figures.append(Figure("hourly", f"hour: {step}", seconds, "s"))
    figures += [Figure("hourly", f"night: {job}", work_seconds(receipt), "s") for job, receipt in night.items()]
    for name in ("rows", "tombstones", "changed", "products_compared"):
        figures.append(Figure("hourly", f"delta: {name}", hour.counts[f"build_delta_{name}"], "rows"))
    return figures


@click.command(help=__doc__)
@click.option("--products", default=100_000, show_default=True)
@click.option("--home", type=click.Path(path_type=Path), help="Folder to work in (default: a temporary one).")
@click.option("--json", "as_json", is_flag=True)
def main(products: int, home: Path | None, as_json: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="shoplens-bench-") if home is None else nullcontext(str(home)) as folder:
        shop = SyntheticShop(Path(folder).absolute(), products)
        shop.home.mkdir(parents=True, exist_ok=True)
        export_model(shop.home / "model")
        # In a process of its own: its JVM would take memory from the runs that are measured.
        made = [sys.executable, "-m", "bench.synthetic_lake", str(shop.home), "--products", str(products)]
        subprocess.run(made, cwd=ROOT, check=True)
        print_figures(compare_runs(shop), as_json)


if __name__ == "__main__":
    main()
