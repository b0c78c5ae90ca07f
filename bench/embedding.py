"""Photos embedded a second: through Spark, in bare Python, and by clip-retrieval, with the same model and photos.

    python -m bench.embedding [--photos FOLDER] [--model default --model ViT-B-16:random] [--rounds 3] [--no-peer] [--json]

Start-up is apart: every side has loaded its model before its clock starts. Decoding and preparing photos is counted on
all sides, and for Spark reading and spreading them too. Sides take turns, and the median round counts.
"""

import argparse
import json
import logging
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.peers import PROJECT_ROOT, peer_python
from bench.report import Figure, compare, print_figures

BENCH = "embedding"
PROCESSES = 2
PHOTOS_FOLDER = PROJECT_ROOT.parent / "shared" / "data" / "clothing" / "images"
SCRATCH = PROJECT_ROOT / ".run" / "bench-embedding"
_SLOW_MODEL_SHARE = 24
"""ViT-B-16 is some twenty times slower than EfficientNet-Lite0: fewer photos take as long."""


@dataclass(frozen=True)
class Subject:
    """A model as all sides use it: its bundle, and the same photos as files and as rows."""

    label: str
    bundle: Path
    paths: tuple[Path, ...]
    parquet: Path


def prepare_subject(model: str, paths: Sequence[Path], count: int) -> Subject:
    """Export the bundle, its CPU runtime measured on real photos, and lay out the photos; both are kept for next time."""
    from spark_jobs.models.export import export_bundle, read_photos
    from spark_jobs.models.open_clip import load_model

    name, _, pretrained = model.partition(":")
    label = model.replace(":", "-").lower()
    folder = SCRATCH / "models" / label
    export_bundle(
        load_model(name, pretrained or None),
        folder,
        read_photos(paths[0].parent, limit=64 if name == "default" else 32),
    )
    chosen = tuple(paths[: count if name == "default" else max(PROCESSES, count // _SLOW_MODEL_SHARE)])
    parquet = SCRATCH / f"photos-{len(chosen)}.parquet"
    _write_parquet(chosen, parquet)
    return Subject(label, folder, chosen, parquet)


def _write_parquet(paths: Sequence[Path], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"content_sha256": [path.stem for path in paths], "stored": [path.read_bytes() for path in paths]}
    pq.write_table(pa.table(rows), target)


# Bare Python: two processes, each with its own encoder and half of the photos.


def bare_round(subject: Subject, runtime: str) -> float:
    """Photos a second by two plain processes, from the moment both have their model."""
    context = multiprocessing.get_context("spawn")
    ready, start = context.Barrier(PROCESSES + 1), context.Barrier(PROCESSES + 1)
    halves = [subject.paths[at::PROCESSES] for at in range(PROCESSES)]
    workers = [
        context.Process(target=_embed_files, args=(subject.bundle, runtime, half, ready, start)) for half in halves
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    started = time.perf_counter()
    start.wait()
    for worker in workers:
        worker.join()
    return len(subject.paths) / (time.perf_counter() - started)


def _embed_files(folder: Path, runtime: str, paths: Sequence[Path], ready: Any, start: Any) -> None:
    from retrieval.encoders.bundles import read_bundle
    from retrieval.encoders.runtimes import load_encoder
    from retrieval.photos.decoding import decode_photo
    from retrieval.photos.preprocess import to_batch

    encoder, preprocessing = load_encoder(folder, runtime, threads=1), read_bundle(folder).preprocessing
    encoder.encode_pixels(
        to_batch([decode_photo(path.read_bytes()) for path in paths[: encoder.batch_photos]], preprocessing)
    )
    ready.wait()
    start.wait()
    for at in range(0, len(paths), encoder.batch_photos):
        group = [decode_photo(path.read_bytes()) for path in paths[at : at + encoder.batch_photos]]
        encoder.encode_pixels(to_batch(group, preprocessing))


# Spark: the job's own transform over the same photos.


class SparkSide:
    """One session for all rounds; its Python workers keep their model from round to round."""

    def __init__(self) -> None:
        from spark_jobs.running.session import open_session

        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self._spark = open_session("bench.embedding", settings={"spark.sql.warehouse.dir": str(SCRATCH / "warehouse")})
        self._store = SCRATCH / "store"

    def round(self, subject: Subject, runtime: str) -> float:
        """Photos a second through `embed_images.encode_photos`, rows read from Parquet, vectors counted and dropped."""
        from retrieval.encoders.bundles import upload_bundle
        from retrieval.store.objects import open_store
        from spark_jobs.embed_images import encode_photos, partitions_for
        from spark_jobs.embedding.photo_batches import ModelSource

        store = open_store(str(self._store))
        model_id = upload_bundle(store, subject.bundle).model_id
        source = ModelSource(store.uri, model_id, runtime, SCRATCH / "cache")
        photos = self._spark.read.parquet(str(subject.parquet))
        few = photos.limit(PROCESSES * 8)
        _drop(encode_photos(few, source, partitions=PROCESSES))  # workers load their model
        partitions = partitions_for(len(subject.paths), PROCESSES)
        started = time.perf_counter()
        _drop(encode_photos(photos, source, partitions=partitions))
        return len(subject.paths) / (time.perf_counter() - started)

    def stop(self) -> None:
        self._spark.stop()


def _drop(frame: Any) -> None:
    frame.write.format("noop").mode("overwrite").save()


# clip-retrieval: its own inference command, by its own clock.


def peer_round(subject: Subject, batch_size: int = 64) -> float:
    """Photos a second by clip-retrieval's statistics, which begin when its model is loaded and warm."""
    python = peer_python("clip-retrieval")
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        photos, out = Path(scratch) / "photos", Path(scratch) / "out"
        photos.mkdir()
        for path in subject.paths:
            (photos / path.name).symlink_to(path.absolute())
        name = _register_with_peer(subject, python)
        command = [
            str(python), "-m", "clip_retrieval.cli", "inference", "--input_dataset", str(photos), "--output_folder", str(out),
            "--clip_model", f"open_clip:{name}/{subject.bundle / 'model.safetensors'}", "--enable_text", "False",
            "--batch_size", str(min(batch_size, len(subject.paths))), "--num_prepro_workers", str(PROCESSES), "--use_jit", "False",
        ]  # fmt: skip
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        done = subprocess.run(command, env=environment | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
        stats = sorted((out / "stats").glob("[0-9]*.json"))
        if done.returncode or not stats:
            raise SystemExit(f"clip-retrieval failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        found = [json.loads(path.read_text()) for path in stats]
    return float(sum(one["sample_count"] for one in found) / sum(one["total_duration"] for one in found))


def _register_with_peer(subject: Subject, python: Path) -> str:
    """Let the peer's own open_clip know the bundle's architecture by name."""
    from spark_jobs.models.packaged import text_package_folder

    config = json.loads((subject.bundle / "open_clip_config.json").read_text())["model_cfg"]
    if "hf_model_name" in config["text_cfg"]:
        config["text_cfg"]["hf_model_name"] = config["text_cfg"]["hf_tokenizer_name"] = str(text_package_folder())
    name = f"shoplens-{subject.label}"
    (folder,) = python.parent.parent.glob("lib/python*/site-packages/open_clip/model_configs")
    (folder / f"{name}.json").write_text(json.dumps(config))
    return name


def measure(subject: Subject, spark: SparkSide, runtime: str, rounds: int, *, with_peer: bool) -> list[Figure]:
    """All sides in turns; the median of each."""
    sides: dict[str, Callable[[], float]] = {
        "bare Python, two processes": lambda: bare_round(subject, runtime),
        "Spark": lambda: spark.round(subject, runtime),
    }
    if with_peer:
        sides["clip-retrieval"] = lambda: peer_round(subject)
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            found[name].append(side())
            print(f"{subject.label}: {name} {found[name][-1]:.1f} photos/s", file=sys.stderr, flush=True)
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    figures = [
        compare(BENCH, f"{subject.label}, through Spark", medians["Spark"], "photos/s", name, medians[name])
        for name in sides if name != "Spark"
    ]  # fmt: skip
    return [*figures, *runtime_figures(subject)]


def runtime_figures(subject: Subject) -> list[Figure]:
    """What the export measured: speed on one thread, and the least cosine to the exact runtime."""
    from retrieval.encoders.bundles import read_bundle
    from retrieval.encoders.runtimes import EXACT

    metrics = read_bundle(subject.bundle).metrics
    exact = metrics["runtimes"][EXACT]["photos_per_second"]
    figures = []
    for name, numbers in metrics["runtimes"].items():
        mark = " (chosen)" if name == metrics["cpu_runtime"] else ""
        speed = compare(
            BENCH, f"{subject.label}, {name}, one thread{mark}", numbers["photos_per_second"], "photos/s", EXACT, exact
        )
        figures += [
            speed,
            Figure(BENCH, f"{subject.label}, {name}, least of {metrics['photos']}", numbers["cosine_min"], "cosine"),
        ]
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS_FOLDER, help="folder of JPEG photos")
    parser.add_argument("--count", type=int, default=3029, help="photos a round (a sixteenth of it for large models)")
    parser.add_argument("--model", action="append", help="open_clip NAME:WEIGHTS or default; repeatable")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true", help="leave clip-retrieval out (its environment takes 6 GB)")
    parser.add_argument("--json", action="store_true", help="one line a figure")
    arguments = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    paths = sorted(arguments.photos.glob("*.jpg"))[: arguments.count]
    if not paths:
        raise SystemExit(f"{arguments.photos} has no .jpg files: name a folder of photos with --photos")
    (SCRATCH / "models").mkdir(parents=True, exist_ok=True)
    subjects = [
        prepare_subject(model, paths, arguments.count) for model in arguments.model or ("default", "ViT-B-16:random")
    ]
    spark = SparkSide()
    try:
        figures = [
            figure for subject in subjects
            for figure in measure(subject, spark, arguments.runtime, arguments.rounds, with_peer=not arguments.no_peer)
        ]  # fmt: skip
    finally:
        spark.stop()
        shutil.rmtree(SCRATCH / "store", ignore_errors=True)
    print_figures(figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
