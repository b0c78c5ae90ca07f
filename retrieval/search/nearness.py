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
        several times as long; numpy would copy a mapped index's centroids, which lie at odd addresses."""
        lists = np.arange(self.index.nlist, dtype=np.int64)
        scores = np.empty(self.index.nlist, np.float32)
        flat: Any = faiss.downcast_index(self.index.quantizer)
        asked, given, wanted = (faiss.swig_ptr(array) for array in (self.query, scores, lists))
        flat.compute_distance_subset(1, asked, self.index.nlist, given, wanted)
        return scores

    @cached_property
    def order(self) -> Int64:
        """The number of each list (nlist,), the one nearest to the query first."""
        return np.argsort(-self.scores)
