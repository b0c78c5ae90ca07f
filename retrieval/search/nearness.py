"""How near a query lies to each coarse list of an index."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import faiss
import numpy as np

from retrieval.arrays import Float32, Int64


@dataclass(frozen=True)
class Nearness:
    """Of one query (dimension,) float32, to all lists of an IVF index: reckoned when first asked for, and kept."""

    index: Any
    query: Float32

    @cached_property
    def scores(self) -> Float32:
        """What each list's centroid (nlist,) scores. FAISS's own search would sort all of them in a heap, which takes
        several times as long."""
        index = self.index
        flat: Any = faiss.downcast_index(index.quantizer)
        centroids = faiss.rev_swig_ptr(flat.get_xb(), index.nlist * index.d)
        return np.asarray(centroids.reshape(index.nlist, index.d) @ self.query)

    @cached_property
    def order(self) -> Int64:
        """The number of each list (nlist,), the one nearest to the query first."""
        return np.argsort(-self.scores, kind="stable")
