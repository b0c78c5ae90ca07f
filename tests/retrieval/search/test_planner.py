"""Which way the planner takes, by where the matches lie."""

import numpy as np
import pytest

from retrieval.search import planner
from retrieval.search.planner import Plan, plan_filtered, plan_unfiltered, scan_beyond, widen_mixed

ROWS, NLIST, NPROBE = 100_000, 100, 4


@pytest.fixture(autouse=True)
def _few_are_five_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "FEW_ROWS", 5_000)


def plan_for(matches_by_nearness: np.ndarray, nprobe: int = NPROBE) -> Plan:
    return plan_filtered(int(matches_by_nearness.sum()), ROWS, nprobe, lambda: matches_by_nearness)


def test_no_match_searches_nothing() -> None:
    assert plan_for(np.zeros(NLIST, np.int64)).path == "nothing"


def test_few_matches_are_scored_without_counting_where_they_lie() -> None:
    def never() -> np.ndarray:
        raise AssertionError("the lists were counted")

    assert plan_filtered(planner.FEW_ROWS, ROWS, NPROBE, never).path == "scan_few"


def test_an_exact_index_scores_every_match() -> None:
    assert plan_filtered(50_000, ROWS, 0, None).path == "exact"


def test_matches_everywhere_are_probed_until_as_many_were_seen_as_without_filters() -> None:
    plan = plan_for(np.full(NLIST, 400))
    assert (plan.path, plan.nprobe, plan.rows_matched) == ("probe_more", 10, 40_000)
    assert "10 of 100 lists instead of 4" in plan.why


def test_matches_that_fill_the_near_lists_need_no_more_probes() -> None:
    assert plan_for(np.array([1_000] * 20 + [0] * 80)) == Plan(
        "probe", "20000 matches lie near the query: 4 of 100 lists, as tuned", 20_000, 4
    )


def test_matches_far_from_the_query_are_all_scored() -> None:
    plan = plan_for(np.array([0] * 90 + [1_000] * 10))
    assert (plan.path, plan.nprobe) == ("scan_all", 0)
    assert "less than half of their share" in plan.why


def test_a_handful_of_near_matches_does_not_hide_the_many_that_are_far() -> None:
    assert plan_for(np.array([3] * 4 + [0] * 86 + [1_000] * 10)).path == "scan_all"


def test_matches_that_begin_just_beyond_the_tuned_probes_are_probed() -> None:
    assert plan_for(np.array([0] * 4 + [500] * 96)).path == "probe_more"


def test_sparse_matches_are_scored_rather_than_most_lists_probed() -> None:
    assert plan_for(np.full(NLIST, 60)).path == "scan_all"


def test_a_plan_whose_best_rows_lay_far_out_has_every_further_match_scanned() -> None:
    further = scan_beyond(Plan("probe", "", 40_000, 10), NLIST)
    assert (further.path, further.nprobe, further.rows_matched) == ("scan_all", 0, 40_000)
    assert f"10 of {NLIST} lists" in further.why


def test_a_mixed_query_whose_best_rows_lay_far_out_probes_up_to_a_quarter_of_the_lists() -> None:
    wider = widen_mixed(Plan("probe", "", ROWS, 10), NLIST)
    assert wider is not None
    assert (wider.path, wider.nprobe, wider.rows_matched) == ("probe_more", 20, ROWS)
    widest = widen_mixed(wider, NLIST)
    assert widest is not None
    assert widest.nprobe == 25
    assert widen_mixed(widest, NLIST) is None


@pytest.mark.parametrize(("nprobe", "nlist", "path"), [(0, 0, "exact"), (4, 100, "probe"), (100, 100, "scan_all")])
def test_without_filters_the_tuned_probes_do(nprobe: int, nlist: int, path: str) -> None:
    assert plan_unfiltered(ROWS, nprobe, nlist).path == path
