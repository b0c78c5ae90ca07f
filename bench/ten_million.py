"""Candidates among ten million products: latency and recall without filters and with each kind, and whole requests.

    python -m bench.ten_million [--rows 10000000] [--asked 300] [--json]

The index (IVF with RaBitQ codes, re-ranked exactly from vectors.f16) is built on first use by `bench.large_index`: hours
on a laptop, once. Candidates are found in one thread by the searcher's own code, filters evaluated on every row; the
encoder is left out. Recall is against brute force over the rows that pass. Whole requests go by HTTP through the real
encoder to one worker with four threads, two at once.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import faiss
import numpy as np

from bench.closed_loop import ask_closed_loop, percentile
from bench.large_catalog import make_catalog
from bench.large_index import LargeIndex, large_index
from bench.photo_queries import K, PhotoQuery, ask_cases
from bench.report import Figure, print_figures
from bench.servers import cached_mb, memory_of, searcher
from online.query.filtering import rows_that_pass
from retrieval.arrays import Float32
from retrieval.items.columns import ItemColumns
from retrieval.search.candidates import find_candidates
from retrieval.search.row_scan import scan_rows
from retrieval.search.segments import Segment, open_build
from schemas.api.filters import Filters
from schemas.manifest import INDEX_FILE, ITEMS_FILE, VECTORS_FILE

BENCH = "ten_million"
RECALL_AT = 10
_SAME_SCORE = 1e-5


@dataclass(frozen=True)
class Asked:
    """A query without filters, or with them as the API takes them."""

    vector: Float32
    filters: Filters | None

    @classmethod
    def of(cls, query: PhotoQuery) -> "Asked":
        read = None if query.filters is None else Filters.model_validate_json(json.dumps(query.filters))
        return cls(query.vector, read)


def measure_case(
    segment: Segment, columns: ItemColumns, queries: Sequence[PhotoQuery], asked: int, checked: int
) -> tuple[Any, float]:
    """Milliseconds of each query, in turn, and the recall@10 of the first ones."""
    questions = [Asked.of(query) for query in queries]

    def find(question: Asked) -> Any:
        mask = rows_that_pass(columns, question.filters)
        return find_candidates(segment, question.vector, K + 1, columns.groups, segment.manifest.photo_search, mask)

    for question in questions[: min(asked, len(questions))]:
        find(question)  # warms the pages that the timed round reads
    taken = []
    for number in range(asked):
        started = time.perf_counter()
        find(questions[number % len(questions)])
        taken.append(1e3 * (time.perf_counter() - started))
    recalls = []
    for question in questions[:checked]:
        mask = rows_that_pass(columns, question.filters)
        rows = None if mask is None else np.flatnonzero(mask).astype(np.int64)
        truth = scan_rows(segment.vectors, question.vector, RECALL_AT, rows)[0]
        found = find(question).scores[:RECALL_AT]
        recalls.append(np.count_nonzero(found >= truth[-1] - _SAME_SCORE) / len(truth) if len(truth) else 1.0)
    return np.array(taken), float(np.mean(recalls or [np.nan]))


def measure_candidates(index: LargeIndex, cases: dict[str, list[PhotoQuery]], asked: int, checked: int) -> list[Figure]:
    segment = open_build(index.build_folder, verify=False)
    columns = ItemColumns.of(segment.items)
    figures = []
    for case, queries in cases.items():
        print(case, file=sys.stderr, flush=True)
        taken, recall = measure_case(segment, columns, queries, asked, checked)
        figures += [
            Figure(BENCH, f"candidates, {case}: p50", float(np.percentile(taken, 50)), "ms"),
            Figure(BENCH, f"candidates, {case}: p99", float(np.percentile(taken, 99)), "ms"),
        ]
        if checked:
            figures.append(Figure(BENCH, f"candidates, {case}: recall@10 of {min(checked, len(queries))}", recall, ""))
    figures.append(Figure(BENCH, "candidates: resident in the process", memory_of(os.getpid()).resident, "MB"))
    return figures + cache_figures(index)


def cache_figures(index: LargeIndex) -> list[Figure]:
    files = [index.build_folder / name for name in (INDEX_FILE, VECTORS_FILE, ITEMS_FILE)]
    return [
        Figure(BENCH, f"{path.name} in the page cache, of {path.stat().st_size / 1e6:,.0f} MB", cached_mb(path), "MB")
        for path in files
    ]


def measure_requests(index: LargeIndex, cases: dict[str, list[PhotoQuery]], asked: int) -> list[Figure]:
    """Whole requests, the real encoder among them."""
    figures = []
    with (
        tempfile.TemporaryDirectory(prefix="shoplens-bench-") as scratch,
        searcher(index, workers=1, settings={"SHOPLENS_SPOOL": scratch}) as server,
    ):
        for case, queries in cases.items():
            bodies = [query.body() for query in queries]
            answers = ask_closed_loop(server.port, bodies, 2, asked, min(asked, len(bodies)))
            figures += [
                Figure(BENCH, f"whole request, 2 at once, {case}: p50", percentile(answers, 50), "ms"),
                Figure(BENCH, f"whole request, 2 at once, {case}: p99", percentile(answers, 99), "ms"),
            ]
        figures.append(Figure(BENCH, "the worker: resident", memory_of(server.workers[0]).resident, "MB"))
    return figures


@click.command(help=__doc__)
@click.option("--rows", default=10_000_000, show_default=True)
@click.option("--kind", default="ivf_rabitq", show_default=True)
@click.option("--nlist", default=4096, show_default=True)
@click.option("--asked", default=300, show_default=True, help="searches for each kind of filter")
@click.option("--checked", default=20, show_default=True, help="of each kind, compared with brute force: seconds each")
@click.option("--case", "wanted", multiple=True, help="only cases whose name begins so")
@click.option("--part", "parts", multiple=True, type=click.Choice(["candidates", "requests"]), help="default: both")
@click.option("--json", "as_json", is_flag=True)
def main(
    rows: int,
    kind: str,
    nlist: int,
    asked: int,
    checked: int,
    wanted: tuple[str, ...],
    parts: tuple[str, ...],
    as_json: bool,
) -> None:
    faiss.omp_set_num_threads(1)
    index = large_index(rows, 512, kind, nlist)
    cases = {
        case: queries for case, queries in ask_cases(make_catalog(rows, 512)).items() if case.startswith(wanted or "")
    }
    figures: list[Figure] = []
    if "candidates" in (parts or ("candidates",)):
        figures += measure_candidates(index, cases, asked, checked)
    if "requests" in (parts or ("requests",)):
        figures += measure_requests(index, cases, asked)
    print_figures(figures, as_json)


if __name__ == "__main__":
    main()
