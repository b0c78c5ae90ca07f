"""Shards into one build folder: files laid end to end, and FAISS indexes whose ids are row numbers."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrieval.items.table import map_items, write_items
from schemas.manifest import ESTIMATES_FILE, INDEX_FILE, ITEMS_FILE, VECTORS_FILE
from spark_jobs.index_build.coarse import quantizer_of
from spark_jobs.index_build.parameters import BuildParameters
from spark_jobs.index_build.shards import CODES_FILE, LISTS_FILE, empty_rabitq


def merge_shards(
    shards: Sequence[Path], folder: Path, parameters: BuildParameters, centroids: NDArray[np.float32] | None
) -> int:
    """Write vectors, items, index and estimates of the shards, given in the order of their lists. Returns the number of rows.

    The bytes do not depend on how many shards there are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / VECTORS_FILE).open("wb") as sink:
        for shard in shards:
            with (shard / VECTORS_FILE).open("rb") as source:
                shutil.copyfileobj(source, sink, 1 << 20)
    write_items(pa.concat_tables([map_items(shard / ITEMS_FILE) for shard in shards]), folder / ITEMS_FILE)
    rows = (folder / VECTORS_FILE).stat().st_size // (2 * parameters.dimension)
    vectors = np.memmap(folder / VECTORS_FILE, np.float16, "r", shape=(rows, parameters.dimension))
    if parameters.kind == "exact" or centroids is None:
        index = _exact_index(vectors)
    elif parameters.kind == "ivf_rabitq":
        index = faiss.IndexIVFRaBitQFastScan(_rabitq_index(shards, centroids))
    else:
        sizes = np.sum([np.load(shard / LISTS_FILE) for shard in shards], axis=0)
        index = _fp16_index(vectors, sizes, centroids)
        if parameters.has_estimates:
            faiss.write_index(_rabitq_index(shards, centroids), str(folder / ESTIMATES_FILE))
    faiss.write_index(index, str(folder / INDEX_FILE))
    return int(rows)


def _exact_index(vectors: NDArray[np.float16]) -> Any:
    index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True
    for start in range(0, len(vectors), 65_536):
        index.add_sa_codes(np.ascontiguousarray(vectors[start : start + 65_536]).view(np.uint8))
    return index


def _fp16_index(vectors: NDArray[np.float16], list_sizes: NDArray[np.int64], centroids: NDArray[np.float32]) -> Any:
    """The codes are the stored vectors themselves, without residuals: an index score is the exact score."""
    nlist, dimension = centroids.shape
    by_residual = False
    index = faiss.IndexIVFScalarQuantizer(
        quantizer_of(centroids),
        dimension,
        nlist,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        by_residual,
    )
    index.is_trained = True
    inverted_lists: Any = index.invlists
    start = 0
    for number, size in enumerate(list_sizes):
        if size == 0:
            continue
        codes = np.ascontiguousarray(vectors[start : start + size]).view(np.uint8)
        ids = np.arange(start, start + size, dtype=np.int64)
        inverted_lists.add_entries(number, int(size), faiss.swig_ptr(ids), faiss.swig_ptr(codes))
        start += int(size)
    index.ntotal = start
    return index


def _rabitq_index(shards: Sequence[Path], centroids: NDArray[np.float32]) -> Any:
    merged = empty_rabitq(centroids)
    for shard in shards:
        filled = faiss.read_index(str(shard / CODES_FILE))
        merged.merge_from(filled, merged.ntotal)
    return merged
