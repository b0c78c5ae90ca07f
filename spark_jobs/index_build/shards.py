"""Shards: each holds the rows of a span of coarse lists, written by one executor, in the order of the finished build."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrieval.items.table import write_items
from schemas.manifest import ITEMS_FILE, VECTORS_FILE
from spark_jobs.index_build.coarse import quantizer_of
from spark_jobs.index_build.parameters import BuildParameters
from spark_jobs.index_build.rows import order_of

CODES_FILE = "codes.faiss"
LISTS_FILE = "lists.npy"


@dataclass(frozen=True)
class ShardRows:
    """Rows with the coarse list of each; `lists` is None for an exact index."""

    items: pa.Table
    vectors: NDArray[np.float16]
    lists: NDArray[np.int32] | None

    def in_order(self) -> "ShardRows":
        order = order_of(self.items, self.lists)
        lists = None if self.lists is None else self.lists[order]
        return ShardRows(self.items.take(pa.array(order)), self.vectors[order], lists)


def write_shard(
    rows: ShardRows, folder: Path, parameters: BuildParameters, centroids: NDArray[np.float32] | None
) -> None:
    """Sort the rows and write items, vectors, list sizes and, where there are RaBitQ codes, those that this shard fills."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows.in_order()
    rows.vectors.tofile(folder / VECTORS_FILE)
    write_items(rows.items, folder / ITEMS_FILE)
    if rows.lists is None or centroids is None:
        return
    np.save(folder / LISTS_FILE, np.bincount(rows.lists, minlength=parameters.nlist).astype(np.int64))
    if parameters.has_codes:
        codes = fill_codes(rows.vectors, rows.lists, centroids)
        faiss.write_index(codes, str(folder / CODES_FILE))


def fill_codes(vectors: NDArray[np.float16], lists: NDArray[np.int32], centroids: NDArray[np.float32]) -> Any:
    """RaBitQ codes of the rows, numbered from 0 within the shard, in the lists that they were given."""
    index = empty_rabitq(centroids)
    for start in range(0, len(vectors), 65_536):
        block = np.ascontiguousarray(vectors[start : start + 65_536], dtype=np.float32)
        ids = np.arange(start, start + len(block), dtype=np.int64)
        given = lists[start : start + len(block)].astype(np.int64)
        # FastScan cannot take given lists: plain codes are filled, merged, and packed once at the end.
        index.add_core(len(block), faiss.swig_ptr(block), faiss.swig_ptr(ids), faiss.swig_ptr(given))
    return index


def empty_rabitq(centroids: NDArray[np.float32]) -> Any:
    nlist, dimension = centroids.shape
    index = faiss.IndexIVFRaBitQ(quantizer_of(centroids), dimension, nlist, faiss.METRIC_INNER_PRODUCT)
    index.qb = 8
    index.is_trained = True
    return index
