"""The canary: one product of the drawn shop that is changed at the source and looked for until a search shows it.

    python -m demo.canary --catalog DIR --changes DIR --price 4321 --title "Canary 1"

writes DIR/catalog.csv with that one row, as a shop would export an hour's changes; `catalog_hourly` takes it from there.
Ask a searcher what it knows with --ask http://127.0.0.1:8080: exit code 0 where a search shows the change, else 1.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import requests

from demo.faults import read_faults
from demo.rows import IMAGE_COLUMNS

CATALOG_FILE = "catalog.csv"
TIMEOUT_S = 30


@dataclass(frozen=True)
class Canary:
    """A product as it is to be found: with this title, at this price."""

    product_id: str
    title: str
    price: float


def change_canary(catalog: Path, changes: Path, title: str, price: float) -> Canary:
    """Write the changes of an interval in which only the canary got another title and price.

    Rows are those of DIR/catalog.csv. Raises FileNotFoundError without one, StopIteration where no product will do.
    """
    row = next(sound_rows(catalog))
    changes.mkdir(parents=True, exist_ok=True)
    partial = changes / f".{CATALOG_FILE}.partial"
    with partial.open("w", newline="", encoding="utf-8") as sink:
        writer = csv.DictWriter(sink, list(row))
        writer.writeheader()
        writer.writerow(row | {"name": title, "price": f"{price:.2f}"})
    partial.replace(changes / CATALOG_FILE)
    return Canary(row["sku"], title, price)


def sound_rows(catalog: Path) -> Iterator[dict[str, str]]:
    """Products that can be bought and whose every photo is as it should be; no id that stands twice."""
    faulty = tuple(read_faults(catalog))
    with (catalog / CATALOG_FILE).open(newline="", encoding="utf-8", errors="replace") as source:
        rows = list(csv.DictReader(source))
    ids = [row["sku"] for row in rows]
    for row in rows:
        links = [row[column] for column in IMAGE_COLUMNS if row[column]]
        is_sound = bool(links) and not any(link.endswith(path) for link in links for path in faulty)
        if is_sound and ids.count(row["sku"]) == 1 and (row["in_stock"], row["removed"]) == ("true", "false"):
            yield row


def is_shown(base_url: str, canary: Canary) -> bool:
    """Whether a search at just this price finds the canary under its new title. Raises requests.RequestException."""
    asked = {"text": canary.title, "filters": {"price": {"equals": canary.price}}, "k": 5}
    reply = requests.post(f"{base_url}/search", json=asked, timeout=TIMEOUT_S)
    reply.raise_for_status()
    found = {(result["product_id"], result["title"]) for result in reply.json()["results"]}
    return (canary.product_id, canary.title) in found


@click.command(help=__doc__)
@click.option("--catalog", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--changes", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--title", default="Canary", show_default=True)
@click.option("--price", type=click.FloatRange(0, min_open=True), default=4321.0, show_default=True)
@click.option("--ask", "base_url", help="ask this searcher instead of writing a change")
def main(catalog: Path, changes: Path, title: str, price: float, base_url: str | None) -> None:
    if base_url is None:
        canary = change_canary(catalog, changes, title, price)
        click.echo(f"{canary.product_id} is to be found as {canary.title!r} at {canary.price:.2f}")
        return
    shown = is_shown(base_url, Canary(next(sound_rows(catalog))["sku"], title, price))
    click.echo("shown" if shown else "not shown")
    sys.exit(0 if shown else 1)


if __name__ == "__main__":
    main()
