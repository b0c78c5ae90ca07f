"""Everything of a search but the encoder, at a million products: latency by kind of filter, and the share of each stage.

    python -m bench.search [--rows 1000000] [--connections 2] [--asked 2000] [--json]
    python -m bench.search --cold          # and what the first searches take when nothing is in memory

Real photos of some 256 pixels are sent by HTTP to gunicorn with two workers, whose encoder has the photos' vectors ready
(`bench.known_photos`): what the client waits for is all the rest, HTTP and JSON included. Client and server share the
machine; where other work does too, processor time says more than latency. The index is made on first use (`bench.large_index`).
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from bench.closed_loop import Answered, ask_closed_loop, percentile, stage_shares
from bench.large_catalog import make_catalog
from bench.large_index import LargeIndex, large_index
from bench.photo_queries import PhotoQuery, ask_cases
from bench.report import Figure, print_figures
from bench.servers import KNOWN_PHOTOS, Server, cached_mb, forget_files, memory_of, searcher
from schemas.manifest import ESTIMATES_FILE, INDEX_FILE, ITEMS_FILE, VECTORS_FILE

BENCH = "search"
_COLD_ASKED = 100


def latency_figures(case: str, answers: Sequence[Answered], connections: int) -> list[Figure]:
    """p50 and p99 as the client sees them, and what each stage takes of the mean."""
    figures = [
        Figure(BENCH, f"{case}: p{rank}, {connections} at once", percentile(answers, rank), "ms") for rank in (50, 99)
    ]
    stages = {name: each for name, each in stage_shares(answers).items() if name != "encode"}
    return figures + [
        Figure(BENCH, f"{case}: {name}, {100 * share:.0f} % of the mean", mean, "ms")
        for name, (mean, share) in stages.items()
    ]


def memory_figures(server: Server, index: LargeIndex) -> list[Figure]:
    """What was resident: each worker's memory, and how much of each file lay in the page cache."""
    figures = []
    for number, pid in enumerate(server.workers, 1):
        memory = memory_of(pid)
        figures += [
            Figure(BENCH, f"worker {number}: resident", memory.resident, "MB"),
            Figure(BENCH, f"worker {number}: its own alone", memory.own, "MB"),
        ]
    for name in (INDEX_FILE, ESTIMATES_FILE, VECTORS_FILE, ITEMS_FILE):
        path = index.build_folder / name
        if not path.exists():  # not every kind has estimates
            continue
        of = f"of {path.stat().st_size / 1e6:,.0f} MB"
        figures.append(Figure(BENCH, f"{name} in the page cache, {of}", cached_mb(path), "MB"))
    return figures


def measure_cold(index: LargeIndex, queries: Sequence[PhotoQuery], settings: dict[str, str]) -> list[Figure]:
    """The first searches after the build's files were dropped from memory, one at a time."""
    forget_files(index.build_folder)
    with searcher(index, KNOWN_PHOTOS, workers=1, settings=settings) as server:
        answers = ask_closed_loop(server.port, [query.body() for query in queries], 1, _COLD_ASKED, 0)
    return [
        Figure(BENCH, "cold: the first search", answers[0].milliseconds, "ms"),
        Figure(BENCH, f"cold: p50 of the first {len(answers)}", percentile(answers, 50), "ms"),
        Figure(BENCH, f"cold: p99 of the first {len(answers)}", percentile(answers, 99), "ms"),
    ]


@click.command(help=__doc__)
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--dimension", default=512, show_default=True)
@click.option("--kind", default="ivf_fp16", show_default=True)
@click.option("--connections", default=2, show_default=True, help="asked at once")
@click.option("--asked", default=2_000, show_default=True, help="searches for each kind of filter")
@click.option("--case", "wanted", multiple=True, help="only cases whose name begins so")
@click.option("--cold", is_flag=True, help="also a start with nothing in memory")
@click.option("--pin/--no-pin", default=True, show_default=True, help="each worker keeps to one core")
@click.option("--json", "as_json", is_flag=True)
def main(
    rows: int, dimension: int, kind: str, connections: int, asked: int, wanted: tuple[str, ...], cold: bool, pin: bool,
    as_json: bool,
) -> None:  # fmt: skip
    index = large_index(rows, dimension, kind)
    cases = ask_cases(make_catalog(rows, dimension))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="shoplens-bench-") as scratch:
        photos = Path(scratch) / "photos"
        photos.write_text("\n".join(sorted({str(query.photo) for queries in cases.values() for query in queries})))
        settings = {
            "SHOPLENS_BENCH_PHOTOS": str(photos), "SHOPLENS_SPOOL": str(Path(scratch) / "spool"),
            "SHOPLENS_PIN_WORKERS": str(int(pin))}  # fmt: skip
        with searcher(index, KNOWN_PHOTOS, settings=settings) as server:
            for case, queries in cases.items():
                if wanted and not case.startswith(wanted):
                    continue
                print(case, file=sys.stderr, flush=True)
                bodies = [query.body() for query in queries]
                ask_closed_loop(server.port, bodies, connections, connections, len(bodies))  # warms
                before = server.processor_seconds()
                answers = ask_closed_loop(server.port, bodies, connections, asked, 0)
                computed_ms = 1e3 * (server.processor_seconds() - before) / len(answers)
                figures += latency_figures(case, answers, connections)
                figures.append(Figure(BENCH, f"{case}: processor time a request, mean", computed_ms, "ms"))
            figures += memory_figures(server, index)
        if cold:
            figures += measure_cold(index, cases["no filters"], settings)
    print_figures(figures, as_json)


if __name__ == "__main__":
    main()
