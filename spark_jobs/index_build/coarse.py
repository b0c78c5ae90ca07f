"""The coarse quantizer: trained on a sample, and used to give every row its list."""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from spark_jobs.index_build.parameters import BuildParameters

# On 65,536 rows of 512 dimensions four more iterations raised the mean cosine by less than 0.1 %.
_ITERATIONS = 6
_BLOCK_ROWS = 4_096


def train_centroids(sample: NDArray[np.float16], parameters: BuildParameters) -> NDArray[np.float32]:
    """Unit centroids (nlist, d) float32 by spherical k-means with the build's seed. `sample` is (n, d), in a fixed order."""
    kmeans = faiss.Kmeans(
        parameters.dimension, parameters.nlist, niter=_ITERATIONS, seed=parameters.seed, spherical=True,
        min_points_per_centroid=1, max_points_per_centroid=64,
    )  # fmt: skip
    kmeans.train(np.ascontiguousarray(sample, dtype=np.float32))
    return np.asarray(kmeans.centroids, dtype=np.float32)


def assign_lists(vectors: NDArray[np.float16], centroids: NDArray[np.float32]) -> NDArray[np.int32]:
    """The nearest centroid (n,) int32 of each row.

    Rows go through in blocks of one padded size: a matrix product may round otherwise in another shape, and a row's
    list must not depend on which rows happen to stand beside it.
    """
    quantizer = quantizer_of(centroids)
    lists = np.empty(len(vectors), np.int32)
    block = np.zeros((_BLOCK_ROWS, centroids.shape[1]), np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        rows = vectors[start : start + _BLOCK_ROWS]
        block[: len(rows)] = rows
        lists[start : start + len(rows)] = quantizer.search(block, 1)[1][: len(rows), 0]
    return lists


def quantizer_of(centroids: NDArray[np.float32]) -> Any:
    """The centroids as the FAISS index that IVF kinds hold."""
    quantizer = faiss.IndexFlatIP(centroids.shape[1])
    quantizer.add(np.ascontiguousarray(centroids, dtype=np.float32))
    return quantizer
