"""Seconds from starting the searcher to its first answer, with an index of the demo's size.

    python -m bench.first_answer [--products 2000] [--rounds 5] [--json]

`python -m online.serve` is started and asked with a photo until it answers 200: once on a host that has nothing yet
(model and build are fetched and verified first), and again on one that has them.
"""

import http.client
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from bench.large_catalog import INTERVAL_END, make_catalog
from bench.photo_queries import CONTENT_TYPE, PhotoQuery, ask_cases
from bench.real_vectors import CACHE
from bench.report import Figure, print_figures
from bench.servers import ONLINE_PYTHON
from retrieval.encoders.bundles import upload_bundle
from retrieval.encoders.onnx import OnnxEncoder
from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.publishing.publish import publish
from retrieval.store.objects import FolderStore
from schemas.pointer import Served
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.models.export import export_bundle
from spark_jobs.models.open_clip import load_model

BENCH = "first_answer"
_LIMIT_S = 60.0
_POLL_S = 0.01


def publish_small_shop(home: Path, products: int) -> FolderStore:
    """A store with the packaged model and an exact index, golden queries for photos and words among its files."""
    bundle = export_bundle(load_model(), CACHE / "model")
    catalog = make_catalog(products, bundle.dimension)
    block = catalog.block(0)
    rows = np.arange(len(block.vectors))
    manifest = assemble_build(
        block.vectors, catalog.items(rows, block.sources, block.poles), model_id=bundle.model_id, fingerprint=bundle.fingerprint,
        out_folder=home / "builds", encode_texts=OnnxEncoder.load(CACHE / "model").encode_texts,
    )  # fmt: skip
    store = FolderStore(home / "store")
    upload_bundle(store, CACHE / "model")
    BUILD_FOLDERS.upload(store, home / "builds" / manifest.build_id)
    publish(store, Served(manifest.build_id, manifest.model_id), INTERVAL_END, {}, "bench")
    return store


def seconds_to_answer(store: FolderStore, cache: Path, query: PhotoQuery) -> float:
    """From starting the command to the first 200 of /search. Raises SystemExit where there is none within a minute."""
    command = [
        str(ONLINE_PYTHON),
        "-m",
        "online.serve",
        "--store",
        str(store.root),
        "--cache",
        str(cache),
        "--port",
        "0",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        port = int(line.split("/ ")[0].rstrip("/\n").rsplit(":", 1)[1])
        while time.perf_counter() - started < _LIMIT_S:
            if _answers(port, query.body()):
                return time.perf_counter() - started
            time.sleep(_POLL_S)
    finally:
        process.terminate()
        process.wait()
    raise SystemExit(f"no answer from the searcher within {_LIMIT_S:.0f} s")


def _answers(port: int, body: bytes) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT_S)
    try:
        connection.request("POST", "/search", body, {"Content-Type": CONTENT_TYPE})
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


@click.command(help=__doc__)
@click.option("--products", default=2_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(products: int, rounds: int, as_json: bool) -> None:
    taken: dict[str, list[float]] = {"on a new host": [], "again": []}
    with tempfile.TemporaryDirectory(prefix="shoplens-bench-") as scratch:
        home = Path(scratch)
        store = publish_small_shop(home, products)
        query = ask_cases(make_catalog(products, 512), 1)["no filters"][0]
        for _ in range(rounds):
            shutil.rmtree(home / "cache", ignore_errors=True)
            for name in taken:
                taken[name].append(seconds_to_answer(store, home / "cache", query))
    figures = []
    for name, seconds in taken.items():
        figures += [
            Figure(BENCH, f"first answer, {name}, {products} products: median", statistics.median(seconds), "s"),
            Figure(BENCH, f"first answer, {name}, {products} products: slowest of {rounds}", max(seconds), "s"),
        ]
    print_figures(figures, as_json)


if __name__ == "__main__":
    main()
