"""Candidates against brute force: every path keeps its recall, and k groups come wherever k exist."""

import os
import threading
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.items.columns import ItemColumns
from retrieval.search import planner
from retrieval.search.candidates import Candidates, find_candidates
from retrieval.search.exact import exact_search
from retrieval.search.segments import Segment, open_build
from spark_jobs.index_build.assemble import assemble_build
from tests.spark_jobs.index_build.small_rows import small_rows, unit

KINDS = ("exact", "ivf_fp16", "ivf_rabitq")
ROWS, NLIST, K = 8_000, 128, 10
HAMMER = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module", params=KINDS)
def segment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segment:
    vectors, items = small_rows(ROWS, seed=3)
    out = tmp_path_factory.mktemp(request.param)
    manifest = assemble_build(
        vectors, items, model_id="tests", fingerprint="f", out_folder=out, kind=request.param, nlist=NLIST
    )
    return open_build(out / manifest.build_id)


@pytest.fixture(autouse=True)
def _few_rows_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small index takes every path."""
    monkeypatch.setattr(planner, "FEW_ROWS", 400)


@pytest.fixture(scope="module")
def groups(segment: Segment) -> np.ndarray:
    return ItemColumns.of(segment.items).groups


def query_near(segment: Segment, row: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(segment.manifest.dimension)
    return unit((segment.vector_of(row) + 0.4 * noise / np.linalg.norm(noise))[np.newaxis])[0]


def find(segment: Segment, query: np.ndarray, groups: np.ndarray, mask: np.ndarray | None, k: int = K) -> Candidates:
    return find_candidates(segment, query, k, groups, segment.manifest.photo_search, mask)


def opposed(segment: Segment, query: np.ndarray, share: float) -> np.ndarray:
    """The rows least like the query."""
    mask = np.zeros(ROWS, dtype=bool)
    mask[np.argsort(np.asarray(segment.vectors, np.float32) @ query)[: int(share * ROWS)]] = True
    return mask


def recall(segment: Segment, query: np.ndarray, mask: np.ndarray, found: Candidates) -> float:
    """The share of the ten best rows that came, where rows of the same score are as good."""
    truth, _ = exact_search(segment.vectors, query[np.newaxis], min(K, int(mask.sum())), np.flatnonzero(mask))
    kth = truth[0, -1]
    return float(np.mean(found.scores[: truth.shape[1]] >= kth - 1e-5))


def test_every_path_keeps_its_recall_over_random_filters_and_over_opposed_ones(
    segment: Segment, groups: np.ndarray
) -> None:
    rng = np.random.default_rng(11)
    recalls: dict[str, list[float]] = defaultdict(list)
    for number in range(120 if os.environ.get("SHOPLENS_SOAK") else 60):
        query = query_near(segment, int(rng.integers(ROWS)), number)
        for share in (0.02, 0.1, 0.3, 0.5, 0.8, 0.95, 0.99):
            for name, mask in (("random", rng.random(ROWS) < share), ("opposed", opposed(segment, query, share))):
                found = find(segment, query, groups, mask)
                assert mask[found.rows].all()
                recalls[found.plan.path].append(recall(segment, query, mask, found))
                recalls[name].append(recalls[found.plan.path][-1])
        everything = np.ones(ROWS, dtype=bool)
        recalls["unfiltered"].append(recall(segment, query, everything, find(segment, query, groups, None)))
    expected = {"random", "opposed", "unfiltered", "scan_few"}
    expected |= {"exact"} if segment.is_exact else {"probe_more", "scan_all"}
    assert expected <= set(recalls)
    assert {name: np.mean(values) for name, values in recalls.items() if np.mean(values) < 0.99} == {}


@pytest.mark.parametrize("dying", [0, 4_000])
def test_a_mixed_query_keeps_its_recall_and_finds_nothing_dead(
    segment: Segment, groups: np.ndarray, dying: int
) -> None:
    """Half of one row and half of another: near neither."""
    rng = np.random.default_rng(9)
    living = segment.without(rng.permutation(ROWS)[:dying])
    alive = np.ones(ROWS, dtype=bool) if living.live_mask is None else living.live_mask
    recalls = []
    for number in range(100):
        one, other = (query_near(segment, int(row), number) for row in rng.integers(ROWS, size=2))
        query = unit((one + other)[np.newaxis])[0]
        found = find_candidates(living, query, K, groups, segment.manifest.photo_search, mixed=True)
        assert alive[found.rows].all()
        recalls.append(recall(segment, query, alive, found))
    assert np.mean(recalls) >= 0.99


def test_filters_by_cluster_keep_their_recall(segment: Segment, groups: np.ndarray) -> None:
    """A filter of whole neighbourhoods, asked from inside and from outside."""
    rng = np.random.default_rng(5)
    categories = np.array(segment.items.column("category").to_pylist())
    recalls = defaultdict(list)
    for number in range(100):
        query = query_near(segment, int(rng.integers(ROWS)), number)
        mask = categories == categories[rng.integers(ROWS)]
        found = find(segment, query, groups, mask)
        recalls[found.plan.path].append(recall(segment, query, mask, found))
    assert all(np.mean(values) >= 0.99 for values in recalls.values()), {p: np.mean(v) for p, v in recalls.items()}


@HAMMER
@given(
    row=st.integers(0, ROWS - 1), seed=st.integers(0, 2**16), share=st.floats(0, 1), wanted=st.integers(1, 101),
    far=st.booleans(), crowd=st.sampled_from([0, 5, 700, 3_000]), hidden=st.integers(0, 40),
)  # fmt: skip
def test_k_groups_come_wherever_k_exist(
    segment: Segment,
    groups: np.ndarray,
    row: int,
    seed: int,
    share: float,
    wanted: int,
    far: bool,
    crowd: int,
    hidden: int,
) -> None:
    """Whatever the filter, though one group crowds round the query, and though some groups are hidden."""
    query = query_near(segment, row, seed)
    order = np.argsort(-(np.asarray(segment.vectors, np.float32) @ query))
    crowded = groups.copy()
    crowded[order[:crowd]] = groups[order[0]]
    mask = opposed(segment, query, share) if far else np.random.default_rng(seed).random(ROWS) < share
    hide = np.unique(crowded[order])[:hidden].astype(np.int32)
    found = find_candidates(segment, query, wanted, crowded, segment.manifest.photo_search, mask, hide)
    allowed = mask & ~np.isin(crowded, hide)
    exist = len(np.unique(crowded[allowed]))
    came = len(np.unique(crowded[found.rows]))
    assert allowed[found.rows].all()
    assert len(np.unique(found.rows)) == len(found.rows)
    assert (np.diff(found.scores) <= 1e-6).all()
    assert came >= min(wanted, exist)
    if found.complete:
        assert came == exist
    assert found.plan.rows_matched == mask.sum()


def test_a_group_that_crowds_out_all_others_is_passed_over(segment: Segment, groups: np.ndarray) -> None:
    query = query_near(segment, 7, 7)
    order = np.argsort(-(np.asarray(segment.vectors, np.float32) @ query))
    crowded = groups.copy()
    crowded[order[:7_900]] = groups[order[0]]
    found = find_candidates(segment, query, 30, crowded, segment.manifest.photo_search)
    firsts = list(dict.fromkeys(crowded[found.rows].tolist()))[:30]
    assert firsts == list(dict.fromkeys(crowded[order].tolist()))[:30]
    assert "fewer than 30 groups" in found.plan.why


def test_threads_with_different_filters_do_not_disturb_one_another(segment: Segment, groups: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    asked = [
        (query_near(segment, int(rng.integers(ROWS)), number), rng.random(ROWS) < share)
        for number, share in enumerate((0.02, 0.3, 0.6, 0.9))
    ]
    expected = [find(segment, query, groups, mask).rows for query, mask in asked]
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(20):
            if not np.array_equal(find(segment, asked[number][0], groups, asked[number][1]).rows, expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(asked)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
