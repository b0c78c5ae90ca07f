"""What the tables hold now, beside a base: read for the products that may have changed, compared in parts that fit in memory."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retrieval.item_table import conform_items
from spark_jobs.index_build.rows import as_stored
from spark_jobs.index_delta.comparison import Comparison, combine, compare_items
from spark_jobs.index_rows import Sources, item_rows, product_photos
from spark_jobs.session import broadcast_few

PART_PRODUCTS = 100_000
"""Products whose rows are on the driver at a time: some 100 MB."""

_VECTORS_DDL = "content_sha256 STRING, runtime STRING, vector BINARY"


def compare_with_base(base: pa.Table, sources: Sources, changed: DataFrame | None) -> Comparison:
    """The base's items against the tables; of the `changed` products (product_id), or of all where that is None."""
    ids = None if changed is None else changed.toArrow().column("product_id")
    narrowed = sources if changed is None or ids is None else narrow(sources, changed, len(ids))
    known = base.column("product_id").unique() if ids is None else ids
    parts = -(-len(known) // PART_PRODUCTS) or 1
    rows = item_rows(narrowed, product_photos(narrowed))
    if parts == 1:
        return compare_items(base, conform_items(rows.toArrow()), None if ids is None else ids.to_pylist())
    return combine([compare_items(base, now, of) for of, now in _in_parts(rows, known.to_pylist(), parts)])


def narrow(sources: Sources, products: DataFrame, count: int) -> Sources:
    """The tables without what does not concern these products (product_id). Each large table is passed over once."""
    keys = broadcast_few(products, count)
    links = sources.product_images.join(keys, "product_id", "left_semi").localCheckpoint()
    urls = links.select("url").distinct()
    fetches = sources.image_fetches.select("url", "status", "content_sha256")
    fetches = fetches.join(broadcast_few(urls, count), "url", "left_semi").localCheckpoint()
    contents = fetches.select("content_sha256").distinct()
    images = sources.images.select("content_sha256", "verdict")
    return replace(
        sources,
        products=sources.products.join(keys, "product_id", "left_semi").localCheckpoint(),
        product_images=links,
        image_fetches=fetches,
        images=images.join(broadcast_few(contents, count), "content_sha256", "left_semi").localCheckpoint(),
    )


class NewVectors(NamedTuple):
    """`items` are those new rows that have a vector, `vectors` (n, d) float16 theirs, `runtimes` what computed them."""

    items: pa.Table
    vectors: NDArray[np.float16]
    runtimes: tuple[str, ...]


def read_new_vectors(new: pa.Table, vectors: DataFrame, dimension: int) -> NewVectors:
    """The vectors of new rows, and of no others. A row whose photo has none yet is left for the next run, as in a build."""
    if not new.num_rows:
        return NewVectors(new, np.empty((0, dimension), np.float16), ())
    contents = pa.table({"content_sha256": new.column("image_id").unique()})
    wanted = broadcast_few(vectors.sparkSession.createDataFrame(contents), contents.num_rows)
    stored = vectors.join(wanted, "content_sha256", "left_semi").mapInArrow(_stored_vectors, _VECTORS_DDL).toArrow()
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
