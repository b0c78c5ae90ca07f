"""Embed the photos of all live products with one model, each (content, model) once in its life.

    python -m spark_jobs.embed_images --lake L --store S --interval-start T --interval-end T --model ID_OR_FOLDER …

What needs a vector: accepted photos that any live product shows, and that embeddings/<model id> does not hold yet. A
model given as a folder is uploaded to the store first, and every host's workers share one local copy of it.
"""

import argparse
import logging
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retrieval.encoders.bundles import default_cache_folder, find_bundle, read_bundle, upload_bundle
from retrieval.encoders.runtimes import RUNTIMES
from schemas.bundle import BUNDLE_FILE, Bundle
from schemas.errors import Corrupt, MissingReceipt, ModelUnavailable
from schemas.receipts import Receipt
from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCT_IMAGES, PRODUCTS, Table, embeddings
from spark_jobs.embedding.photo_batches import ENCODED_DDL, EncodePhotos, ModelSource
from spark_jobs.lake.few_photos import take_photos
from spark_jobs.lake.tables import Lake, retry_conflicts
from spark_jobs.running.earlier_run import earlier_receipt, shows_the_same
from spark_jobs.running.job import JobContext, job_parser, run_job
from spark_jobs.running.session import broadcast_few, hold_rows, open_session
from spark_jobs.running.worker_errors import worker_errors

JOB = "embed_images"
SOURCE_JOBS = ("ingest_catalog", "fetch_images")
PARTITION_PHOTOS = 2048
_UPLOAD_AGAIN = "remove {0}/models/{1}/ and upload it again with `shoplens model export --store {0}`"

log = logging.getLogger("shoplens")


@dataclass(frozen=True)
class Sources:
    """The tables that say which photos are shown, at the versions of this run."""

    products: DataFrame
    product_images: DataFrame
    fetches: DataFrame
    images: DataFrame


def pending_photos(sources: Sources, embedded: DataFrame) -> DataFrame:
    """(content_sha256) of accepted photos that a live product shows, each once, and that the model's table lacks.

    Photos without a vector are looked for first: on most runs they are few, and only their links and products are then
    joined.
    """
    accepted = sources.images.where(F.col("verdict") == "accepted").select("content_sha256")
    lacking = accepted.join(embedded.select("content_sha256"), "content_sha256", "left_anti")
    fetched = _with_few(sources.fetches.select("url", "content_sha256"), lacking, "content_sha256")
    linked = _with_few(sources.product_images.select("url", "product_id"), fetched, "url")
    live = _with_few(sources.products.where(~F.col("deleted")).select("product_id"), linked, "product_id")
    return live.select("content_sha256").distinct()


def _with_few(rows: DataFrame, found: DataFrame, key: str) -> DataFrame:
    """The rows joined with what was found so far; not shuffled where that is little."""
    held = hold_rows(found)
    return rows.join(broadcast_few(held, held.count()), key)


def encode_photos(photos: DataFrame, source: ModelSource, *, partitions: int) -> DataFrame:
    """(content_sha256, stored) to ENCODED_DDL, spread evenly so that small data too keeps all cores busy."""
    spread = photos.select("content_sha256", "stored").repartition(partitions)
    return spread.mapInPandas(EncodePhotos(source), ENCODED_DDL)  # type: ignore[arg-type]


def partitions_for(photos: int, cores: int) -> int:
    """Some 2,048 photos each, so that a lost task costs little; a multiple of the cores, so that none waits at the end."""
    return cores * max(1, math.ceil(photos / (cores * PARTITION_PHOTOS)))


def embed_images(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    bundle = find_model(context, arguments.model)
    source = ModelSource(context.store.uri, bundle.model_id, arguments.runtime, arguments.cache)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a worker, one worker a core
    threads = {"spark.executorEnv.OMP_NUM_THREADS": "1"}
    spark = open_session(JOB, s3=context.uses_s3, settings=threads, lake=context.lake)
    lake, table = Lake(spark, context.lake), embeddings(bundle.model_id)
    pinned = pinned_versions(context)
    counts, seconds, count = {"embedded": 0, "skipped": 0}, 0.0, 0
    runtimes: list[str] = []
    if not has_all_vectors(context, pinned, {table.path: lake.version(table)}, bundle):
        sources = read_sources(lake, pinned)
        # The keys alone decide; the bytes are read for those only.
        pending = hold_rows(pending_photos(sources, lake.read(table)))
        count = pending.count()
    if count:
        partitions = partitions_for(count, spark.sparkContext.defaultParallelism)
        photos = take_photos(sources.images, pending, count)
        started = time.monotonic()
        encoded = encode_photos(photos, source, partitions=partitions).persist()
        with plainly_unloadable(_UPLOAD_AGAIN.format(context.store.uri, bundle.model_id)):
            counts, runtimes = record_vectors(lake, table, encoded)
        seconds = time.monotonic() - started
        encoded.unpersist()
    facts = {
        "model_id": bundle.model_id, "fingerprint": bundle.fingerprint, "runtime": ", ".join(runtimes) or None,
        "read": pinned, "lake_id": lake.lake_id(),
    }  # fmt: skip
    return context.receipt(
        counts=counts, facts=facts, table_versions={table.path: lake.version(table)},
        figures={"embed_seconds": round(seconds, 3)},
    )  # fmt: skip


def record_vectors(lake: Lake, table: Table, encoded: DataFrame) -> tuple[dict[str, int], list[str]]:
    """Insert what was encoded, count and log what was not. Returns counts and the runtimes that computed."""
    with worker_errors():
        groups = encoded.groupBy("runtime", "reason").count().collect()
    runtimes = sorted({group["runtime"] for group in groups})
    embedded = sum(group["count"] for group in groups if group["reason"] is None)
    skipped = {group["reason"]: group["count"] for group in groups if group["reason"] is not None}
    for reason, count in skipped.items():
        log.warning("%d stored photos could not be decoded (%s) and were skipped", count, reason)
    rows = encoded.where(F.col("reason").isNull()).select(*table.column_names)

    def write() -> None:
        lake.to_write(table).alias("held").merge(
            rows.alias("new"), "held.content_sha256 = new.content_sha256"
        ).whenNotMatchedInsertAll().execute()

    if embedded:
        retry_conflicts(write)
    return {"embedded": embedded, "skipped": sum(skipped.values())}, runtimes


def find_model(context: JobContext, model: str) -> Bundle:
    """The bundle of a folder, uploaded if the store lacks it, or of an id in the store; checked before Spark starts.

    Raises ModelUnavailable, SchemaTooNew.
    """
    folder = Path(model)
    if (folder / BUNDLE_FILE).exists():
        with plainly_unloadable(f"make it again with `shoplens model export --out {model}`"):
            model = upload_bundle(context.store, folder).model_id
    elif "/" in model:
        return read_bundle(folder)  # raises: there is none
    with plainly_unloadable(_UPLOAD_AGAIN.format(context.store.uri, model)):
        return find_bundle(context.store, model)


@contextmanager
def plainly_unloadable(fix: str) -> Iterator[None]:
    """A damaged model is for a person to mend: raises ModelUnavailable, which says how, in place of Corrupt."""
    try:
        yield
    except Corrupt as error:
        raise ModelUnavailable(f"the model cannot be loaded, {error}: {fix}") from error


def pinned_versions(context: JobContext) -> dict[str, int]:
    """Those that the run's earlier jobs left, by table path; none where the job runs by itself."""
    pinned: dict[str, int] = {}
    for job in SOURCE_JOBS:
        try:
            pinned |= context.receipt_of(job).table_versions
        except MissingReceipt:
            log.info("no receipt of %s: reading the newest versions of its tables", job)
    return pinned


def has_all_vectors(context: JobContext, pinned: Mapping[str, int], held: Mapping[str, int], bundle: Bundle) -> bool:
    """Whether the run before left a vector for every photo that is shown now: it found the same, and skipped none.

    `held`: the version at which the model's vectors stand, by table path.
    """
    earlier = earlier_receipt(context, JOB)
    return (
        earlier is not None
        and earlier.facts.get("fingerprint") == bundle.fingerprint
        and earlier.counts.get("skipped") == 0
        and earlier.table_versions == held
        and shows_the_same(context, earlier, earlier.facts.get("read", {}), pinned)
    )


def read_sources(lake: Lake, pinned: Mapping[str, int]) -> Sources:
    """At the pinned versions; the newest where there are none."""
    products, product_images, fetches, images = (
        lake.read(table, pinned.get(table.path)) for table in (PRODUCTS, PRODUCT_IMAGES, IMAGE_FETCHES, IMAGES)
    )
    return Sources(products, product_images, fetches, images)


def embed_parser() -> argparse.ArgumentParser:
    parser = job_parser(__doc__)
    add = parser.add_argument
    add("--model", required=True, help="bundle folder, or a model id under models/ in the store")
    add("--runtime", choices=RUNTIMES, default="auto", help="auto: torch on a GPU, else the bundle's measured choice")
    add("--cache", type=Path, default=default_cache_folder(), help="folder on each host for its copy of the model")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return run_job(JOB, embed_parser(), embed_images, argv)


if __name__ == "__main__":
    sys.exit(main())
