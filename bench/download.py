"""Photos downloaded a second against img2dataset 1.47: the same local server, cores and photos, our ledger on.

    python -m bench.download [--photos FOLDER] [--count 60000] [--rounds 3] [--json]

Every photo is another content (a comment is added to the JPEG), so that nothing is spared. Both sides decode every
photo, hash it with SHA-256 and write Parquet; ours also measures, checks, drops metadata, and merges photos and ledger
into Delta. Ours counts from the Spark session's start to the receipt, all commits included; img2dataset's from its first
shard's start to its last one's end, as its own statistics say. Three ways of img2dataset: as it comes, shrinking to 256
pixels; at the photo's own size, encoded anew; and keeping the bytes as they came, metadata and all, which is the
least that it can do. Rounds alternate and the median counts.
"""

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path

import click

from bench.peers import peer_python
from bench.report import Figure, compare, print_figures
from demo.server import serve
from retrieval.photos.decoding import STORED_QUALITY
from retrieval.store.objects import open_store
from schemas.intervals import DataInterval
from schemas.receipts import Receipt, receipt_key

ROOT = Path(__file__).resolve().parent.parent
REAL_PHOTOS = ROOT.parent / "shared" / "data" / "clothing" / "images"
CORES = len(os.sched_getaffinity(0))
THREADS_A_CORE = 16
INTERVAL = DataInterval(datetime(2026, 1, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, 2, tzinfo=UTC) + timedelta(days=1))
_PHOTOS_A_FOLDER = 1000
_MAPPING = """[source]
format = "csv"
path = "catalog.csv"
[columns]
product_id = "sku"
title = "sku"
[images]
columns = ["link"]
[defaults]
currency = "EUR"
price = 1
in_stock = true
"""
_PEER_WAYS: dict[str, dict[str, object]] = {
    "as it comes, shrunk to 256 pixels": {"resize_mode": "border", "image_size": 256},
    "encoded anew at the same size": {"resize_mode": "no"},
    "bytes kept as they came": {"resize_mode": "no", "skip_reencode": True},
}
_PEER = """
import json, sys
from img2dataset import download
options = json.loads(sys.argv[1])
if __name__ == "__main__":
    download(**options)
"""


class BenchFailed(click.ClickException):
    """A side did not do the whole work."""


def write_photos(sources: Sequence[Path], folder: Path, count: int) -> list[str]:
    """Write `count` JPEGs that all differ in content; their paths relative to the folder."""
    names = []
    for number, data in enumerate(islice(_forever(sources), count)):
        name = f"photos/{number // _PHOTOS_A_FOLDER:03d}/{number:06d}.jpg"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        comment = f"photo {number}".encode()
        path.write_bytes(data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:])
        names.append(name)
    return names


def _forever(sources: Sequence[Path]) -> Iterator[bytes]:
    return cycle([path.read_bytes() for path in sources])


class OurSide:
    """The job fetch_images on a lake that knows the links, made once and copied for each round."""

    def __init__(self, home: Path, urls: Sequence[str]) -> None:
        self._home, self._count = home, len(urls)
        catalog = home / "catalog"
        catalog.mkdir()
        with (catalog / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("sku", "link"))
            writer.writerows((f"P{number:06d}", url) for number, url in enumerate(urls))
        (catalog / "mapping.toml").write_text(_MAPPING, encoding="utf-8")
        self._lake = home / "ingested"
        mapping = str(catalog / "mapping.toml")
        self._run("ingest_catalog", self._lake, "--catalog", str(catalog), "--mapping", mapping)

    def photos_a_second(self) -> float:
        """One round on a fresh copy. Raises BenchFailed where not every photo came."""
        lake = self._home / "lake"
        shutil.rmtree(lake, ignore_errors=True)
        shutil.copytree(self._lake, lake)
        at_once = ("--per-host-at-once", str(CORES * THREADS_A_CORE), "--per-host-per-second", "1000000")
        # The same few photos over and over would all pass for placeholders.
        limits = ("--placeholder-products", str(self._count))
        receipt = self._run("fetch_images", lake, "--allow-private", *at_once, *limits)
        if receipt.counts["photos_new"] != self._count:
            raise BenchFailed(f"fetch_images took {receipt.counts['photos_new']} of {self._count} photos")
        return self._count / (receipt.figures["seconds"] - receipt.figures["startup_seconds"])

    def _run(self, job: str, lake: Path, *arguments: str) -> Receipt:
        store = str(self._home / "store")
        command = [sys.executable, "-m", f"spark_jobs.{job}", "--lake", str(lake), "--store", store, "--dag", "bench",
                   "--interval-start", INTERVAL.start.isoformat(), "--interval-end", INTERVAL.end.isoformat(),
                   *arguments]  # fmt: skip
        environment = {**os.environ, "SHOPLENS_CORES": str(CORES), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        found = open_store(store).get(receipt_key("bench", INTERVAL.key, job))
        if done.returncode or found is None:
            raise BenchFailed(f"{job} ended with {done.returncode}: {done.stderr[-500:]}")
        return Receipt.from_json(found.data)


class PeerSide:
    """img2dataset with a process a core and 16 threads in each."""

    def __init__(self, home: Path, urls: Sequence[str]) -> None:
        self._home, self._count = home, len(urls)
        self._python = str(peer_python("img2dataset"))
        (home / "urls.txt").write_text("\n".join(urls) + "\n", encoding="utf-8")
        (home / "peer.py").write_text(_PEER, encoding="utf-8")

    def photos_a_second(self, **options: object) -> float:
        """One round. Raises BenchFailed where not every photo came."""
        output = self._home / "peer"
        shutil.rmtree(output, ignore_errors=True)
        chosen = {
            "url_list": str(self._home / "urls.txt"), "output_folder": str(output), "output_format": "parquet",
            "processes_count": CORES, "thread_count": THREADS_A_CORE, "encode_quality": STORED_QUALITY,
            "number_sample_per_shard": max(1, min(1000, self._count // (4 * CORES))), "compute_hash": "sha256", **options,
        }  # fmt: skip
        command = [self._python, str(self._home / "peer.py"), json.dumps(chosen)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        stats = [json.loads(path.read_text()) for path in sorted(output.glob("*_stats.json"))]
        taken = sum(shard["successes"] for shard in stats)
        if done.returncode or taken != self._count:
            raise BenchFailed(f"img2dataset took {taken} of {self._count} photos: {done.stderr[-500:]}")
        return self._count / (max(shard["end_time"] for shard in stats) - min(shard["start_time"] for shard in stats))


@click.command(help=__doc__)
@click.option("--photos", type=click.Path(path_type=Path, exists=True, file_okay=False), default=REAL_PHOTOS)
@click.option("--count", default=60_000, show_default=True, help="Photos a round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(photos: Path, count: int, rounds: int, as_json: bool) -> None:
    sources = sorted(photos.rglob("*.jpg"))
    if not sources:
        raise click.UsageError(f"no .jpg under {photos}: give --photos FOLDER")
    with tempfile.TemporaryDirectory(prefix="shoplens-bench-") as scratch:
        home = Path(scratch)
        names = write_photos(sources, home / "shop", count)
        with serve(home / "shop") as base_url:
            urls = [f"{base_url}/{name}" for name in names]
            ours, peer = OurSide(home, urls), PeerSide(home, urls)
            ours_measured: list[float] = []
            theirs: dict[str, list[float]] = {way: [] for way in _PEER_WAYS}
            for _ in range(rounds):
                ours_measured.append(ours.photos_a_second())
                for way, options in _PEER_WAYS.items():
                    theirs[way].append(peer.photos_a_second(**options))
    median = statistics.median(ours_measured)
    figures: list[Figure] = []
    for way, measured in theirs.items():
        named = f"img2dataset, {way}"
        figures.append(
            compare("download", f"fetch_images, {count} photos, {CORES} cores", median, "photos/s", named,
                    statistics.median(measured))
        )  # fmt: skip
        figures.append(Figure("download", named, statistics.median(measured), "photos/s"))
    print_figures(figures, as_json)


if __name__ == "__main__":
    main()
