"""A second nightly run over an unchanged catalog against the first: time beyond start-up, photos fetched and embedded.

    python -m bench.nightly [--products 4000] [--json]

Both nights run the same jobs on the same lake, a day apart. Start-up (process, imports, JVM and session) is measured
in every job's own receipt and left out. The catalog server counts the photos that it sent in full.
"""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from bench.report import Figure, compare, print_figures
from demo.nightly import Nightly, run_nightly
from schemas.intervals import DataInterval
from schemas.receipts import Receipt

FIRST_NIGHT_END = datetime(2026, 1, 2, 2, tzinfo=UTC)
ONE_DAY = timedelta(days=1)


def work_seconds(receipt: Receipt) -> float:
    """A job's time beyond its start-up."""
    return receipt.figures["seconds"] - receipt.figures["startup_seconds"]


@click.command(help=__doc__)
@click.option("--products", default=4000, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(products: int, as_json: bool) -> None:
    # Imported here: drawing needs the catalog's modules only when the bench really runs.
    from demo.setup import draw_catalog, export_model, full_bodies_sent, serve_catalog

    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="shoplens-bench-") as scratch:
        home = Path(scratch)
        catalog = draw_catalog(home / "catalog", products)
        with serve_catalog(catalog, 0) as server:
            nightly = Nightly(
                lake=home / "lake", store=home / "store", catalog=str(catalog), mapping=server.mapping,
                model=str(export_model(home / "model")),
            )  # fmt: skip
            first_interval = DataInterval(FIRST_NIGHT_END - ONE_DAY, FIRST_NIGHT_END)
            first = run_nightly(nightly, first_interval)
            sent_before = full_bodies_sent(server)
            second = run_nightly(nightly, DataInterval(FIRST_NIGHT_END, FIRST_NIGHT_END + ONE_DAY))
            sent_again = full_bodies_sent(server) - sent_before
    for job, receipt in second.items():
        figures.append(
            compare(
                "nightly", f"{job}: second night", work_seconds(receipt), "s", "first night", work_seconds(first[job])
            )
        )
    totals = [sum(work_seconds(receipt) for receipt in night.values()) for night in (second, first)]
    figures.append(
        compare("nightly", f"all jobs, {products} products: second night", totals[0], "s", "first night", totals[1])
    )
    figures.append(Figure("nightly", "photos sent in full, second night", sent_again, "photos"))
    figures.append(
        Figure("nightly", "photos embedded, second night", second["embed_images"].counts["embedded"], "photos")
    )
    print_figures(figures, as_json)


if __name__ == "__main__":
    main()
