"""Facets, the least score, diversity, and whether anything is near."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from online.query.composition import Mix, Query
from online.query.diversity import diversify
from online.query.match_quality import poor_match_below
from online.searcher import Searcher
from retrieval.encoders.contract import unit_rows
from retrieval.search.candidates import Candidates, shown_scores
from retrieval.search.planner import Plan
from retrieval.store.objects import FolderStore
from schemas.calibration import Calibration, CategoryValues, CosineScale
from tests.online.tiny_shop import COLOURS, Item, point_at, put_build

Serve = Callable[..., None]


@pytest.fixture
def serve(searcher: Searcher, store: FolderStore, tmp_path: Path) -> Serve:
    """Publish a build of the items and take it up."""

    def swap(items: list[Item], calibration: Calibration | None = None) -> None:
        constants = calibration.to_json() if calibration else None
        put_build(store, tmp_path / "next", items, build_id="b2", calibration=constants, thumbnails=False)
        point_at(store, "b2", 2)
        searcher.watcher.look()
        assert searcher.snapshot().pointer.live.build_id == "b2"

    return swap


def ask(client: FlaskClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def counts(body: dict[str, Any], number: int = 0) -> dict[str, int]:
    return {entry["value"]: entry["count"] for entry in body["facets"][number]["values"]}


WARDROBE = [
    Item(
        "a1", COLOURS["red"], "a", {"colour": "red", "brand": "Nord", "in_stock": True, "price": 5.0, "currency": "EUR"}
    ),
    Item(
        "a1", (200, 30, 30), "a", {"colour": "red", "brand": "Nord", "in_stock": True, "price": 5.0, "currency": "EUR"}
    ),
    Item(
        "a2",
        COLOURS["blue"],
        "a",
        {"colour": "blue", "brand": "Nord", "in_stock": False, "price": 9.0, "currency": "EUR"},
    ),
    Item("b", COLOURS["green"], None, {"colour": "red", "attributes": {"size": "M", "fit": "slim"}, "price": 7.0}),
    Item("c", COLOURS["white"], None, {"brand": "Sud", "attributes": {"size": "M"}, "in_stock": True}),
]


def test_facets_count_products_once_however_many_photos_and_variants_share_a_value(
    client: FlaskClient, serve: Serve
) -> None:
    serve(WARDROBE)
    names = ["colour", "brand", "category", "in_stock", "attributes.size", "attributes.nothing"]
    body = ask(client, text="red", facets=names)
    assert [facet["field"] for facet in body["facets"]] == names
    assert [counts(body, number) for number in range(len(names))] == [
        {"red": 2, "blue": 1}, {"Nord": 1, "Sud": 1}, {}, {"true": 2, "false": 1}, {"M": 2}, {},
    ]  # fmt: skip
    assert [facet["exact"] for facet in body["facets"]] == [True] * len(names)


def test_attributes_are_named_by_the_answer_most_frequent_first(client: FlaskClient, serve: Serve) -> None:
    serve(WARDROBE)
    body = ask(client, text="red", facets=["brand", "attributes", "colour"])
    assert [facet["field"] for facet in body["facets"]] == ["brand", "attributes.size", "attributes.fit", "colour"]
    assert (counts(body, 1), counts(body, 2)) == ({"M": 2}, {"slim": 1})
    none = ask(client, text="red", min_score=1, facets=["attributes", "attributes.fit"])["facets"]
    assert [(facet["field"], facet["values"]) for facet in none] == [("attributes.fit", [])]
    twice = ask(client, text="red", facets=["attributes.fit", "attributes"])["facets"]
    assert [facet["field"] for facet in twice] == ["attributes.fit", "attributes.size"]


def test_no_more_than_eight_attributes_are_named(client: FlaskClient, serve: Serve) -> None:
    named = {f"a{number}": "x" for number in range(12)}
    serve([Item("p", COLOURS["red"], None, {"attributes": named}), Item("q", COLOURS["blue"])])
    fields = [facet["field"] for facet in ask(client, text="red", facets=["attributes"])["facets"]]
    assert fields == [f"attributes.{name}" for name in sorted(named)[:8]]


def test_the_price_facet_gives_the_range_in_each_currency(client: FlaskClient, serve: Serve) -> None:
    serve(WARDROBE)
    assert ask(client, text="red", facets=["price"])["facets"][0]["ranges"] == [
        {"currency": None, "min": 7.0, "max": 7.0, "count": 1},
        {"currency": "EUR", "min": 5.0, "max": 9.0, "count": 1},
    ]


def test_facets_count_what_passes_the_filters_though_it_is_not_on_the_page(client: FlaskClient, serve: Serve) -> None:
    serve(WARDROBE)
    body = ask(client, text="red", k=1, facets=["colour"], filters={"colour": {"equals": "red"}})
    assert len(body["results"]) == 1
    assert counts(body) == {"red": 2}


def test_facets_say_when_they_count_only_the_nearest(client: FlaskClient, serve: Serve) -> None:
    crowd = [Item(f"p{number}", (220, number % 200, number // 200), None, {"brand": "Nord"}) for number in range(700)]
    serve(crowd)
    body = ask(client, text="red", facets=["brand"])
    assert body["facets"][0]["exact"] is False
    assert counts(body) == {"Nord": 500}


def test_the_most_frequent_value_comes_first(client: FlaskClient, serve: Serve) -> None:
    serve([Item(str(n), (n, n, n), None, {"brand": brand}) for n, brand in enumerate(["b", "a", "c", "c", "d", "d"])])
    values = ask(client, text="red", facets=["brand"])["facets"][0]["values"]
    assert [entry["value"] for entry in values] == ["c", "d", "a", "b"]


def test_nothing_below_the_least_score_is_shown_or_counted(client: FlaskClient, serve: Serve) -> None:
    serve(WARDROBE)
    everything = ask(client, text="green")["results"]
    least = everything[0]["score"] - 0.01
    body = ask(client, text="green", min_score=least, facets=["colour"])
    assert [result["product_id"] for result in body["results"]] == ["b"]
    assert counts(body) == {"red": 1}
    assert ask(client, text="yellow", min_score=1.0)["results"] == []


def test_a_product_has_the_score_that_it_was_shown_with(client: FlaskClient, serve: Serve) -> None:
    serve(WARDROBE)
    for result in ask(client, text="green")["results"]:
        found = ask(client, text="green", min_score=result["score"])["results"]
        assert result["product_id"] in [each["product_id"] for each in found], result["score"]


@given(st.lists(st.floats(-1.125, 1.125, width=32), min_size=1, max_size=20))
def test_what_was_shown_with_a_score_reaches_it_and_nothing_below_does(scores: list[float]) -> None:
    cosines = np.sort(np.array(scores, np.float32))[::-1]
    shown = shown_scores(cosines).tolist()
    candidates = Candidates(cosines, np.arange(len(cosines)), Plan("exact", "", len(cosines)), complete=True)
    for least in shown:
        assert -1 <= least <= 1
        assert candidates.at_least(least).rows.tolist() == [row for row, score in enumerate(shown) if score >= least]


def test_candidates_are_complete_once_the_poorest_is_too_poor_where_every_row_was_scored() -> None:
    def candidates(plan: Plan) -> Candidates:
        return Candidates(np.array([0.9, 0.5], np.float32), np.arange(2), plan, complete=False)

    exact, probed = Plan("exact", "", 10), Plan("probe", "", 10, nprobe=4)
    assert candidates(exact).at_least(0.6).complete
    assert not candidates(exact).at_least(0.1).complete
    assert not candidates(probed).at_least(0.6).complete
    assert candidates(Plan("scan_few", "", 2_000)).at_least(0.6).complete
    assert not candidates(Plan("scan_few", "", 2_001)).at_least(0.6).complete, "some rows may not have been read"
    assert candidates(exact).at_least(None).rows.tolist() == [0, 1]


def test_diversity_puts_what_differs_before_more_of_the_same(client: FlaskClient, serve: Serve) -> None:
    reds = [Item(f"red{number}", (220, 20, 20 + number), None) for number in range(4)]
    serve([*reds, Item("orange", (230, 120, 20)), Item("blue", COLOURS["blue"])])
    plain = [result["product_id"] for result in ask(client, text="red", k=3)["results"]]
    diverse = [result["product_id"] for result in ask(client, text="red", k=3, diversity=0.6)["results"]]
    assert {name[:3] for name in plain} == {"red"}
    assert diverse[0] == plain[0]
    assert set(diverse[1:]) & {"orange", "blue"}


@given(
    arrays.arrays(np.float32, st.integers(0, 30), elements=st.floats(-1, 1, width=32)),
    st.integers(1, 40),
    st.floats(0, 1),
)
def test_diversity_chooses_each_result_once_and_as_many_as_wanted(
    scores: np.ndarray, wanted: int, diversity: float
) -> None:
    scores = -np.sort(-scores)
    vectors = unit_rows(np.random.default_rng(len(scores)).standard_normal((len(scores), 4)))
    chosen = diversify(scores, vectors, wanted, diversity).tolist()
    assert len(chosen) == min(wanted, len(scores)) == len(set(chosen))
    if chosen:
        assert scores[chosen[0]] == scores.max()
    if diversity == 0:
        assert scores[chosen].tolist() == scores[: len(chosen)].tolist()


MEASURED = Calibration(
    visual_scale={"photo": CosineScale(0.1, 0.5, 1.0), "text": CosineScale(0.0, 0.5, 0.9)},
    photo_match=CategoryValues(0.6, {"hats": 0.99}),
    text_match=0.8,
)


def test_a_query_with_nothing_near_says_so_and_gives_the_nearest_all_the_same(
    client: FlaskClient, serve: Serve
) -> None:
    serve([Item("blue", COLOURS["blue"])], MEASURED)
    body = ask(client, text="red", explain=True)
    assert body["no_good_match"] is True
    assert [result["product_id"] for result in body["results"]] == ["blue"]
    assert body["results"][0]["score"] < body["explain"]["no_good_match_below"] == 0.8
    assert ask(client, text="blue")["no_good_match"] is False
    assert 'shoplens_no_good_matches_total{kind="text"} 1.0' in client.get("/metrics").text


def test_where_it_was_not_measured_or_makes_no_sense_it_is_not_said(client: FlaskClient, serve: Serve) -> None:
    assert ask(client, text="red")["no_good_match"] is None
    serve([Item("blue", COLOURS["blue"]), Item("red", COLOURS["red"])], MEASURED)
    assert ask(client, product_id="blue")["no_good_match"] is None
    assert ask(client, text="red", filters={"in_stock": True})["no_good_match"] is None


def test_the_threshold_is_the_category_s_of_the_nearest_photo_and_the_sum_over_parts(
    searcher: Searcher, serve: Serve
) -> None:
    serve([Item("hat", COLOURS["red"], None, {"category": "hats"}), Item("coat", COLOURS["blue"])], MEASURED)
    snapshot, none = searcher.snapshot(), np.empty(0, np.int32)
    photo, words = (
        Mix.of("image", "photo", np.eye(4, dtype=np.float32)[0]),
        Mix.of("text", "text", np.eye(4, dtype=np.float32)[1]),
    )
    assert poor_match_below(snapshot, Query(photo, none), 0) == 0.99
    assert poor_match_below(snapshot, Query(photo, none), 1) == 0.6
    mixed = photo.times(0.6).plus(words.times(0.8))
    assert poor_match_below(snapshot, Query(mixed, none), 1) == pytest.approx(0.6 * 0.6 + 0.8 * 0.8)
    pushed = photo.plus(Mix.of("disliked", "photo", np.eye(4, dtype=np.float32)[2]).times(-0.5))
    assert poor_match_below(snapshot, Query(pushed, none), 1) == pytest.approx(0.6 - 0.5 * 0.1)
    assert poor_match_below(snapshot, Query(photo.plus(Mix.of("liked", "photo", photo.vector)), none), 1) is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"facets": []}, "facets"),
        ({"facets": ["shape"]}, "facets.0"),
        ({"facets": ["attributes."]}, "facets.0"),
        ({"facets": ["brand"] * 21}, "facets"),
        ({"diversity": 1.5}, "diversity"),
        ({"diversity": float("nan")}, "diversity"),
        ({"min_score": 2}, "min_score"),
        ({"rank": {"visual": -1}}, "rank.visual"),
        ({"rank": {"visual": float("nan")}}, "rank.visual"),
        ({"rank": {"beauty": 1}}, "rank.beauty"),
        ({"explain": "yes"}, "explain"),
    ],
)
def test_a_wrong_refinement_is_named(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    answer = client.post("/search", json={"text": "red", **body})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.get_json()["errors"]] == [field]


def test_a_form_refines_as_json_does(client: FlaskClient) -> None:
    body = {
        "text": "red",
        "diversity": 0.3,
        "min_score": -1,
        "facets": ["brand", "price"],
        "rank": {"price": 0.5},
        "explain": True,
    }
    form = {**body, "rank": '{"price": 0.5}', "explain": "true"}
    asked = client.post("/search", data=form).get_json()
    expected = ask(client, **body)
    for name in ("results", "facets", "explain"):
        assert asked[name] == expected[name]
