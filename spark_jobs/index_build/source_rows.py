"""The rows of a build, from the source tables: one for each live product and each of its accepted photos."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retrieval.items.table import ITEMS_SCHEMA, conform_items
from schemas.items import ITEM_COLUMNS
from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCT_IMAGES, PRODUCTS, embeddings
from spark_jobs.index_build.rows import DIGEST_BUCKET_DIGITS, as_stored, digest_of_buckets, row_digests
from spark_jobs.lake.tables import Lake

_SPARK_TYPES = {
    "string": "STRING",
    "int32": "INT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "map<string,string>": "MAP<STRING,STRING>",
    "timestamp[us, UTC]": "TIMESTAMP",
}
ITEM_NAMES = tuple(name for name, _ in ITEM_COLUMNS)
ITEM_TYPES = ", ".join(f"{name} {_SPARK_TYPES[type_name]}" for name, type_name in ITEM_COLUMNS)

DESCRIBED = ITEM_TYPES + ", runtime STRING, vector BINARY, digest STRING"
"""An item, what computed its vector, the vector as float16 bytes, and the digest of item and vector."""


@dataclass(frozen=True)
class Sources:
    """The tables that a build reads, each at its pinned version."""

    products: DataFrame
    product_images: DataFrame
    image_fetches: DataFrame
    images: DataFrame
    vectors: DataFrame


def read_sources(lake: Lake, versions: dict[str, int], model_id: str) -> Sources:
    def read(table_path: str) -> DataFrame:
        table = next(
            t for t in (PRODUCTS, PRODUCT_IMAGES, IMAGE_FETCHES, IMAGES, embeddings(model_id)) if t.path == table_path
        )
        return lake.read(table, versions.get(table_path))

    return Sources(
        products=read(PRODUCTS.path),
        product_images=read(PRODUCT_IMAGES.path),
        image_fetches=read(IMAGE_FETCHES.path),
        images=read(IMAGES.path),
        vectors=read(embeddings(model_id).path),
    )


def product_photos(sources: Sources) -> DataFrame:
    """product_id, image_id (the content), image_position: the usable photos of live products, each once a product.

    A link that failed tonight keeps the photo that it gave before; one that was given up on does not.
    """
    is_live = ~F.col("deleted")
    has_photo = F.col("content_sha256").isNotNull() & (F.col("status") != "gave_up")
    is_accepted = F.col("verdict") == "accepted"
    return (
        sources.product_images.join(sources.products.where(is_live).select("product_id"), "product_id")
        .join(sources.image_fetches.where(has_photo).select("url", "content_sha256"), "url")
        .join(sources.images.where(is_accepted).select("content_sha256"), "content_sha256")
        .groupBy("product_id", F.col("content_sha256").alias("image_id"))
        .agg(F.min("position").cast("int").alias("image_position"))
    )


def count_rows(sources: Sources, *, exactly: bool = False) -> dict[str, int]:
    """Rows and products that a build of these tables must have, counted without the build.

    Of keys, which are long, 64-bit hashes are joined: some 60 % of the time. Two of ten million are the same with odds of
    3 in a million, and then rows are counted that are none: before a build is refused, count `exactly`.
    """
    if not exactly:
        sources = _by_hash(sources)
    vectors = sources.vectors.select(F.col("content_sha256").alias("image_id"))
    counted = (
        product_photos(sources)
        .join(vectors, "image_id")
        .agg(F.count("*").alias("rows"), F.countDistinct("product_id").alias("products"))
        .collect()[0]
    )
    return {"rows": counted["rows"], "products": counted["products"]}


def _by_hash(sources: Sources) -> Sources:
    """The columns that `product_photos` reads, with hashes in place of keys."""
    product, url, content = (
        F.when(F.col(key).isNotNull(), F.xxhash64(key)).alias(key) for key in ("product_id", "url", "content_sha256")
    )
    return Sources(
        products=sources.products.select(product, "deleted"),
        product_images=sources.product_images.select(product, url, "position"),
        image_fetches=sources.image_fetches.select(url, content, "status"),
        images=sources.images.select(content, "verdict"),
        vectors=sources.vectors.select(content),
    )


def item_rows(sources: Sources, photos: DataFrame) -> DataFrame:
    """The item columns, one row for each product and photo, whether it has a vector or not."""
    attributes = sources.products.select(
        "product_id", F.coalesce("group_id", "product_id").alias("group_id"), "title", "brand", "category", "colour",
        "price", "currency", "in_stock", "attributes", F.coalesce("created_at", "first_seen").alias("created_at"),
    )  # fmt: skip
    return photos.join(attributes, "product_id").select(*ITEM_NAMES)


def index_rows(sources: Sources, photos: DataFrame) -> DataFrame:
    """The item columns with `vector` (array of float) and `runtime`, one row for each product and photo."""
    vectors = sources.vectors.select(F.col("content_sha256").alias("image_id"), "runtime", "vector")
    return item_rows(sources, photos).join(vectors, "image_id").select(*ITEM_NAMES, "vector", "runtime")


def describe_rows(rows: DataFrame) -> DataFrame:
    """Vectors as stored (float16 bytes) and each row's digest, computed where the rows are."""
    return rows.select(*ITEM_NAMES, "runtime", "vector").mapInArrow(_describe, DESCRIBED)


def _describe(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if not batch.num_rows:
            continue
        table = pa.Table.from_batches([batch])
        items = conform_items(table)
        lists = table.column("vector").combine_chunks()
        stored = as_stored(lists.flatten().to_numpy(zero_copy_only=False).reshape(batch.num_rows, -1))
        described = items.append_column("runtime", table.column("runtime"))
        described = described.append_column("vector", pa.array([row.tobytes() for row in stored], pa.binary()))
        yield from described.append_column("digest", pa.array(row_digests(items, stored))).to_batches()


def digest_rows(described: DataFrame) -> tuple[int, str]:
    """The number of rows and the digest of all of them, as `content_digest` gives it."""
    buckets = (
        described.select("digest", F.substring("digest", 1, DIGEST_BUCKET_DIGITS).alias("bucket"))
        .groupBy("bucket")
        .agg(
            F.count("*").alias("rows"),
            F.sha2(F.concat_ws("", F.sort_array(F.collect_list("digest"))), 256).alias("hash"),
        )
        .collect()
    )
    return sum(row["rows"] for row in buckets), digest_of_buckets({row["bucket"]: row["hash"] for row in buckets})


def vectors_of(column: pa.ChunkedArray) -> np.ndarray:
    """A column of float16 bytes as an array (n, d) float16."""
    return np.frombuffer(b"".join(column.to_pylist()), np.float16).reshape(len(column), -1)


def items_of(table: pa.Table) -> pa.Table:
    """The item columns of described rows, in the types of `items.arrow`."""
    return pa.table([table.column(field.name).cast(field.type) for field in ITEMS_SCHEMA], schema=ITEMS_SCHEMA)
