"""Build the index of one data interval: rows at the pinned versions, thumbnails, and an immutable folder builds/<id>/.

Reads the receipts of ingest_catalog, fetch_images and embed_images. The same rows with the same parameters give the
same id, and a build that is in the store already is not made again. Publishes nothing.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame

from retrieval.encoders.bundles import default_cache_folder, fetch_bundle, read_bundle
from retrieval.encoders.onnx import OnnxEncoder
from retrieval.folders.files import check_file
from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.items.table import map_items
from retrieval.publishing.coverage import EMBEDDINGS
from schemas.errors import Corrupt, EncoderMismatch
from schemas.manifest import INDEX_FILE, ITEMS_FILE, Manifest, build_key
from schemas.receipts import Receipt
from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCT_IMAGES, PRODUCTS
from spark_jobs.index_build.assemble import EncodeTexts, Lineage, fill_folder, finish_build, make_parameters
from spark_jobs.index_build.distributed import fill_build
from spark_jobs.index_build.parameters import KINDS, BuildParameters
from spark_jobs.index_build.shards import ShardRows
from spark_jobs.index_build.source_rows import (
    Sources,
    describe_rows,
    digest_rows,
    index_rows,
    items_of,
    product_photos,
    read_sources,
    vectors_of,
)
from spark_jobs.index_build.thumbnails import has_thumbnails, write_thumbnails
from spark_jobs.lake.tables import Lake
from spark_jobs.running.earlier_run import earlier_receipt, shows_the_same
from spark_jobs.running.job import JobContext, above_zero, job_parser, run_job, share_of_one
from spark_jobs.running.session import open_session

JOB = "build_index"
SOURCE_JOBS = ("ingest_catalog", "fetch_images", "embed_images")
OLDER_INTERVAL = "an older interval"

log = logging.getLogger("shoplens")

# Vectors and attributes are small: batches may be larger than for photos.
_SETTINGS = {"spark.sql.execution.arrow.maxRecordsPerBatch": "4096"}


@dataclass(frozen=True)
class Pinned:
    """What the earlier jobs of this run left: Delta versions by table, those of all models' vectors, and the run's model.

    `lake_id` is whose versions they are; empty in receipts of an earlier release.
    """

    versions: dict[str, int]
    model_id: str
    fingerprint: str
    is_newest: bool
    lake_id: str = ""


def read_pins(context: JobContext) -> Pinned:
    """Raises MissingReceipt where an earlier job did not finish, BadData where its receipt does not name the model."""
    receipts = {job: context.receipt_of(job) for job in SOURCE_JOBS}
    model_id = str(receipts["embed_images"].fact("model_id"))
    named = (PRODUCTS.path, PRODUCT_IMAGES.path, IMAGE_FETCHES.path, IMAGES.path)
    found: dict[str, int] = {}
    for receipt in receipts.values():
        found |= {
            path: version
            for path, version in receipt.table_versions.items()
            if path in named or path.startswith(EMBEDDINGS)
        }
    return Pinned(
        versions=found,
        model_id=model_id,
        fingerprint=str(receipts["embed_images"].fact("fingerprint")),
        is_newest=bool(receipts["ingest_catalog"].facts.get("newest", True)),
        lake_id=str(receipts["ingest_catalog"].facts.get("lake_id", "")),
    )


def build(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    pinned = read_pins(context)
    if not pinned.is_newest and not arguments.build_old:
        return context.receipt(facts={"skipped": OLDER_INTERVAL})
    encode_texts = load_text_encoder(context, pinned)
    if same := same_as_before(context, arguments, pinned, has_text=encode_texts is not None):
        return same
    spark = open_session(JOB, s3=context.uses_s3, settings=_SETTINGS, lake=context.lake)
    sources = read_sources(Lake(spark, context.lake), pinned.versions, pinned.model_id)
    photos = product_photos(sources).persist()
    described = describe_rows(index_rows(sources, photos)).persist()
    rows, digest = digest_rows(described)
    parameters = parameters_for(rows, dimension_of(described), arguments, pinned, has_text=encode_texts is not None)
    written, kept = write_thumbnails(photos, sources.images, context.store)
    build_id = parameters.build_id(digest)
    standing = find_whole_build(context, build_id)
    manifest = standing or make_build(described, rows, build_id, parameters, pinned, encode_texts, context)
    counts = count_sources(sources, photos) | {
        "rows": manifest.rows, "products": manifest.products,
        "thumbnails_written": written, "thumbnails_kept": kept,
    }  # fmt: skip
    counts["products_without_photo"] = counts["products_live"] - manifest.products
    counts["photos_without_vector"] = counts["photos"] - manifest.rows
    return receipt_of(context, manifest, pinned, counts, reused=standing is not None)


def receipt_of(
    context: JobContext, manifest: Manifest, pinned: Pinned, counts: dict[str, int], *, reused: bool,
    same_as_before: bool = False,
) -> Receipt:  # fmt: skip
    return context.receipt(
        counts=counts,
        table_versions=pinned.versions,
        files={"manifest": build_key(manifest.build_id)},
        figures=figures_of(manifest),
        facts={
            "build_id": manifest.build_id, "reused": reused, "same_as_before": same_as_before,
            "index_kind": manifest.index_kind, "factory": manifest.factory, "model_id": pinned.model_id,
            "fingerprint": pinned.fingerprint, "lake_id": pinned.lake_id,
        },
    )  # fmt: skip


def same_as_before(
    context: JobContext, arguments: argparse.Namespace, pinned: Pinned, *, has_text: bool
) -> Receipt | None:
    """Where the run before built from the same tables with the same parameters, its build with its counts: no Spark.

    None where it did not, or where the build or one of its thumbnails is gone: then all is looked at.
    """
    earlier = earlier_receipt(context, JOB)
    if earlier is None or not shows_the_same(context, earlier, earlier.table_versions, pinned.versions):
        return None
    manifest = find_whole_build(context, str(earlier.facts.get("build_id")))
    if manifest is None:
        return None
    wanted = parameters_for(manifest.rows, manifest.dimension, arguments, pinned, has_text=has_text)
    if manifest.parameters != wanted.in_manifest:
        return None
    try:
        contents = photos_of(context, manifest)
    except Corrupt as error:
        log.warning("%s", error)
        return None
    if not has_thumbnails(contents, context.store):
        return None
    counts = earlier.counts | {"thumbnails_written": 0, "thumbnails_kept": len(contents)}
    return receipt_of(context, manifest, pinned, counts, reused=True, same_as_before=True)


def photos_of(context: JobContext, manifest: Manifest) -> set[str]:
    """The photos of a build that is in the store. Raises Corrupt."""
    with tempfile.TemporaryDirectory(prefix="shoplens-items-") as scratch:
        path = Path(scratch) / ITEMS_FILE
        context.store.download(build_key(manifest.build_id, ITEMS_FILE), path)
        check_file(path, manifest.files[ITEMS_FILE])
        return set(map_items(path).column("image_id").unique().to_pylist())


def parameters_for(
    rows: int, dimension: int, arguments: argparse.Namespace, pinned: Pinned, *, has_text: bool
) -> BuildParameters:
    return make_parameters(
        rows, dimension, kind=arguments.kind, nlist=arguments.nlist, model_id=pinned.model_id,
        fingerprint=pinned.fingerprint, recall_goal=arguments.recall_goal, seed=arguments.seed, has_text=has_text,
    )  # fmt: skip


def make_build(
    described: DataFrame, rows: int, build_id: str, parameters: BuildParameters, pinned: Pinned,
    encode_texts: EncodeTexts | None, context: JobContext,
) -> Manifest:  # fmt: skip
    """Make the folder and send it. Exact indexes are small and are laid out here, others through shards."""
    runtimes = tuple(sorted(row["runtime"] for row in described.select("runtime").distinct().collect()))
    with tempfile.TemporaryDirectory(prefix="shoplens-build-") as scratch:
        folder = Path(scratch) / build_id
        if parameters.kind == "exact":
            table = described.drop("digest").toArrow()
            fill_folder(ShardRows(items_of(table), vectors_of(table.column("vector")), None), folder, parameters)
        else:
            fill_build(described, rows, parameters, context.store, folder)
        finish_build(folder, parameters, Lineage(pinned.versions, context.interval.key, runtimes), encode_texts)
        return BUILD_FOLDERS.upload(context.store, folder)


def find_whole_build(context: JobContext, build_id: str) -> Manifest | None:
    """The build that is in the store already; one with files missing is made again."""
    try:
        return BUILD_FOLDERS.find(context.store, build_id)
    except Corrupt as error:
        log.warning("%s: it is made again", error)
        return None


def load_text_encoder(context: JobContext, pinned: Pinned) -> EncodeTexts | None:
    """The text tower of the model that made the vectors; None where it has none. Raises ModelUnavailable, EncoderMismatch."""
    folder = fetch_bundle(context.store, pinned.model_id, default_cache_folder())
    bundle = read_bundle(folder)
    if bundle.fingerprint != pinned.fingerprint:
        raise EncoderMismatch(
            f"model {pinned.model_id} in {context.store.uri} is not the one that made the vectors: upload it again"
        )
    return OnnxEncoder.load(folder).encode_texts if bundle.text_input else None


def dimension_of(described: DataFrame) -> int:
    """The length of the vectors; 0 where there are no rows."""
    first = described.select("vector").first()
    return len(first["vector"]) // 2 if first else 0


def count_sources(sources: Sources, photos: DataFrame) -> dict[str, int]:
    """What the row counts of the build must add up to."""
    return {"products_live": sources.products.where("NOT deleted").count(), "photos": photos.count()}


def figures_of(manifest: Manifest) -> dict[str, float]:
    recall = {f"recall_{name}": value for name, value in manifest.recall.items()}
    return recall | {
        "nprobe_photo": manifest.photo_search.nprobe,
        "nprobe_text": manifest.text_search.nprobe,
        "index_bytes": manifest.files[INDEX_FILE].bytes,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = job_parser(__doc__)
    parser.add_argument("--kind", choices=KINDS, default="auto", help="index kind (default: by size)")
    parser.add_argument("--recall-goal", type=share_of_one, default=0.99, help="recall at 10 against exact search")
    parser.add_argument("--nlist", type=above_zero(int), help="coarse lists (default: by size)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build-old", action="store_true", help="also for an interval older than the newest applied")
    return run_job(JOB, parser, build, argv)


if __name__ == "__main__":
    sys.exit(main())
