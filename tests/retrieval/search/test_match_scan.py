"""Every match scored: the same rows as brute force finds, whether they lie together or scattered."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from retrieval.search import match_scan
from retrieval.search.exact import exact_search
from retrieval.search.match_scan import scan_matches
from retrieval.search.row_sets import RowSet
from retrieval.search.segments import Segment, open_build
from spark_jobs.index_build.assemble import assemble_build

ROWS, DIMENSION, NLIST, K = 4_000, 32, 16, 20


@pytest.fixture(scope="module", params=["exact", "ivf_fp16", "ivf_rabitq"])
def segment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segment:
    vectors = np.random.default_rng(3).standard_normal((ROWS, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"p{number}" for number in range(ROWS)]
    folder: Path = tmp_path_factory.mktemp("build")
    manifest = assemble_build(
        vectors, pa.table({"product_id": names, "image_id": names}), model_id="m", fingerprint="f",
        out_folder=folder, kind=request.param, nlist=NLIST,
    )  # fmt: skip
    return open_build(folder / manifest.build_id)


def scattered() -> np.ndarray:
    return np.arange(0, ROWS, 9)


def together() -> np.ndarray:
    return np.arange(1_000, 2_100)


def both() -> np.ndarray:
    return np.union1d(scattered(), together())


@pytest.mark.parametrize(
    "rows", [scattered(), together(), both(), np.arange(ROWS), np.array([7]), np.empty(0, np.int64)]
)
def test_the_best_matches_are_those_of_brute_force(
    segment: Segment, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_scan, "CODED_ROWS_MIN", 500)
    chosen = RowSet(rows.astype(np.int64), ROWS, segment.list_starts)
    kind, rerank = segment.manifest.index_kind, ROWS  # so many that estimates leave none of the best out
    for query in segment.vectors[[5, 1_500, 3_999]].astype(np.float32):
        scores, found = scan_matches(segment.index, kind, segment.vectors, query[np.newaxis], K, chosen, rerank)
        truth_scores, truth = exact_search(segment.vectors, query[np.newaxis], min(K, len(rows)), rows)
        assert len(found) == min(K, len(rows))
        assert found.tolist() == truth[0].tolist()
        assert scores == pytest.approx(truth_scores[0], abs=1e-4)


def test_small_codes_are_passed_over_only_where_many_matches_lie_together(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    if segment.manifest.index_kind != "ivf_rabitq":
        return
    monkeypatch.setattr(match_scan, "CODED_ROWS_MIN", 500)
    passed: list[int] = []
    monkeypatch.setattr(match_scan, "_scan_small_codes", lambda *given: passed.append(len(given[4])))
    for rows in (np.arange(0, ROWS, 9), np.arange(0, 300), together()):
        chosen = RowSet(rows.astype(np.int64), ROWS, segment.list_starts)
        scan_matches(
            segment.index, "ivf_rabitq", segment.vectors, segment.vectors[:1].astype(np.float32), K, chosen, 300
        )
    assert passed == [len(together())]
