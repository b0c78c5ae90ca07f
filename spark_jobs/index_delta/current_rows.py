"""What the tables hold now, beside a base: read for the products that may have changed, compared in parts that fit in memory."""

import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retrieval.items.table import conform_items
from spark_jobs.index_build.rows import as_stored
from spark_jobs.index_build.source_rows import Sources, item_rows, product_photos
from spark_jobs.index_delta.changed_products import rows_with
from spark_jobs.index_delta.comparison import Comparison, combine, compare_items
from spark_jobs.lake.few_photos import KEY, take_photos

PART_PRODUCTS = 100_000
"""Products whose rows are on the driver at a time: some 100 MB."""

_VECTORS_DDL = "content_sha256 STRING, runtime STRING, vector BINARY"


def compare_with_base(base: pa.Table, sources: Sources, changed: Collection[str] | None) -> Comparison:
    """The base's items against the tables; of the `changed` products, or of all where that is None."""
    if changed is not None:
        narrowed = narrow(sources, changed)
        now = conform_items(item_rows(narrowed, product_photos(narrowed)).toArrow())
        return compare_items(base, now, changed)
    known = base.column("product_id").unique().to_pylist()
    parts = max(1, -(-len(known) // PART_PRODUCTS))
    rows = item_rows(sources, product_photos(sources))
    return combine([compare_items(base, now, of_part) for of_part, now in _in_parts(rows, known, parts)])


def narrow(sources: Sources, products: Collection[str]) -> Sources:
    """The tables without what does not concern these products, read once: a few rows, which stay on the driver."""
    links = rows_with(sources.product_images, "product_id", products).toArrow()
    fetches = sources.image_fetches.select("url", "status", "content_sha256")
    fetched = rows_with(fetches, "url", _values(links, "url")).toArrow()
    images = sources.images.select("content_sha256", "verdict")
    return replace(
        sources,
        products=_again(sources.products, rows_with(sources.products, "product_id", products).toArrow()),
        product_images=_again(sources.product_images, links),
        image_fetches=_again(fetches, fetched),
        images=_again(images, rows_with(images, "content_sha256", _values(fetched, "content_sha256")).toArrow()),
    )


def _again(like: DataFrame, rows: pa.Table) -> DataFrame:
    return like.sparkSession.createDataFrame(rows, like.schema)


def _values(rows: pa.Table, name: str) -> set[str]:
    return {value for value in rows.column(name).to_pylist() if value is not None}


class NewVectors(NamedTuple):
    """`items` are those new rows that have a vector, `vectors` (n, d) float16 theirs, `runtimes` what computed them."""

    items: pa.Table
    vectors: NDArray[np.float16]
    runtimes: tuple[str, ...]


def read_new_vectors(new: pa.Table, vectors: DataFrame, dimension: int) -> NewVectors:
    """The vectors of new rows, and of no others. A row whose photo has none yet is left for the next run, as in a build."""
    if not new.num_rows:
        return NewVectors(new, np.empty((0, dimension), np.float16), ())
    contents = new.column("image_id").unique()
    keys = vectors.sparkSession.createDataFrame(pa.table({KEY: contents}))
    wanted = take_photos(vectors, keys, len(contents))  # vectors are nearly all of the table
    stored = wanted.mapInArrow(_stored_vectors, _VECTORS_DDL).toArrow()
    place_of = {content: place for place, content in enumerate(stored.column("content_sha256").to_pylist())}
    places = [place_of.get(content, -1) for content in new.column("image_id").to_pylist()]
    there = np.flatnonzero(np.array(places) >= 0)
    found = np.frombuffer(b"".join(stored.column("vector").to_pylist()), np.float16).reshape(-1, dimension)
    runtimes = tuple(sorted(set(stored.column("runtime").to_pylist())))
    return NewVectors(new.take(pa.array(there)), found[np.array(places, np.int64)[there]], runtimes)


def _stored_vectors(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        lists = batch.column("vector")
        if batch.num_rows:
            stored = as_stored(lists.flatten().to_numpy(zero_copy_only=False).reshape(batch.num_rows, -1))
            columns: list[Any] = [batch.column("content_sha256"), batch.column("runtime")]
            columns.append(pa.array([row.tobytes() for row in stored], pa.binary()))
            yield pa.record_batch(columns, names=["content_sha256", "runtime", "vector"])


def _in_parts(rows: DataFrame, known: Sequence[str], parts: int) -> Iterator[tuple[list[str], pa.Table]]:
    """The products of each part, known ones and others, with the rows that there are of them now."""
    part_of = np.array([zlib.crc32(product_id.encode()) % parts for product_id in known])
    divided = rows.withColumn("part", F.crc32(F.encode("product_id", "UTF-8")) % parts).persist()
    try:
        for part in range(parts):
            now = conform_items(divided.where(F.col("part") == part).drop("part").toArrow())
            of_base = [known[place] for place in np.flatnonzero(part_of == part).tolist()]
            yield sorted({*of_base, *now.column("product_id").to_pylist()}), now
    finally:
        divided.unpersist()
