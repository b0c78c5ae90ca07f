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

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Float32, Int64, Mask
from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.items.table import map_items
from retrieval.search.exact import NO_ROW
from retrieval.search.found import Found
from retrieval.search.list_scan import take_lowest_scores
from retrieval.search.match_scan import PASS_SHARE, scan_matches
from retrieval.search.nearness import Nearness
from retrieval.search.planner import (
    BEST_ROWS,
    MIXED_FACTOR,
    NEAREST_PART,
    Plan,
    Stage,
    plan_among_live,
    plan_filtered,
    plan_unfiltered,
    scan_beyond,
    widen_mixed,
)
from retrieval.search.row_scan import scan_rows
from retrieval.search.row_sets import RowSet
from schemas.errors import Corrupt
from schemas.manifest import ESTIMATES_FILE, INDEX_FILE, ITEMS_FILE, VECTORS_FILE, Manifest, SearchParameters

QueryKind = Literal["photo", "text"]


@dataclass(frozen=True)
class Segment:
    """One open build. `vectors` is (rows, dimension) float16, `items` a pyarrow Table; both are memory-mapped.

    `estimates` is an index with RaBitQ codes in the same lists: `index` itself, or beside one of whole vectors; None for an
    exact index, and for builds of before there were any. Rows that are not in `live` are never found, by any path; None where every row is live.
    """

    manifest: Manifest
    index: Any
    vectors: NDArray[np.float16]
    items: Any
    list_starts: Int64 | None
    estimates: Any | None = None
    live: RowSet | None = None

    @property
    def is_exact(self) -> bool:
        return self.list_starts is None

    @property
    def rows(self) -> int:
        """How many rows there are, dead ones too."""
        return self.manifest.rows

    @property
    def live_rows(self) -> int:
        return self.rows if self.live is None else len(self.live)

    @property
    def live_mask(self) -> Mask | None:
        """Which rows (rows,) are live; None where all are."""
        return None if self.live is None else self.live.mask

    def without(self, dead: Int64) -> "Segment":
        """The same open files, of which the `dead` rows are never found."""
        if not len(dead):
            return replace(self, live=None)
        alive = np.ones(self.rows, dtype=bool)
        alive[dead] = False
        return replace(self, live=RowSet(alive, self.list_starts))

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

        `kind` chooses the parameters that were tuned for it, unless `parameters` are given. `rows` limits the
        search to those rows. Returns scores (n, k) float32, best first, and rows (n, k) int64,
        filled with -inf and -1 where there are fewer than k.
        """
        queries = np.ascontiguousarray(unit_vectors, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.manifest.dimension:
            raise ValueError(f"queries have shape {queries.shape}, the index has dimension {self.manifest.dimension}")
        if parameters is None:
            parameters = self.manifest.text_search if kind == "text" else self.manifest.photo_search
        if rows is None and self.live is None:
            return self._search_lists(queries, k, parameters, parameters.nprobe, None)
        mask = None if rows is None else RowSet.of_rows(rows, self.rows, None).mask
        answers = [self.search_planned(query, k, parameters, mask)[:2] for query in queries]
        return stack_answers(answers, k)

    def search_planned(
        self, query: Float32, k: int, parameters: SearchParameters, mask: Mask | None = None, probe_factor: int = 1,
        stage: Stage = nullcontext, mixed: bool = False,
    ) -> tuple[Float32, Int64, Plan]:  # fmt: skip
        """The k best rows for one unit query (dimension,), by the way that suits the filters, and that way.

        `mask` (rows,) limits the search to rows where it is true. Without one `probe_factor` times the tuned
        lists are probed; for a `mixed` query, which is near no single row, until its best rows lie well within. Returns scores (m,) float32, best first, and rows (m,) int64; m is below k where fewer came.
        """
        queries = np.ascontiguousarray(query, dtype=np.float32).reshape(1, -1)
        if mixed:
            parameters = SearchParameters(MIXED_FACTOR * parameters.nprobe, MIXED_FACTOR * parameters.rerank)
        nprobe = min(parameters.nprobe * probe_factor, self._nlist)
        chosen, nearness = None, Nearness(self.index, queries[0])
        if mask is None and self.live is None:
            plan = plan_unfiltered(self.rows, nprobe, self._nlist)
        else:
            with stage("plan"):
                chosen = self._live_among(mask)
                plan = self._plan(nearness, chosen, nprobe, filtered=mask is not None)
        with stage("search"):
            while plan.nprobe or chosen is None:
                selector = None if chosen is None or (mask is None and plan.path == "probe") else chosen.selector
                scores, found = _without_gaps(self._search_lists(queries, k, parameters, plan.nprobe, selector))
                if (selector is None and not mixed) or self._lie_near(found[:BEST_ROWS], nearness, plan.nprobe):
                    return scores, found, plan
                if chosen is not None and not (mixed and mask is None):
                    # What was re-ranked of estimates may lack some of the best: then all is scanned.
                    known = (0, None) if parameters.rerank else (plan.nprobe, (scores, found))
                    return *self._scan(queries, k, chosen, nearness, *known), scan_beyond(plan, self._nlist)
                wider = widen_mixed(plan, self._nlist)
                if wider is None:
                    return scores, found, plan
                plan = wider
            return *self._scan(queries, k, chosen, nearness), plan

    def scan(self, query: Float32, k: int, mask: Mask) -> tuple[Float32, Int64]:
        """The k best of the rows of `mask` by their exact scores: scores (m,) float32 and rows (m,) int64, m = min(k, rows).

        FAISS reads the codes where they are the stored vectors; else they are read from `vectors`.
        """
        queries = np.ascontiguousarray(query, dtype=np.float32).reshape(1, -1)
        return self._scan(queries, k, self._live_among(mask), Nearness(self.index, queries[0]))

    def _scan(
        self,
        queries: Float32,
        k: int,
        chosen: RowSet,
        nearness: Nearness,
        probed: int = 0,
        found: Found | None = None,
    ) -> Found:
        """`found` are the best of the `probed` nearest lists."""
        if self.is_exact and len(chosen) >= PASS_SHARE * self.rows:
            selector = chosen.selector if len(chosen) < self.rows else None
            k = min(k, len(chosen))
            return _without_gaps(self._search_lists(queries, k, SearchParameters(), 0, selector))
        rerank, query = self.manifest.photo_search.rerank, queries[0]
        return scan_matches(self.index, self.estimates, self.vectors, query, k, chosen, rerank, nearness, probed, found)

    @property
    def _nlist(self) -> int:
        return 0 if self.list_starts is None else len(self.list_starts) - 1

    def _live_among(self, mask: Mask | None) -> RowSet:
        if mask is None:
            assert self.live is not None
            return self.live
        return RowSet(mask if self.live is None else mask & self.live.mask, self.list_starts)

    def _plan(self, nearness: Nearness, chosen: RowSet, nprobe: int, *, filtered: bool) -> Plan:
        if filtered:
            counts = None if self.is_exact else lambda: chosen.by_list[nearness.order]
            return plan_filtered(len(chosen), self.rows, nprobe, counts)
        if self.list_starts is None:
            return plan_among_live(len(chosen), nprobe, None, None)
        nearest = nearness.order
        return plan_among_live(len(chosen), nprobe, np.diff(self.list_starts)[nearest], chosen.by_list[nearest])

    def _lie_near(self, rows: Int64, nearness: Nearness, nprobe: int) -> bool:
        """Whether the rows came from the nearest of the probed lists: if not, the next lists may hold better ones."""
        if nprobe >= self._nlist:
            return True
        assert self.list_starts is not None
        nearest = nearness.order[: -(-nprobe // NEAREST_PART)]
        return bool(np.isin(np.searchsorted(self.list_starts, rows, side="right") - 1, nearest).all())

    def _search_lists(
        self, queries: Float32, k: int, parameters: SearchParameters, nprobe: int, selector: Any
    ) -> tuple[Float32, Int64]:
        if self.list_starts is None:
            made = faiss.SearchParameters(**_named(selector))
        else:
            made = faiss.SearchParametersIVF(nprobe=max(nprobe, 1), **_named(selector))  # type: ignore[call-arg]
        candidates = max(k, parameters.rerank)
        scores, found = self.index.search(queries, candidates, params=made)
        if parameters.rerank:
            pairs = zip(queries, found, strict=True)
            exact = [scan_rows(self.vectors, query, k, np.sort(rows[rows != NO_ROW])) for query, rows in pairs]
            scores, found = stack_answers(exact, k)
        scores[found == NO_ROW] = -np.inf
        return scores, found


def open_build(folder: Path, *, verify: bool = True) -> Segment:
    """Open a build's folder. `verify=False` skips the checksums, not the sizes, for a folder verified before.

    Raises Corrupt where any file is not what the manifest says, SchemaTooNew where a later release wrote it.
    """
    folder = Path(folder)
    return open_segment(folder, BUILD_FOLDERS.read_verified(folder, checksums=verify))


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
    starts = _list_starts(index, manifest)
    return Segment(manifest, index, vectors, items, starts, _estimates(folder, manifest, index, starts))


def _estimates(folder: Path, manifest: Manifest, index: Any, list_starts: Int64 | None) -> Any | None:
    if manifest.index_kind == "ivf_rabitq":
        return index
    if ESTIMATES_FILE not in manifest.files:
        return None
    estimates = _read_index(folder / ESTIMATES_FILE, manifest)
    take_lowest_scores(estimates)
    if list_starts is None or not np.array_equal(_starts_of_lists(estimates), list_starts):
        raise Corrupt(ESTIMATES_FILE, f"the lists of {INDEX_FILE}", "others")
    return estimates


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
    return _starts_of_lists(index)


def _starts_of_lists(index: Any) -> Int64:
    sizes = [index.get_list_size(number) for number in range(index.nlist)]
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _named(selector: Any) -> dict[str, Any]:
    return {} if selector is None else {"sel": selector}


def _without_gaps(answer: tuple[Float32, Int64]) -> tuple[Float32, Int64]:
    """The rows that were found for the one query."""
    scores, rows = answer[0][0], answer[1][0]
    there = rows != NO_ROW
    return scores[there], rows[there]


def stack_answers(answers: Sequence[tuple[Float32, Int64]], k: int) -> tuple[Float32, Int64]:
    """Answers of m ≤ k rows each as scores (n, k) and rows (n, k), filled with -inf and NO_ROW."""
    scores = [_filled(scores, k, -np.inf) for scores, _ in answers]
    return np.vstack(scores), np.vstack([_filled(rows, k, NO_ROW) for _, rows in answers])


def _filled(values: Any, length: int, filler: float) -> Any:
    return np.concatenate([values, np.full(length - len(values), filler, values.dtype)])
