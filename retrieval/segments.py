"""A segment: one build's vectors, index and items, opened for searching.

    segment = open_build(folder)                               # verified: Corrupt before FAISS reads a byte
    scores, rows = segment.search(unit_vectors, 10)            # (n, k) float32 and int64, best first
    scores, rows = segment.search(unit_vectors, 10, "text", rows=allowed)
    segment.items.column("product_id")[rows[0][0]]

Small builds for tests and experiments come from `spark_jobs.index_build.assemble.assemble_build`, without Spark.

A segment is immutable and may be searched by many threads: search parameters are made for each call, never set on
the shared index. The index file is memory-mapped where its kind allows (exact and ivf_fp16), as are vectors and items,
so that all workers of a machine share one copy.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.build_folder import read_verified_manifest
from retrieval.exact import NO_ROW, Float32, Int64, best_k, exact_search, rescore
from retrieval.item_table import map_items
from schemas.errors import Corrupt
from schemas.manifest import INDEX_FILE, ITEMS_FILE, VECTORS_FILE, Manifest, SearchParameters

QueryKind = Literal["photo", "text"]

EXACT_ROWS = 5_000
"""As many chosen rows or fewer are scored one by one: some 1.5 ms a thousand (bench.index)."""


@dataclass(frozen=True)
class Segment:
    """One open build. `vectors` is (rows, dimension) float16, `items` a pyarrow Table; both are memory-mapped."""

    manifest: Manifest
    index: Any
    vectors: NDArray[np.float16]
    items: Any
    list_starts: Int64 | None

    @property
    def is_exact(self) -> bool:
        return self.list_starts is None

    def vector_of(self, row: int) -> Float32:
        """The unit vector (dimension,) float32 of a row. Raises IndexError."""
        vector = np.asarray(self.vectors[row], dtype=np.float32)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    def search(
        self,
        unit_vectors: Float32,
        k: int,
        kind: QueryKind = "photo",
        *,
        rows: Int64 | None = None,
        parameters: SearchParameters | None = None,
    ) -> tuple[Float32, Int64]:
        """The k best rows for each of (n, dimension) float32 unit queries.

        `kind` chooses the parameters that were tuned for it, unless `parameters` are given. `rows`, sorted and without
        repeats, limits the search to those rows. Returns scores (n, k) float32, best first, and rows (n, k) int64,
        filled with -inf and -1 where there are fewer than k.
        """
        queries = np.ascontiguousarray(unit_vectors, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.manifest.dimension:
            raise ValueError(f"queries have shape {queries.shape}, the index has dimension {self.manifest.dimension}")
        if parameters is None:
            parameters = self.manifest.text_search if kind == "text" else self.manifest.photo_search
        if rows is None:
            return self._search_lists(queries, k, parameters, parameters.nprobe, None)
        return self._search_rows(queries, k, parameters, np.ascontiguousarray(rows, dtype=np.int64))

    def _search_rows(
        self, queries: Float32, k: int, parameters: SearchParameters, rows: Int64
    ) -> tuple[Float32, Int64]:
        """Few rows are scanned; for many, each query probes until it has seen as many of them as it would see unfiltered."""
        if len(rows) <= EXACT_ROWS:
            return exact_search(self.vectors, queries, k, rows)
        selector = faiss.IDSelectorBitmap(_bitmap(rows, self.manifest.rows))  # type: ignore[call-arg,arg-type]
        if self.list_starts is None:
            return self._search_lists(queries, k, parameters, 0, selector)
        nlist = len(self.list_starts) - 1
        matches_in_list = np.diff(np.searchsorted(rows, self.list_starts))
        enough = min(len(rows), int(np.ceil(parameters.nprobe * self.manifest.rows / nlist)))
        answers = []
        for query in queries[:, np.newaxis]:
            _, lists = self.index.quantizer.search(query, nlist)
            seen = np.cumsum(matches_in_list[lists[0]])
            nprobe = max(parameters.nprobe, int(np.searchsorted(seen, enough)) + 1)
            answers.append(self._search_lists(query, k, parameters, min(nprobe, nlist), selector))
        return np.vstack([scores for scores, _ in answers]), np.vstack([found for _, found in answers])

    def _search_lists(
        self, queries: Float32, k: int, parameters: SearchParameters, nprobe: int, selector: Any
    ) -> tuple[Float32, Int64]:
        chosen = {} if selector is None else {"sel": selector}
        if self.list_starts is None:
            made = faiss.SearchParameters(**chosen)
        else:
            made = faiss.SearchParametersIVF(nprobe=max(nprobe, 1), **chosen)  # type: ignore[call-arg]
        candidates = max(k, parameters.rerank)
        scores, found = self.index.search(queries, candidates, params=made)
        if parameters.rerank:
            scores = rescore(self.vectors, queries, found)
            scores, found = best_k(scores, found, k)
        scores[found == NO_ROW] = -np.inf
        return scores, found


def open_build(folder: Path, *, verify: bool = True) -> Segment:
    """Open a build's folder. `verify=False` skips the checksums, not the sizes, for a folder verified before.

    Raises Corrupt where any file is not what the manifest says, SchemaTooNew where a later release wrote it.
    """
    folder = Path(folder)
    return open_segment(folder, read_verified_manifest(folder, checksums=verify))


def open_segment(folder: Path, manifest: Manifest) -> Segment:
    """Open files that were verified against `manifest`. Raises Corrupt where they do not fit one another."""
    index = _read_index(folder / INDEX_FILE, manifest)
    expected_bytes = manifest.rows * manifest.dimension * 2
    if manifest.files[VECTORS_FILE].bytes != expected_bytes:
        raise Corrupt(VECTORS_FILE, f"{expected_bytes} bytes", f"{manifest.files[VECTORS_FILE].bytes} bytes")
    vectors = np.memmap(folder / VECTORS_FILE, np.float16, "r", shape=(manifest.rows, manifest.dimension))
    items = map_items(folder / ITEMS_FILE)
    if items.num_rows != manifest.rows:
        raise Corrupt(ITEMS_FILE, f"{manifest.rows} rows", f"{items.num_rows}")
    return Segment(manifest, index, vectors, items, _list_starts(index, manifest))


def _read_index(path: Path, manifest: Manifest) -> Any:
    # Maps Flat, SQ and their inverted lists without a copy; FastScan lists are read into memory all the same.
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise Corrupt(path.name, "a FAISS index", str(error).splitlines()[0]) from error
    if (index.ntotal, index.d) != (manifest.rows, manifest.dimension):
        raise Corrupt(path.name, f"{manifest.rows} × {manifest.dimension}", f"{index.ntotal} × {index.d}")
    return index


def _list_starts(index: Any, manifest: Manifest) -> Int64 | None:
    """Rows are numbered in the order of the lists: list i holds rows starts[i] to starts[i + 1]. None for an exact index."""
    if manifest.index_kind == "exact":
        return None
    sizes = [index.get_list_size(number) for number in range(index.nlist)]
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _bitmap(rows: Int64, total: int) -> NDArray[np.uint8]:
    flags = np.zeros(total, dtype=bool)
    flags[rows] = True
    return np.packbits(flags, bitorder="little")
