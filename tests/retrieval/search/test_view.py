"""A view against brute force: live rows of both parts, best first, whatever died, came or is filtered away."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.items.columns import ItemColumns
from retrieval.items.table import conform_items
from retrieval.search import planner
from retrieval.search.candidates import Candidates, find_candidates
from retrieval.search.deltas import Delta, open_delta
from retrieval.search.exact import exact_search
from retrieval.search.segments import Segment, open_build
from retrieval.search.view import View
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.index_delta.assemble import assemble_delta
from tests.spark_jobs.index_build.small_rows import small_rows, unit

KINDS = ("exact", "ivf_fp16", "ivf_rabitq")
ROWS, ALL_ROWS, NLIST, K = 6_000, 7_000, 64, 10
CHANGED = np.arange(4, ROWS, 300)
NOBODY = np.empty(0, np.int64)
Deltas = dict[tuple[int, bool], Delta]
HAMMER = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module", params=KINDS)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segment:
    vectors, items = small_rows(ALL_ROWS, seed=3)
    folder = tmp_path_factory.mktemp(request.param)
    manifest = assemble_build(
        vectors[:ROWS], items.slice(0, ROWS), model_id="m", fingerprint="f", kind=request.param, nlist=NLIST,
        out_folder=folder,
    )  # fmt: skip
    return open_build(folder / manifest.build_id)


@pytest.fixture(autouse=True)
def _few_rows_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small index takes every path."""
    monkeypatch.setattr(planner, "FEW_ROWS", 300)


@pytest.fixture(scope="module")
def deltas(base: Segment, tmp_path_factory: pytest.TempPathFactory) -> Deltas:
    """By how many new rows there are, and whether these have coarse lists; without tombstones, and with 20 changes."""
    vectors, items = small_rows(ALL_ROWS, seed=3)
    stored = np.asarray(base.vectors, np.float32)
    prices = pc.if_else(pa.array(np.isin(np.arange(ROWS), CHANGED)), 1_000.0, base.items.column("price"))
    now = base.items.set_column(base.items.column_names.index("price"), "price", prices)
    made = {}
    for count, has_lists in ((0, False), (30, False), (1_000, False), (1_000, True)):
        folder = tmp_path_factory.mktemp("deltas")
        added = conform_items(items.slice(ROWS, count))
        manifest = assemble_delta(
            base, np.vstack([stored, vectors[ROWS : ROWS + count]]), pa.concat_tables([now, added]),
            out_folder=folder, exact_rows=10 if has_lists else 20_000,
        )  # fmt: skip
        made[count, has_lists] = open_delta(folder / manifest.delta_id, base.manifest)
    return made


def lay_over(base: Segment, delta: Delta, dead: np.ndarray) -> View:
    """Any rows may be dead, for a test; `assemble_delta` is tried elsewhere."""
    return View.of(base, replace(delta, tombstones=np.sort(dead)))


def all_vectors(view: View) -> np.ndarray:
    return view.vectors_of(np.arange(view.rows))


def query_near(view: View, row: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(view.manifest.dimension)
    return unit((view.vector_of(row) + 0.4 * noise / np.linalg.norm(noise))[np.newaxis])[0]


def find(view: View, query: np.ndarray, mask: np.ndarray | None = None, k: int = K) -> Candidates:
    return find_candidates(view, query, k, np.arange(view.rows, dtype=np.int32), view.manifest.photo_search, mask)


def recall(view: View, query: np.ndarray, allowed: np.ndarray, found: Candidates) -> float:
    """The share of the ten best rows that came, where rows of the same score are as good."""
    rows = np.flatnonzero(allowed)
    truth, _ = exact_search(all_vectors(view), query[np.newaxis], min(K, len(rows)), rows)
    return float(np.mean(found.scores[: truth.shape[1]] >= truth[0, -1] - 1e-3)) if len(rows) else 1.0


def live(view: View) -> np.ndarray:
    return np.ones(view.rows, dtype=bool) if view.live_mask is None else view.live_mask


def test_a_base_alone_answers_as_it_does_by_itself(base: Segment) -> None:
    view = View.of(base)
    query = query_near(view, 5, 5)
    alone = base.search_planned(query, 50, base.manifest.photo_search)
    laid = view.search_planned(query, 50, base.manifest.photo_search)
    assert [each.tolist() for each in laid[:2]] == [each.tolist() for each in alone[:2]]
    assert laid[2] == alone[2]
    assert view.live_mask is None


def test_an_empty_delta_changes_no_answer(base: Segment, deltas: Deltas) -> None:
    view = lay_over(base, deltas[0, False], NOBODY)
    query = query_near(view, 5, 5)
    alone = base.search_planned(query, 50, base.manifest.photo_search)
    assert view.search_planned(query, 50, base.manifest.photo_search)[1].tolist() == alone[1].tolist()


@pytest.mark.parametrize("has_lists", [False, True])
def test_new_rows_are_numbered_on_and_found(base: Segment, deltas: Deltas, has_lists: bool) -> None:
    view = lay_over(base, deltas[1_000, has_lists], NOBODY)
    assert (view.rows, view.live_rows) == (ALL_ROWS, ALL_ROWS)
    for row in range(ROWS, ALL_ROWS, 97):
        found = find(view, view.vector_of(row))
        assert found.rows[0] == row
        assert found.scores[0] == pytest.approx(1, abs=2e-3)
        assert "among the delta's new rows" in found.plan.why
    _, rows = view.search(view.vectors_of(np.array([3, ROWS + 3])), 2)
    assert rows[:, 0].tolist() == [3, ROWS + 3]


def test_tombstoned_rows_are_never_found_by_any_path(base: Segment, deltas: Deltas) -> None:
    dead = np.arange(0, ROWS, 3)
    view = lay_over(base, deltas[30, False], dead)
    everything = np.arange(view.rows)
    for row in dead[::100].tolist():
        query = base.vector_of(row)
        assert row not in find(view, query).rows
        assert row not in find(view, query, np.ones(view.rows, dtype=bool)).rows
        assert row not in view.scan(query, 20, np.ones(view.rows, dtype=bool))[1]
        assert row not in view.scan(query, 20, np.isin(everything, [row, row + 1]))[1]
        assert row not in view.search(query[np.newaxis], 20)[1]
        assert row not in view.search(query[np.newaxis], 20, "text", rows=everything)[1]
    assert find(view, base.vector_of(0), k=view.rows).complete


def test_a_base_that_died_whole_still_gives_the_new_rows(base: Segment, deltas: Deltas) -> None:
    view = lay_over(base, deltas[30, False], np.arange(ROWS))
    found = find(view, base.vector_of(0))
    assert (len(found.rows), found.complete, view.live_rows) == (30, True, 30)
    assert found.rows.min() >= ROWS


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_query_whose_neighbourhood_was_deleted_finds_the_best_that_live(
    base: Segment, deltas: Deltas, share: float
) -> None:
    recalls = []
    rng = np.random.default_rng(7)
    for _ in range(8):
        centre = base.vector_of(int(rng.integers(ROWS)))
        nearness = np.asarray(base.vectors, np.float32) @ centre
        dead = np.sort(np.argsort(-nearness)[: int(share * ROWS)])
        view = lay_over(base, deltas[30, False], dead)
        for seed in range(6):
            noise = np.random.default_rng(seed).standard_normal(len(centre))
            query = unit((centre + 0.3 * seed / 6 * noise / np.linalg.norm(noise))[np.newaxis])[0]
            recalls.append(recall(view, query, live(view), find(view, query)))
    assert np.mean(recalls) >= 0.99


def test_deaths_here_and_there_keep_the_recall(base: Segment, deltas: Deltas) -> None:
    rng = np.random.default_rng(11)
    dead = np.sort(rng.choice(ROWS, ROWS // 10, replace=False))
    view = lay_over(base, deltas[1_000, True], dead)
    recalls: dict[str, list[float]] = {"all": [], "filtered": []}
    for number in range(80):
        query = query_near(view, int(rng.integers(view.rows)), number)
        recalls["all"].append(recall(view, query, live(view), find(view, query)))
        for part in (0.05, 0.3, 0.8):
            mask = rng.random(view.rows) < part
            recalls["filtered"].append(recall(view, query, mask & live(view), find(view, query, mask)))
    assert {name: np.mean(values) for name, values in recalls.items() if np.mean(values) < 0.99} == {}


def test_a_few_deaths_cost_no_more_probes_and_a_deleted_neighbourhood_does(base: Segment, deltas: Deltas) -> None:
    query = base.vector_of(50)
    order = np.argsort(-(np.asarray(base.vectors, np.float32) @ query))
    for dead, probes_as_tuned in ((order[[0, 3, 5]], True), (order[:40], False)):
        view = lay_over(base, deltas[30, False], dead)
        scores, rows, plan = view.search_planned(query, K, base.manifest.photo_search)
        assert (plan.path == "probe") == (probes_as_tuned and not base.is_exact)
        assert plan.rows_matched == view.live_rows
        alive = np.setdiff1d(np.arange(view.rows), dead)
        truth, _ = exact_search(all_vectors(view), query[np.newaxis], K, alive)
        assert scores == pytest.approx(truth[0], abs=1e-3)
        assert not np.isin(rows, dead).any()


@HAMMER
@given(data=st.data(), seed=st.integers(0, 2**16), wanted=st.integers(1, 80), crowd=st.sampled_from([0, 5, 700, 3_000]))
def test_k_groups_of_both_parts_come_wherever_k_exist(
    base: Segment, deltas: Deltas, data: st.DataObject, seed: int, wanted: int, crowd: int
) -> None:
    """Whatever died, came or is filtered away, though one group crowds round the query, and though some are hidden."""
    rng = np.random.default_rng(seed)
    dead = np.flatnonzero(rng.random(ROWS) < data.draw(st.sampled_from([0, 0.01, 0.3, 0.97]), "dead"))
    view = lay_over(base, data.draw(st.sampled_from(list(deltas.values())), "delta"), dead)
    query = query_near(view, int(rng.integers(view.rows)), seed)
    order = np.argsort(-(all_vectors(view) @ query))
    groups = ItemColumns.of(view.items.take(np.arange(view.rows))).groups.copy()
    groups[order[:crowd]] = groups[order[0]]
    share = data.draw(st.sampled_from([None, 0.0, 0.05, 0.5, 0.99]), "filter")
    mask = None if share is None else rng.random(view.rows) < share
    hide = np.unique(groups[order])[: data.draw(st.integers(0, 40), "hidden")].astype(np.int32)
    found = find_candidates(view, query, wanted, groups, view.manifest.photo_search, mask, hide)
    under_filters = live(view) if mask is None else live(view) & mask
    allowed = under_filters & ~np.isin(groups, hide)
    exist, came = len(np.unique(groups[allowed])), len(np.unique(groups[found.rows]))
    assert allowed[found.rows].all()
    assert len(np.unique(found.rows)) == len(found.rows)
    assert (np.diff(found.scores) <= 1e-6).all()
    assert came >= min(wanted, exist)
    assert found.plan.rows_matched == under_filters.sum()
    if found.complete:
        assert came == exist


def test_items_are_shown_as_they_are_now(base: Segment, deltas: Deltas) -> None:
    view = lay_over(base, deltas[30, False], np.array([7]))
    asked = np.array([ROWS + 2, CHANGED[1], 3, CHANGED[0], ROWS, CHANGED[2], CHANGED[1]])
    prices = view.items.select(["price"]).take(asked).column("price").to_pylist()
    before, added = base.items.column("price").to_pylist(), view.items.new.column("price").to_pylist()
    assert prices == [added[2], 1_000, before[3], 1_000, added[0], 1_000, 1_000]
    products = view.items.take(asked).column("product_id").to_pylist()
    assert products[1] == products[6] == base.items.column("product_id")[int(CHANGED[1])].as_py()
    assert view.items.take(NOBODY).num_rows == 0
