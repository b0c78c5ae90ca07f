"""Build and search an index beside autofaiss: the same vectors, at most the same memory, one thread a search.

    python -m bench.index                      # a million vectors of 512 dimensions
    python -m bench.index --rows 200000 --json

Two of autofaiss: what it chooses by itself within our index's size ("auto", memory-mappable, stopped after
--peer-limit-s), and its IVF of whole vectors, named by hand ("IVF,Flat"), which has the same lists as ours and twice
the size. Every index is searched with the fewest probes that reach the recall goal, or, where none does, with its most;
`recall@10` says which. Build time is all that stands between vectors and a searchable file, tuning included.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import faiss
import numpy as np
import pyarrow as pa

from bench.peers import peer_python
from bench.real_vectors import real_embeddings, write_vectors
from bench.report import Figure, compare, print_figures
from retrieval.search.exact import exact_search, rescore
from retrieval.search.segments import open_build
from schemas.manifest import ESTIMATES_FILE, INDEX_FILE, Manifest
from spark_jobs.index_build.assemble import assemble_build

PEER_SCRIPT = Path(__file__).resolve().parent / "index_peer.py"
QUERIES = 1_000
RECALL_AT = 10
_SAME_SCORE = 1e-5


@dataclass(frozen=True)
class Measured:
    """One index: seconds to build it, its MB on disk, peak MB of the process, recall, and milliseconds a search."""

    factory: str
    build_s: float
    index_mb: float
    peak_mb: float
    recall: float
    p50_ms: float
    p99_ms: float


def measure_ours(kind: str, folder: Path, goal: float) -> Measured:
    """Build one kind with the code of `build_index`, without Spark, and search it."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    names = [f"{number:08d}" for number in range(len(vectors))]
    started = time.perf_counter()
    manifest = assemble_build(
        vectors, pa.table({"product_id": names, "image_id": names}), model_id="bench", fingerprint="bench",
        out_folder=folder / kind, kind=kind, recall_goal=goal,
    )  # fmt: skip
    build_s = time.perf_counter() - started
    segment = open_build(folder / kind / manifest.build_id, verify=False)
    queries = np.load(folder / "queries.npy")
    faiss.omp_set_num_threads(1)
    _, found = segment.search(queries, RECALL_AT)
    recall = recall_of(rescore(segment.vectors, queries, found), np.load(folder / "kth.npy"))
    latencies = time_searches(lambda query: segment.search(query, RECALL_AT), queries)
    return Measured(
        f"{manifest.factory}, {manifest.photo_search.nprobe} probes", build_s, _index_bytes(manifest) / 1e6,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, recall, *latencies,
    )  # fmt: skip


def _index_bytes(manifest: Manifest) -> int:
    return sum(entry.bytes for name, entry in manifest.files.items() if name in (INDEX_FILE, ESTIMATES_FILE))


def measure_peer(way: str, folder: Path, goal: float, memory_mb: float, limit_s: float) -> Measured | None:
    """autofaiss in its own environment; None where it did not finish within the limit."""
    command = [
        str(peer_python("autofaiss")), str(PEER_SCRIPT), "--folder", str(folder), "--way", way,
        "--goal", str(goal), "--memory-mb", f"{memory_mb:.0f}",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise click.ClickException(f"autofaiss {way} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def recall_of(scores: np.ndarray, kth_scores: np.ndarray) -> float:
    """The share of found rows (q, k) that score at least as the k-th best (q,)."""
    return float(np.mean(scores >= kth_scores[:, np.newaxis] - _SAME_SCORE))


def time_searches(search: Callable[[np.ndarray], Any], queries: np.ndarray) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds of one query at a time, after a first round that warms caches."""
    for query in queries[:, np.newaxis]:
        search(query)
    taken = []
    for query in queries[:, np.newaxis]:
        started = time.perf_counter()
        search(query)
        taken.append(1e3 * (time.perf_counter() - started))
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


def write_inputs(folder: Path, rows: int, dimension: int) -> str:
    """Vectors, queries of the same kind, and the exact score of each query's tenth best row."""
    embeddings, source = real_embeddings()
    write_vectors(folder / "vectors.npy", embeddings, rows, dimension, seed=1)
    write_vectors(folder / "queries.npy", embeddings, QUERIES, dimension, seed=2)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    scores, _ = exact_search(vectors, np.load(folder / "queries.npy"), RECALL_AT)
    np.save(folder / "kth.npy", scores[:, -1])
    return source


def figures_of(name: str, ours: Measured, peers: dict[str, Measured | None], limit_s: float) -> list[Figure]:
    """Ours beside each peer that finished."""
    rows: list[Figure] = []
    for label, attribute, unit in (
        ("build", "build_s", "s"), ("index size", "index_mb", "MB"), ("peak memory while building", "peak_mb", "MB"),
        ("recall@10", "recall", ""), ("search p50", "p50_ms", "ms"), ("search p99", "p99_ms", "ms"),
    ):  # fmt: skip
        value = getattr(ours, attribute)
        rows.append(Figure("index", f"{name} ({ours.factory}): {label}", value, unit))
        for way, peer in peers.items():
            if peer is None:
                if attribute == "build_s":
                    rows.append(
                        compare("index", f"{name}: {label}", value, unit, f"autofaiss {way}: not done after", limit_s)
                    )
                continue
            other = getattr(peer, attribute)
            against = f"autofaiss {way} ({peer.factory}): {other:.4g}"
            rows.append(compare("index", f"{name}: {label}", value, unit, against, other))
    return rows


@click.command(help=__doc__)
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--dimension", default=512, show_default=True)
@click.option("--recall-goal", default=0.99, show_default=True)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(["ivf_fp16", "ivf_rabitq"]), help="default: both")
@click.option("--peer", "ways", multiple=True, type=click.Choice(["auto", "IVF,Flat"]), help="default: both")
@click.option("--no-peers", is_flag=True)
@click.option("--peer-limit-s", default=180.0, show_default=True, help="for each of autofaiss's builds")
@click.option("--scratch", type=click.Path(path_type=Path), help="where the vectors go (default: a temporary folder)")
@click.option("--json", "as_json", is_flag=True)
def main(
    rows: int, dimension: int, recall_goal: float, kinds: tuple[str, ...], ways: tuple[str, ...], no_peers: bool,
    peer_limit_s: float, scratch: Path | None, as_json: bool,
) -> None:  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="shoplens-bench-", dir=scratch) as temporary:
        folder = Path(temporary)
        source = write_inputs(folder, rows, dimension)
        print(f"{rows} vectors of {dimension} dimensions from {source}", file=sys.stderr, flush=True)
        ours: dict[str, Measured] = {}
        for kind in kinds or ("ivf_fp16", "ivf_rabitq"):
            print(f"building {kind} …", file=sys.stderr, flush=True)
            # A process each, so that one's memory does not count for the other.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                ours[kind] = pool.submit(measure_ours, kind, folder, recall_goal).result()
        memory_mb = 1.05 * max(measured.index_mb for measured in ours.values())
        peers: dict[str, Measured | None] = {}
        for way in () if no_peers else ways or ("auto", "IVF,Flat"):
            print(f"building with autofaiss, {way} …", file=sys.stderr, flush=True)
            peers[way] = measure_peer(way, folder, recall_goal, memory_mb, peer_limit_s)
    print_figures([figure for kind in ours for figure in figures_of(kind, ours[kind], peers, peer_limit_s)], as_json)


if __name__ == "__main__":
    main()
