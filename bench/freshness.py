"""From a change at the source to a search that shows it: the canary's title and price, several times.

    python -m bench.freshness [--products 600] [--changes 5] [--json]

A drawn shop is published by the nightly jobs, and a searcher serves it. Then, for each change: the canary's row is
written as an hour's changes, the hourly application starts at once, as it does when the scheduler's interval ends, and a
search is asked ten times a second until its answer has the new title and price. The time is counted from the change;
the scheduler's interval and its own delay come on top. A part of it is the start of Python, JVM and session.
"""

import socket
import statistics
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import requests

from bench.report import Figure, print_figures
from demo.canary import Canary, change_canary, is_shown
from demo.nightly import HOURLY_JOBS, Nightly, run_nightly
from demo.run import IMPATIENT, searcher
from demo.setup import draw_catalog, export_model, serve_catalog
from schemas.intervals import DataInterval
from schemas.receipts import Receipt

BENCH = "freshness"
GOAL_S = 60.0
NIGHT_END = datetime(2026, 1, 2, 2, tzinfo=UTC)
ONE_HOUR = timedelta(hours=1)
STEPS = ("ingest_catalog", "fetch_images", "embed_images", "build_delta", "evaluate_delta", "publish_deltas")
_ASK_EVERY_S = 0.1
_GIVE_UP_S = 600.0
_PUBLISH_TO_SWAP = "shoplens_publish_to_swap_seconds"


@dataclass(frozen=True)
class Freshness:
    """One change: seconds until it was shown, of these in the application, its start and its steps; and from publish to
    swap."""

    shown_s: float
    application_s: float
    startup_s: float
    publish_to_swap_s: float
    steps_s: dict[str, float] = field(default_factory=dict)


def measure_change(nightly: Nightly, catalog: Path, changes: Path, base_url: str, number: int) -> Freshness:
    """Change the canary, run the hour, and ask until the answer shows it. Raises JobFailed, TimeoutError."""
    end = NIGHT_END + number * ONE_HOUR
    started = time.monotonic()
    canary = change_canary(catalog, changes, f"Canary {number}", 4000.0 + number)
    with ThreadPoolExecutor(1) as pool:
        hour = pool.submit(
            run_nightly, nightly.of_hours(str(changes)), DataInterval(end - ONE_HOUR, end), jobs=HOURLY_JOBS
        )
        shown_at = _wait_until_shown(base_url, canary, hour)
        receipt: Receipt = hour.result()["apply_changes"]
    return Freshness(
        shown_s=shown_at - started, application_s=receipt.figures["seconds"],
        startup_s=receipt.figures["startup_seconds"], publish_to_swap_s=_gauge(base_url, _PUBLISH_TO_SWAP),
        steps_s={step: receipt.figures[f"{step}_seconds"] for step in STEPS},
    )  # fmt: skip


def _wait_until_shown(base_url: str, canary: Canary, hour: Future[dict[str, Receipt]]) -> float:
    """time.monotonic() when a search shows it. Raises what the hour raised, or TimeoutError."""
    give_up = time.monotonic() + _GIVE_UP_S
    while time.monotonic() < give_up:
        if is_shown(base_url, canary):
            return time.monotonic()
        if hour.done():
            hour.result()
        time.sleep(_ASK_EVERY_S)
    raise TimeoutError(f"{canary} is not shown after {_GIVE_UP_S:.0f} s")


def _gauge(base_url: str, name: str) -> float:
    lines = requests.get(f"{base_url}/metrics", timeout=30).text.splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(f"{name} ")))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def figures_of(found: list[Freshness], products: int) -> list[Figure]:
    """Medians, and the slowest against the goal."""
    shown = [one.shown_s for one in found]
    beyond_start = [one.shown_s - one.startup_s for one in found]
    slowest = max(shown)
    return [
        Figure(BENCH, f"{products} products: source change → searchable, median", statistics.median(shown), "s"),
        Figure(BENCH, "the slowest", slowest, "s", f"goal of {GOAL_S:.0f} s", slowest / GOAL_S),
        Figure(BENCH, "beyond the start of Python, JVM and session, median", statistics.median(beyond_start), "s"),
        Figure(BENCH, "the hourly application, median", statistics.median(one.application_s for one in found), "s"),
        *(
            Figure(BENCH, f"of it {step}, median", statistics.median(one.steps_s[step] for one in found), "s")
            for step in found[0].steps_s
        ),
        Figure(BENCH, "publish → swap, median", statistics.median(one.publish_to_swap_s for one in found), "s"),
    ]


@click.command(help=__doc__)
@click.option("--products", default=600, show_default=True)
@click.option("--changes", "times", default=5, show_default=True, help="how many times the canary is changed")
@click.option("--json", "as_json", is_flag=True)
def main(products: int, times: int, as_json: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="shoplens-bench-") as scratch:
        home = Path(scratch)
        catalog = draw_catalog(home / "catalog", products)
        with serve_catalog(catalog, 0) as server:
            nightly = Nightly(
                lake=home / "lake", store=home / "store", catalog=str(catalog), mapping=server.mapping,
                model=str(export_model(home / "model")), extra={"fetch_images": IMPATIENT},
            )  # fmt: skip
            run_nightly(nightly, DataInterval(NIGHT_END - timedelta(days=1), NIGHT_END))
            with searcher(home, nightly.store, _free_port()) as base_url:
                found = [
                    measure_change(nightly, catalog, home / "changes", base_url, number + 1) for number in range(times)
                ]
    print_figures(figures_of(found, products), as_json)


if __name__ == "__main__":
    main()
