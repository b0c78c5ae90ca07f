"""Every match scored: the same rows as brute force finds, whether they lie together or scattered."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from retrieval.search import coded_scan, match_scan
from retrieval.search.exact import exact_search
from retrieval.search.found import Found
from retrieval.search.list_scan import scan_lists
from retrieval.search.match_scan import MatchScan, scan_matches
from retrieval.search.nearness import Nearness
from retrieval.search.planner import BEST_ROWS
from retrieval.search.row_sets import RowSet
from retrieval.search.segments import Segment, open_build
from spark_jobs.index_build.assemble import assemble_build

ROWS, DIMENSION, NLIST, K = 4_000, 32, 16, 20
CROWD, CENTRES = 16_000, 64


def build_of(vectors: np.ndarray, kind: str, nlist: int, folder: Path) -> Segment:
    names = [f"p{number:05d}" for number in range(len(vectors))]
    items = pa.table({"product_id": names, "image_id": names})
    manifest = assemble_build(
        vectors, items, model_id="m", fingerprint="f", out_folder=folder, kind=kind, nlist=nlist
    )  # fmt: skip
    return open_build(folder / manifest.build_id)


@pytest.fixture(scope="module", params=["exact", "ivf_fp16", "ivf_rabitq"])
def segment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segment:
    vectors = np.random.default_rng(3).standard_normal((ROWS, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return build_of(vectors, request.param, NLIST, tmp_path_factory.mktemp("build"))


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
    monkeypatch.setattr(coded_scan, "CODED_ROWS_MIN", 500)
    chosen = RowSet.of_rows(rows, ROWS, segment.list_starts)
    rerank = ROWS  # so many that estimates leave none of the best out
    for query in segment.vectors[[5, 1_500, 3_999]].astype(np.float32):
        scores, found = scan_matches(segment.index, segment.estimates, segment.vectors, query, K, chosen, rerank)
        truth_scores, truth = exact_search(segment.vectors, query[np.newaxis], min(K, len(rows)), rows)
        assert len(found) == min(K, len(rows))
        assert found.tolist() == truth[0].tolist()
        assert scores == pytest.approx(truth_scores[0], abs=1e-4)


def test_small_codes_are_passed_over_only_where_many_matches_lie_together(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    if segment.estimates is None:
        return
    monkeypatch.setattr(coded_scan, "CODED_ROWS_MIN", 500)
    monkeypatch.setattr(match_scan, "ALL_READ_MAX", 250)
    monkeypatch.setattr(coded_scan, "CODES_A_ROW", 8)
    passed: list[int] = []

    def noted(*arguments: Any) -> Found:
        passed.append(int(chosen.by_list[arguments[3]].sum()))
        return scan_lists(*arguments)

    monkeypatch.setattr(coded_scan, "scan_lists", noted)
    for rows in (np.arange(0, ROWS, 9), np.arange(0, 300), together()):
        chosen = RowSet.of_rows(rows, ROWS, segment.list_starts)
        query = segment.vectors[0].astype(np.float32)
        scan_matches(segment.index, segment.estimates, segment.vectors, query, K, chosen, 300)
    assert passed == [len(together())]


@pytest.fixture(scope="module", params=["ivf_fp16", "ivf_rabitq"])
def clustered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segment:
    """Rows round centres of their own, as real photos lie."""
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((CENTRES, DIMENSION))
    vectors = np.repeat(centres, CROWD // CENTRES, axis=0) + 0.15 * rng.standard_normal((CROWD, DIMENSION))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return build_of(vectors, request.param, CENTRES, tmp_path_factory.mktemp("clustered"))


@pytest.mark.parametrize("rows_that_tell", [500, 20_000], ids=["what was read tells", "a sample tells"])
@pytest.mark.parametrize("share", [0.2, 1.0], ids=["scattered", "all"])
def test_of_matches_far_from_the_query_only_the_nearest_lists_are_read(
    clustered: Segment, share: float, rows_that_tell: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_scan, "ROWS_THAT_TELL", rows_that_tell)
    monkeypatch.setattr(match_scan, "ALL_READ_MAX", 500)
    monkeypatch.setattr(match_scan, "FIRST_ROWS", 500)
    monkeypatch.setattr(match_scan, "CODES_LEAST", 0)
    read: list[int] = []
    scan_part = MatchScan._scan_lists

    def noted(scan: MatchScan, part: slice, k: int, floor: float, error: float) -> tuple[list[Found], float]:
        read.append(int(scan.chosen.by_list[scan.lists[part]].sum()))
        return scan_part(scan, part, k, floor, error)

    monkeypatch.setattr(MatchScan, "_scan_lists", noted)
    query = clustered.vectors[7].astype(np.float32)
    far = np.flatnonzero(clustered.vectors.astype(np.float32) @ query < 0.3)
    rows = np.sort(np.random.default_rng(1).permutation(far)[: int(share * len(far))])
    chosen = RowSet.of_rows(rows, CROWD, clustered.list_starts)
    _, found = scan_matches(clustered.index, clustered.estimates, clustered.vectors, query, K, chosen, 100)
    truth = exact_search(clustered.vectors, query[np.newaxis], K, rows)[1][0]
    assert found[:BEST_ROWS].tolist() == truth[:BEST_ROWS].tolist()
    assert len(found) == K
    assert sum(read) < 0.75 * len(rows)


@pytest.fixture(scope="module", params=["ivf_fp16", "ivf_rabitq"])
def one_wide(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segment:
    """Tight lists, all but a few as near to the query (the first axis), and three rows of a list further off that lie nearer than
    all others."""
    rng = np.random.default_rng(8)
    centres = rng.standard_normal((16, DIMENSION))
    centres[:, 0] = 0
    centres *= np.sqrt(1 - 0.4**2) / np.linalg.norm(centres, axis=1, keepdims=True)
    centres[:, 0] = 0.4
    centres[-1, 0] = 0.2
    vectors = np.repeat(centres, CROWD // len(centres), axis=0) + 0.01 * rng.standard_normal((CROWD, DIMENSION))
    vectors[-3:, 0] += 0.3
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return build_of(vectors, request.param, 4 * len(centres), tmp_path_factory.mktemp("one_wide"))


@pytest.mark.parametrize(("codes_least", "are_found"), [(CROWD + 1, True), (0, False)])
def test_the_best_rows_of_a_list_that_no_margin_reaches_are_found_where_small_codes_are_read(
    one_wide: Segment, codes_least: int, are_found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_scan, "CODES_LEAST", codes_least)
    monkeypatch.setattr(match_scan, "FIRST_ROWS", 500)
    query = np.eye(DIMENSION, dtype=np.float32)[0]
    chosen = RowSet.of_rows(np.arange(CROWD), CROWD, one_wide.list_starts)
    _, found = scan_matches(one_wide.index, one_wide.estimates, one_wide.vectors, query, K, chosen, 100)
    best = exact_search(one_wide.vectors, query[np.newaxis], 3)[1][0]
    assert Nearness(one_wide.index, query).scores[chosen.lists_of(best)].max() < 0.3
    assert np.isin(best, found).tolist() == 3 * [are_found]


def test_lists_are_read_until_as_many_were_found_as_are_wanted(
    clustered: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_scan, "ALL_READ_MAX", 100)
    monkeypatch.setattr(match_scan, "FIRST_ROWS", 1)
    rows = np.arange(0, CROWD, 7)
    chosen = RowSet.of_rows(rows, CROWD, clustered.list_starts)
    query, wanted = clustered.vectors[7].astype(np.float32), len(rows) - 10
    _, found = scan_matches(clustered.index, clustered.estimates, clustered.vectors, query, wanted, chosen, 50)
    assert len(np.unique(found)) == wanted
    assert np.isin(found, rows).all()


def test_a_scan_goes_on_from_where_probing_ended(clustered: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_scan, "ALL_READ_MAX", 100)
    query, probed = clustered.vectors[7].astype(np.float32), 5
    far = np.flatnonzero(clustered.vectors.astype(np.float32) @ query < 0.3)
    chosen, nearness = RowSet.of_rows(far, CROWD, clustered.list_starts), Nearness(clustered.index, query)
    in_probed = np.intersect1d(far, chosen.rows_of_lists(nearness.order[:probed]))
    scores, rows = exact_search(clustered.vectors, query[np.newaxis], K, in_probed)
    read: list[int] = []
    scan_part = MatchScan._scan_lists

    def noted(scan: MatchScan, part: slice, k: int, floor: float, error: float) -> tuple[list[Found], float]:
        assert not np.isin(scan.lists[part], nearness.order[:probed]).any()
        read.append(len(scan.lists[part]))
        return scan_part(scan, part, k, floor, error)

    monkeypatch.setattr(MatchScan, "_scan_lists", noted)
    here = (clustered.index, clustered.estimates, clustered.vectors)
    _, found = scan_matches(*here, query, K, chosen, CROWD, nearness, probed, (scores[0], rows[0]))
    assert found.tolist() == exact_search(clustered.vectors, query[np.newaxis], K, far)[1][0].tolist()
    assert sum(read) > 0


def test_what_was_read_moves_the_margin_within_its_bounds(clustered: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_scan, "ROWS_THAT_TELL", 500)
    query = clustered.vectors[7].astype(np.float32)
    chosen = RowSet.of_rows(np.arange(CROWD), CROWD, clustered.list_starts)
    nearness = Nearness(clustered.index, query)
    scan = MatchScan(clustered.index, None, clustered.vectors, query, chosen, 0, nearness)
    near = float(nearness.scores[chosen.lists_of(np.array([7]))[0]])

    def margin(above: float, rows_read: int) -> float:
        return scan._margin(0.01, [(np.array([near + above], np.float32), np.array([7]))], rows_read)

    assert margin(0.05, 499) == pytest.approx(0.07)  # a sample's seven spreads
    assert margin(0.05, 500) == pytest.approx(0.065, abs=1e-6)  # three tenths above the highest,
    assert margin(0.08, 500) == pytest.approx(0.104, abs=1e-6)  # also where that is more than the sample's
    assert margin(0.01, 500) == pytest.approx(0.05)  # at least five spreads
    assert margin(0.20, 500) == pytest.approx(0.14)  # at most fourteen


@pytest.mark.parametrize(("most", "share"), [(4_000, 0.0), (0, 0.25)])
def test_a_scan_that_no_margin_ends_stops_after_the_nearest_matches(
    clustered: Segment, monkeypatch: pytest.MonkeyPatch, most: int, share: float
) -> None:
    monkeypatch.setattr(match_scan, "MATCHES_MOST", most)
    monkeypatch.setattr(match_scan, "MATCHES_SHARE", share)
    monkeypatch.setattr(match_scan, "FIRST_ROWS", 500)
    monkeypatch.setattr(match_scan, "SPREADS_ABOVE", 1_000.0)
    read: list[int] = []
    scan_part = MatchScan._scan_lists

    def noted(scan: MatchScan, part: slice, k: int, floor: float, error: float) -> tuple[list[Found], float]:
        read.extend(scan.lists[part])
        return scan_part(scan, part, k, floor, error)

    monkeypatch.setattr(MatchScan, "_scan_lists", noted)
    query = clustered.vectors[7].astype(np.float32)
    chosen = RowSet.of_rows(np.arange(CROWD), CROWD, clustered.list_starts)
    order = Nearness(clustered.index, query).order
    enough = int(np.searchsorted(np.cumsum(chosen.by_list[order]), 4_000)) + 1
    _, found = scan_matches(clustered.index, clustered.estimates, clustered.vectors, query, K, chosen, CROWD)
    assert read == order[:enough].tolist()
    assert len(found) == K
