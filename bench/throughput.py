"""Requests a second of a whole search with a photo, under wrk: ours, a plain Flask app on torch, clip-retrieval's back end.

    python -m bench.throughput [--rows 1000000] [--seconds 20] [--connections 4] [--no-peer] [--json]

All have the same model, the same FAISS index with the same probes, and the same photos of some 256 pixels; all give ten
results with their attributes. Ours and the plain app run in gunicorn with two workers, the plain app once as it comes
and once with its threads held to the cores; clip-retrieval's back end is one process with a thread a request, as it
comes. Needs wrk (Debian package `wrk`). Memory is read after the load.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from bench.embedding import Subject, _register_with_peer
from bench.large_catalog import make_catalog
from bench.large_index import LargeIndex, large_index
from bench.peers import PROJECT_ROOT, peer_python
from bench.photo_queries import CONTENT_TYPE, K, PhotoQuery, ask_cases
from bench.report import Figure, compare, print_figures
from bench.servers import Memory, Server, memory_of, running, searcher
from retrieval.items.table import map_items
from schemas.manifest import INDEX_FILE, ITEMS_FILE, MANIFEST_FILE, Manifest

BENCH = "throughput"
LUA = Path(__file__).with_name("post_photos.lua")
_WARM_S = 4
_SHOWN = ["product_id", "group_id", "title", "brand", "category", "colour", "price", "currency", "in_stock", "image_id"]


@dataclass(frozen=True)
class Load:
    """What wrk saw: requests a second, how many failed, and latencies in milliseconds."""

    per_second: float
    failed: int
    p50_ms: float
    p99_ms: float


def press(port: int, path: str, bodies: Path, content_type: str, connections: int, seconds: int) -> Load:
    """Send the bodies for so many seconds, after a few that warm. Raises SystemExit where requests fail."""
    environment = {**os.environ, "BENCH_BODIES": str(bodies), "BENCH_CONTENT_TYPE": content_type}
    found = Load(0.0, 0, 0.0, 0.0)
    for duration in (_WARM_S, seconds):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{duration}s", "--timeout", "30s", "-s", str(LUA)]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port}{path}"], env=environment, capture_output=True, text=True, check=True
        )
        line = next(line for line in done.stdout.splitlines() if line.startswith("FIGURES"))
        rate, failed, p50, p99 = line.split()[1:]
        found = Load(float(rate), int(failed), float(p50), float(p99))
        if found.failed:
            raise SystemExit(f"{found.failed} requests to {path} failed")
    return found


def write_forms(queries: Sequence[PhotoQuery], folder: Path) -> None:
    for number, query in enumerate(queries, 1):
        (folder / f"body-{number}").write_bytes(query.body())


def write_clip_requests(queries: Sequence[PhotoQuery], folder: Path) -> None:
    for number, query in enumerate(queries, 1):
        photo = base64.b64encode(query.photo.read_bytes()).decode()
        asked = {"image": photo, "modality": "image", "num_images": K, "indice_name": "bench"}
        (folder / f"body-{number}").write_text(json.dumps(asked))


@contextmanager
def plain_flask(index: LargeIndex, nprobe: int, *, threads: int | None) -> Iterator[Server]:
    """Two workers of gunicorn, as ours, with so many threads of torch and FAISS each; None: as many as they take."""
    python = peer_python("plain-flask")
    environment = {
        **os.environ, "PLAIN_MODEL": str(index.home / "model"), "PLAIN_INDEX": str(index.build_folder),
        "PLAIN_NPROBE": str(nprobe), "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    environment.pop("OMP_NUM_THREADS", None)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [
        str(python),
        "-m",
        "gunicorn",
        "--workers",
        "2",
        "--timeout",
        "300",
        "--bind",
        "127.0.0.1:{port}",
        "bench.plain_app:app",
    ]
    with running(command, environment, "PLAIN_BIND", "{port}", "/ready") as server:
        yield server


@contextmanager
def clip_back(index: LargeIndex, nprobe: int, scratch: Path) -> Iterator[Server]:
    """clip-retrieval's own server over the same index; metadata as it likes them, mapped from Arrow."""
    import faiss
    import pyarrow as pa

    python = peer_python("clip-retrieval")
    folder = scratch / "clip"
    (folder / "metadata").mkdir(parents=True)
    same = faiss.read_index(str(index.build_folder / INDEX_FILE))
    faiss.extract_index_ivf(same).nprobe = nprobe
    faiss.write_index(same, str(folder / "image.index"))
    del same
    items = map_items(index.build_folder / ITEMS_FILE).select(_SHOWN)
    with pa.OSFile(str(folder / "metadata" / "0.arrow"), "wb") as sink, pa.ipc.new_file(sink, items.schema) as writer:
        writer.write_table(items)
    (scratch / "indices.json").write_text(json.dumps({"bench": str(folder)}))
    subject = Subject(f"lifted-{index.home.name}", index.home / "model", (), scratch)
    name = _register_with_peer(subject, python)
    command = [
        str(python), "-m", "clip_retrieval.cli", "back", "--port", "{port}", "--indices_paths", str(scratch / "indices.json"),
        "--clip_model", f"open_clip:{name}/{index.home / 'model' / 'model.safetensors'}", "--enable_mclip_option", "False",
        "--use_jit", "False", "--use_arrow", "True", "--provide_aesthetic_embeddings", "False",
        "--columns_to_return", json.dumps(_SHOWN),
    ]  # fmt: skip
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with running(command, environment, "CLIP_PORT", "{port}", "/indices-list") as server:
        yield server


def memory_figures(name: str, server: Server) -> list[Figure]:
    """Each worker's own memory, which is what one more of them would cost, and all that the processes take together."""
    workers: list[Memory] = [memory_of(pid) for pid in server.workers]
    return [
        Figure(
            BENCH, f"{name}: a worker's own memory, the largest of {len(workers)}", max(m.own for m in workers), "MB"
        ),
        Figure(BENCH, f"{name}: all workers, shared pages once", sum(m.proportional for m in workers), "MB"),
    ]


def load_figures(name: str, load: Load) -> list[Figure]:
    return [
        Figure(BENCH, f"{name}: p50", load.p50_ms, "ms"),
        Figure(BENCH, f"{name}: p99", load.p99_ms, "ms"),
    ]


@click.command(help=__doc__)
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--seconds", default=20, show_default=True)
@click.option("--connections", default=4, show_default=True)
@click.option("--no-peer", is_flag=True, help="leave clip-retrieval out")
@click.option("--pin/--no-pin", default=True, show_default=True, help="each of our workers keeps to one core")
@click.option("--json", "as_json", is_flag=True)
def main(rows: int, seconds: int, connections: int, no_peer: bool, pin: bool, as_json: bool) -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: it is the Debian package `wrk`")
    index = large_index(rows)
    nprobe = Manifest.from_json((index.build_folder / MANIFEST_FILE).read_bytes()).photo_search.nprobe
    queries = ask_cases(make_catalog(rows, 512))["no filters"]
    loads: dict[str, Load] = {}
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="shoplens-bench-", dir=PROJECT_ROOT / ".run") as made:
        scratch = Path(made)
        forms, requests = scratch / "forms", scratch / "requests"
        for folder in (forms, requests):
            folder.mkdir()
        write_forms(queries, forms)
        write_clip_requests(queries, requests)
        settings = {"SHOPLENS_SPOOL": str(scratch / "spool"), "SHOPLENS_PIN_WORKERS": str(int(pin))}
        sides = {
            "ShopLens, two workers": (searcher(index, settings=settings), "/search", forms, CONTENT_TYPE),
            "plain Flask with torch, as it comes": (
                plain_flask(index, nprobe, threads=None),
                "/search",
                forms,
                CONTENT_TYPE,
            ),
            "plain Flask with torch, one thread a worker": (
                plain_flask(index, nprobe, threads=1),
                "/search",
                forms,
                CONTENT_TYPE,
            ),
        }
        if not no_peer:
            clip = (clip_back(index, nprobe, scratch), "/knn-service", requests, "application/json")
            sides["clip-retrieval's back end"] = clip
        for name, (side, path, bodies, content_type) in sides.items():
            print(name, file=sys.stderr, flush=True)
            with side as server:
                loads[name] = press(server.port, path, bodies, content_type, connections, seconds)
                figures += load_figures(name, loads[name]) + memory_figures(name, server)
    ours, *others = loads
    rates = [
        Figure(BENCH, f"{name}, {connections} at once", load.per_second, "requests/s") for name, load in loads.items()
    ]
    rates += [
        compare(BENCH, ours, loads[ours].per_second, "requests/s", other, loads[other].per_second) for other in others
    ]
    print_figures(rates + figures, as_json)


if __name__ == "__main__":
    main()
