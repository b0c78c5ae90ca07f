"""autofaiss's side of `bench.index`. Runs in autofaiss's own environment, so it imports nothing of this project.

Prints one JSON object with the fields of `bench.index.Measured`.
"""

import argparse
import json
import logging
import os
import resource
import time
from pathlib import Path

import faiss
import numpy as np
from autofaiss import build_index

CORES = 2
RECALL_AT = 10
_SAME_SCORE = 1e-5
_QUERY_TIME_MAX_MS = 50


def build(folder: Path, way: str, memory_mb: float) -> tuple[Path, float]:
    """The index file and the seconds that it took."""
    rows, dimension = np.load(folder / "vectors.npy", mmap_mode="r").shape
    embeddings = folder / "autofaiss-input"
    embeddings.mkdir(exist_ok=True)
    link = embeddings / "vectors.npy"
    if not link.exists():
        os.link(folder / "vectors.npy", link)
    path = folder / f"autofaiss-{way.replace(',', '-')}.faiss"
    lists = 2 ** round(np.log2(4 * np.sqrt(rows)))
    started = time.perf_counter()
    build_index(
        embeddings=str(embeddings), index_path=str(path), index_infos_path=str(path) + ".json", metric_type="ip",
        index_key=None if way == "auto" else f"IVF{lists},Flat",
        max_index_memory_usage=f"{memory_mb:.0f}MB" if way == "auto" else f"{2.2 * 4 * rows * dimension / 1e6:.0f}MB",
        current_memory_available="8GB", max_index_query_time_ms=_QUERY_TIME_MAX_MS, should_be_memory_mappable=True,
        min_nearest_neighbors_to_retrieve=RECALL_AT, nb_cores=CORES, verbose=logging.ERROR,
    )  # fmt: skip
    return path, time.perf_counter() - started


def recall(index: "faiss.Index", vectors: np.ndarray, queries: np.ndarray, kth_scores: np.ndarray) -> float:
    """The share of found rows whose exact score is at least that of the tenth best."""
    _, found = index.search(queries, RECALL_AT)
    hits = [vectors[np.maximum(rows, 0)] @ query for rows, query in zip(found, queries, strict=True)]
    right = (np.stack(hits) >= kth_scores[:, None] - _SAME_SCORE) & (found >= 0)
    return float(right.mean())


def fewest_probes(index: "faiss.Index", goal: float, *truth: np.ndarray) -> float:
    """Set the fewest probes (or the narrowest search of a graph) that reach the goal; else leave the most."""
    space = faiss.ParameterSpace()
    name = "efSearch" if isinstance(faiss.downcast_index(index), faiss.IndexHNSW) else "nprobe"
    reached = 0.0
    for exponent in range(11):
        space.set_index_parameter(index, name, 2**exponent)
        reached = recall(index, *truth)
        if reached >= goal:
            break
    return reached


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--way", required=True)
    parser.add_argument("--goal", type=float, required=True)
    parser.add_argument("--memory-mb", type=float, required=True)
    arguments = parser.parse_args()
    path, build_s = build(arguments.folder, arguments.way, arguments.memory_mb)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    vectors = np.load(arguments.folder / "vectors.npy", mmap_mode="r")
    queries = np.load(arguments.folder / "queries.npy")
    faiss.omp_set_num_threads(1)
    reached = fewest_probes(index, arguments.goal, vectors, queries, np.load(arguments.folder / "kth.npy"))
    taken: list[float] = []
    for _ in range(2):  # the first round warms the caches
        taken = []
        for query in queries[:, None]:
            started = time.perf_counter()
            index.search(query, RECALL_AT)
            taken.append(1e3 * (time.perf_counter() - started))
    infos = json.loads(Path(str(path) + ".json").read_text())
    print(json.dumps({
        "factory": infos["index_key"], "build_s": build_s, "index_mb": path.stat().st_size / 1e6, "peak_mb": peak_mb,
        "recall": reached, "p50_ms": float(np.percentile(taken, 50)), "p99_ms": float(np.percentile(taken, 99)),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
