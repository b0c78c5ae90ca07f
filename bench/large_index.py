"""A published index of a million products, or ten: made once, kept under .run/bench, and searched by other benchmarks.

    python -m bench.large_index                                          # a million × 512, IVF with float16 codes
    python -m bench.large_index --rows 10000000 --kind ivf_rabitq --nlist 4096

It is built as `build_index` builds, by the same functions, with rows that pass through files instead of Spark, so
that memory stays small: lists are given block by block, each span of lists becomes a shard, shards are merged, and the
build is tuned and sealed. What was killed goes on where it stopped. Needs about two and a half times the vectors' size.
"""

import hashlib
import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from bench.large_catalog import BLOCK_ROWS, INTERVAL_END, Block, LargeCatalog, make_catalog
from bench.lifted_model import write_lifted_bundle
from bench.real_vectors import CACHE
from bench.report import Figure, print_figures
from online.snapshots.cache_folder import LOCK_FILE
from retrieval.encoders.bundles import read_bundle, upload_bundle
from retrieval.publishing.publish import publish
from retrieval.store.objects import open_store
from schemas.manifest import INDEX_FILE, MANIFEST_FILE, Manifest
from schemas.pointer import Served
from spark_jobs.index_build.assemble import Lineage, finish_build, make_parameters
from spark_jobs.index_build.coarse import assign_lists, train_centroids
from spark_jobs.index_build.merge import merge_shards
from spark_jobs.index_build.parameters import BuildParameters
from spark_jobs.index_build.shards import LISTS_FILE, ShardRows, write_shard

SPAN_ROWS = 500_000
_FIELDS = ("vectors", "numbers", "lists", "sources", "poles")


@dataclass(frozen=True)
class LargeIndex:
    """A store with one published build, and a host cache that already holds it."""

    home: Path

    @property
    def store(self) -> Path:
        return self.home / "store"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def build_folder(self) -> Path:
        """Raises StopIteration where it was not built."""
        return next((self.store / "builds").glob(f"*/{MANIFEST_FILE}")).parent

    @property
    def is_ready(self) -> bool:
        return (self.store / "CURRENT").exists()


def large_index(rows: int, dimension: int = 512, kind: str = "ivf_fp16", nlist: int | None = None) -> LargeIndex:
    """The index of that size, built where it is not there."""
    found = LargeIndex(CACHE / f"index-{rows}x{dimension}-{kind}")
    if not found.is_ready:
        _build(found, make_catalog(rows, dimension), kind, nlist)
    return found


def _build(target: LargeIndex, catalog: LargeCatalog, kind: str, nlist: int | None) -> None:
    scratch = target.home / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    dimension = catalog.lift.shape[1]
    write_lifted_bundle(target.home / "model", dimension)
    bundle = read_bundle(target.home / "model")
    parameters = make_parameters(
        catalog.rows, dimension, kind=kind, nlist=nlist, model_id=bundle.model_id, fingerprint=bundle.fingerprint,
        recall_goal=0.99, seed=1, has_text=False,
    )  # fmt: skip
    centroids = _centroids(catalog, parameters, scratch / "centroids.npy")
    spans = _Spans(scratch, parameters, catalog)
    spans.fill(catalog, centroids)
    shards = spans.write_shards(catalog, centroids)
    content = hashlib.sha256(f"{catalog.rows} {dimension} {catalog.seed}".encode()).hexdigest()
    folder = target.store / "builds" / parameters.build_id(content)
    _say("merging shards")
    merge_shards(shards, folder, parameters, centroids)
    shutil.rmtree(scratch)
    _say("tuning")
    manifest = finish_build(folder, parameters, Lineage({}, INTERVAL_END, ("bench",)))
    _publish(target, manifest)


def _centroids(catalog: LargeCatalog, parameters: BuildParameters, path: Path) -> NDArray[np.float32]:
    """Trained on the first rows: all are drawn alike."""
    if not path.exists():
        _say(f"training {parameters.nlist} lists on {parameters.sample_rows} rows")
        wanted, blocks, number = parameters.sample_rows, list[NDArray[np.float16]](), 0
        while sum(map(len, blocks)) < min(wanted, catalog.rows):
            blocks.append(catalog.block(number).vectors)
            number += 1
        np.save(path, train_centroids(np.concatenate(blocks)[:wanted], parameters))
    return np.asarray(np.load(path))


class _Spans:
    """Rows on their way into shards: each span of lists has a file for each field, which blocks are appended to."""

    def __init__(self, scratch: Path, parameters: BuildParameters, catalog: LargeCatalog) -> None:
        self._scratch, self._parameters = scratch, parameters
        self.count = max(1, round(catalog.rows / SPAN_ROWS))
        self._progress = scratch / "progress.json"

    def fill(self, catalog: LargeCatalog, centroids: NDArray[np.float32]) -> None:
        """Give every row its list. What a killed run had appended beyond its last whole block is cut off."""
        done = 0
        if self._progress.exists():
            done, standing = json.loads(self._progress.read_text())
            for name, size in standing.items():
                with (self._scratch / name).open("ab") as file:
                    file.truncate(size)
        else:
            for path in self._scratch.glob("span-*"):
                path.unlink()
        for number in range(done, catalog.blocks):
            block = catalog.block(number)
            self._append(number * BLOCK_ROWS, block, assign_lists(block.vectors, centroids))
            sizes = {path.name: path.stat().st_size for path in self._scratch.glob("span-*")}
            self._progress.write_text(json.dumps([number + 1, sizes]))
            _say(f"block {number + 1} of {catalog.blocks}")

    def _append(self, first_row: int, block: Block, lists: NDArray[np.int32]) -> None:
        numbers = np.arange(first_row, first_row + len(lists))
        span = lists.astype(np.int64) * self.count // self._parameters.nlist
        fields: tuple[NDArray[Any], ...] = (block.vectors, numbers, lists, block.sources, block.poles)
        for place in np.unique(span):
            chosen = np.flatnonzero(span == place)
            for name, values in zip(_FIELDS, fields, strict=True):
                with self._path(int(place), name).open("ab") as file:
                    values[chosen].tofile(file)

    def write_shards(self, catalog: LargeCatalog, centroids: NDArray[np.float32]) -> list[Path]:
        folders = [self._scratch / f"shard-{place:04d}" for place in range(self.count)]
        for place, folder in enumerate(folders):
            if (folder / LISTS_FILE).exists() and not self._path(place, "vectors").exists():
                continue
            _say(f"shard {place + 1} of {self.count}")
            types = (np.float16, np.int64, np.int32, np.int16, np.int8)
            read: list[Any] = [
                np.fromfile(self._path(place, name), kind) for name, kind in zip(_FIELDS, types, strict=True)
            ]
            vectors, numbers, lists, sources, poles = read
            rows = ShardRows(
                catalog.items(numbers, sources, poles), vectors.reshape(-1, self._parameters.dimension), lists
            )
            write_shard(rows, folder, self._parameters, centroids)
            for name in reversed(_FIELDS):
                self._path(place, name).unlink()
        return folders

    def _path(self, place: int, name: str) -> Path:
        return self._scratch / f"span-{place:04d}.{name}"


def _publish(target: LargeIndex, manifest: Manifest) -> None:
    """Make it CURRENT, and lay the build into the cache by a link: it is large enough once."""
    upload_bundle(open_store(str(target.store)), target.home / "model")
    builds = target.cache / "builds"
    builds.mkdir(parents=True, exist_ok=True)
    (target.cache / LOCK_FILE).touch()  # else a searcher takes it for a folder of somebody else's
    link = builds / manifest.build_id
    if not link.exists():
        link.symlink_to((target.store / "builds" / manifest.build_id).absolute())
    served = Served(manifest.build_id, manifest.model_id)
    publish(open_store(str(target.store)), served, INTERVAL_END, {}, f"bench/{manifest.build_id}")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@click.command(help=__doc__)
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--dimension", default=512, show_default=True)
@click.option("--kind", default="ivf_fp16", show_default=True, type=click.Choice(["ivf_fp16", "ivf_rabitq"]))
@click.option("--nlist", type=int, help="coarse lists (default: by size)")
@click.option("--json", "as_json", is_flag=True)
def main(rows: int, dimension: int, kind: str, nlist: int | None, as_json: bool) -> None:
    started = time.perf_counter()
    folder = large_index(rows, dimension, kind, nlist).build_folder
    manifest = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    name = f"{manifest.rows} × {manifest.dimension}, {manifest.factory}"
    figures = [
        Figure("large_index", f"{name}: this run", time.perf_counter() - started, "s"),
        Figure("large_index", f"{name}: index", manifest.files[INDEX_FILE].bytes / 1e6, "MB"),
        Figure("large_index", f"{name}: all files", sum(entry.bytes for entry in manifest.files.values()) / 1e6, "MB"),
        Figure("large_index", f"{name}: probes", manifest.photo_search.nprobe, ""),
        Figure("large_index", f"{name}: re-ranked", manifest.photo_search.rerank, ""),
        *(Figure("large_index", f"{name}: recall@10, {part}", value, "") for part, value in manifest.recall.items()),
    ]
    print_figures(figures, as_json)


if __name__ == "__main__":
    main()
