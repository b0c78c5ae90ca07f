"""Swaps of deltas under load: how long each takes, and what shoppers notice of fifty.

    python -m bench.swap [--rows 100000] [--swaps 50] [--seconds 60] [--json]

Five deltas of one base, each with 1 % of the rows changed in price, 0.2 % gone and 0.5 % new, become CURRENT in turn while
photos are asked for as `bench.search` does, with two workers and the encoder's answers ready. A swap is counted from the
write of CURRENT until both workers serve it: with the look at CURRENT (every 0.3 s here), the download and its checksums.
The index is made on first use (`bench.large_index`) and stays as it is.
"""

import http.client
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import numpy as np
import pyarrow as pa

from bench.closed_loop import Answered, ask_closed_loop, percentile
from bench.large_catalog import make_catalog
from bench.large_index import LargeIndex, large_index
from bench.photo_queries import ask_cases
from bench.real_vectors import CACHE
from bench.report import Figure, compare, print_figures
from bench.servers import KNOWN_PHOTOS, Server, memory_of, searcher
from retrieval.folders.kinds import DELTA_FOLDERS
from retrieval.publishing.pointer import read_pointer
from retrieval.search.segments import Segment, open_build
from retrieval.store.objects import FolderStore
from schemas.pointer import POINTER_KEY
from spark_jobs.index_delta.assemble import write_delta
from spark_jobs.index_delta.comparison import Comparison

BENCH = "swap"
DELTAS = 5
CHANGED, GONE, NEW = 0.01, 0.002, 0.005
LOOK_INTERVAL_S = 0.3
_POLL_S = 0.1  # what /metrics costs the searcher counts as a shopper's trouble
_CASE = "no filters"


@contextmanager
def own_copy(index: LargeIndex) -> Iterator[LargeIndex]:
    """The same files under another CURRENT, by hard links."""
    with tempfile.TemporaryDirectory(prefix="swap-", dir=CACHE) as home:
        copy = LargeIndex(Path(home))
        for folder, linked in ((index.store, copy.store), (index.cache, copy.cache)):
            shutil.copytree(folder, linked, symlinks=True, copy_function=_link, ignore=_ignore)
        shutil.copy2(index.store / POINTER_KEY, copy.store / POINTER_KEY)
        yield copy


def _ignore(_: str, names: list[str]) -> list[str]:
    """Locks, and what is written again and again."""
    return [name for name in names if name.startswith(".") or name in (POINTER_KEY, "last-good.json", "deltas")]


def _link(source: str, target: str) -> None:
    os.link(source, target)


def put_delta(store: FolderStore, base: Segment, scratch: Path, seed: int) -> str:
    """Other prices for some rows, others gone, and new ones that lie beside old ones."""
    rng = np.random.default_rng(seed)
    counts = [round(share * base.rows) for share in (GONE, CHANGED, NEW)]
    gone, changed, near, _ = np.split(rng.permutation(base.rows), np.cumsum(counts))
    gone, changed = np.sort(gone), np.sort(changed)
    changes, new = (base.items.take(pa.array(rows)).combine_chunks() for rows in (changed, near))
    changes = _with(changes, "price", pa.array(np.asarray(changes.column("price").to_numpy()) * 1.1))
    for name in ("product_id", "image_id", "group_id"):
        new = _with(new, name, pa.array([f"new{seed}-{number}" for number in range(len(near))]))
    vectors = np.asarray(base.vectors[near], np.float32)
    vectors += 0.02 * rng.standard_normal(vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    manifest = write_delta(
        base, Comparison(gone, changed, changes, new), vectors.astype(np.float16), out_folder=scratch,
        source_versions={}, interval_end=base.manifest.interval_end,
    )  # fmt: skip
    DELTA_FOLDERS.upload(store, scratch / manifest.delta_id)
    return manifest.delta_id


def _with(items: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return items.set_column(items.column_names.index(name), name, values)


@dataclass
class Publisher:
    """Makes each of the deltas CURRENT in turn, at even intervals, and notes how long both workers took to follow."""

    store: FolderStore
    server: Server
    delta_ids: list[str]
    interval_s: float
    followed_s: list[float] = field(default_factory=list)

    def publish(self, swaps: int) -> None:
        for number in range(swaps):
            time.sleep(max(0.0, self.interval_s - (self.followed_s[-1] if self.followed_s else 0.0)))
            started = time.perf_counter()
            self.swap(self.delta_ids[number % len(self.delta_ids)])
            self.followed_s.append(time.perf_counter() - started)

    def swap(self, delta_id: str) -> None:
        """From the write of CURRENT until the worker that is furthest behind serves it."""
        found = read_pointer(self.store)
        assert found is not None
        live = replace(found[0].live, delta_id=delta_id)
        wanted = replace(found[0], generation=found[0].generation + 1, live=live)
        self.store.put(POINTER_KEY, wanted.to_json())
        while figures_of(self.server).get("shoplens_generation") != wanted.generation:
            time.sleep(_POLL_S)


def figures_of(server: Server) -> dict[str, float]:
    """What /metrics says, by name and labels."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.MULTILINE)}


def own_memory_mb(server: Server) -> float:
    return sum(memory_of(pid).own for pid in server.workers)


def report(
    rows: int, steady: list[Answered], swapped: list[Answered], publisher: Publisher, metrics: dict[str, float]
) -> list[Figure]:
    loaded = 'shoplens_snapshot_swap_seconds_{}{{change="delta"}}'
    mean_s = metrics[loaded.format("sum")] / metrics[loaded.format("count")]
    followed = np.array(publisher.followed_s)
    name = f"{rows} rows"
    return [
        Figure(BENCH, f"{name}: swaps", len(followed), ""),
        Figure(BENCH, f"{name}: searches while swapping", len(swapped), ""),
        Figure(BENCH, f"{name}: a worker lays a delta over its base, mean", 1e3 * mean_s, "ms"),
        Figure(BENCH, f"{name}: both workers serve it, p50", float(np.median(followed)), "s"),
        Figure(BENCH, f"{name}: both workers serve it, longest", float(followed.max()), "s"),
        Figure(BENCH, f"{name}: p50 with a delta, steady", percentile(steady, 50), "ms"),
        compare(
            BENCH, f"{name}: p50 through the swaps", percentile(swapped, 50), "ms", "steady", percentile(steady, 50)
        ),
        Figure(BENCH, f"{name}: p99 with a delta, steady", percentile(steady, 99), "ms"),
        compare(
            BENCH, f"{name}: p99 through the swaps", percentile(swapped, 99), "ms", "steady", percentile(steady, 99)
        ),
    ]


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@click.command(help=__doc__)
@click.option("--rows", default=100_000, show_default=True)
@click.option("--dimension", default=512, show_default=True)
@click.option("--kind", default="ivf_fp16", show_default=True)
@click.option("--swaps", default=50, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="in which they happen")
@click.option("--connections", default=1, show_default=True, help="asked at once")
@click.option("--asked", default=4_000, show_default=True, help="searches without swaps, for comparison")
@click.option("--json", "as_json", is_flag=True)
def main(
    rows: int, dimension: int, kind: str, swaps: int, seconds: float, connections: int, asked: int, as_json: bool
) -> None:
    catalog = make_catalog(rows, dimension)
    queries = ask_cases(catalog)[_CASE]
    bodies = [query.body() for query in queries]
    with own_copy(large_index(rows, dimension, kind)) as index, tempfile.TemporaryDirectory() as temporary:
        scratch, store = Path(temporary), FolderStore(index.store)
        base = open_build(index.build_folder, verify=False)
        deltas = [put_delta(store, base, scratch / "deltas", seed) for seed in range(DELTAS)]
        photos = scratch / "photos"
        photos.write_text("\n".join(sorted({str(query.photo) for query in queries})))
        settings = {
            "SHOPLENS_BENCH_PHOTOS": str(photos), "SHOPLENS_SPOOL": str(scratch / "spool"),
            "SHOPLENS_POLL_INTERVAL_S": str(LOOK_INTERVAL_S),
        }  # fmt: skip
        _say("starting the searcher")
        with searcher(index, KNOWN_PHOTOS, settings=settings) as server:
            _say("without a delta")
            publisher = Publisher(store, server, deltas, seconds / swaps)
            alone = ask_closed_loop(server.port, bodies, connections, asked, len(bodies))
            for delta_id in deltas:  # so that memory is compared with what swaps have already taken once
                publisher.swap(delta_id)
            _say("with a delta")
            started = time.perf_counter()
            steady = ask_closed_loop(server.port, bodies, connections, asked, len(bodies))
            rate = asked / (time.perf_counter() - started)
            memory = own_memory_mb(server)
            _say("through the swaps")
            publishing = threading.Thread(target=publisher.publish, args=(swaps,))
            publishing.start()  # its first swap waits: a fork must not inherit the store's lock
            swapped = ask_closed_loop(server.port, bodies, connections, round(rate * seconds), 0)
            publishing.join()
            figures = report(rows, steady, swapped, publisher, figures_of(server))
            after = own_memory_mb(server)
    figures += [
        Figure(BENCH, f"{rows} rows: p50 without a delta", percentile(alone, 50), "ms"),
        Figure(BENCH, f"{rows} rows: p99 without a delta", percentile(alone, 99), "ms"),
        compare(BENCH, f"{rows} rows: both workers' own memory after the swaps", after, "MB", "before", memory),
    ]
    print_figures(figures, as_json)


if __name__ == "__main__":
    main()
