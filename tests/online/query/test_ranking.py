"""The score that orders results: its terms, their weights, and what stays neutral."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from online.query.attribute_match import match_attributes, match_words
from online.query.composition import Mix, Part, Query
from online.query.ranking import Weights, calibrated_range, visual_scale
from online.searcher import Searcher
from online.snapshots.rank_features import RankFeatures
from retrieval.store.objects import FolderStore
from schemas.api.requests import RankWeights
from schemas.calibration import Calibration, CategoryValues, CosineScale
from tests.online.tiny_shop import COLOURS, SHOP, Item, point_at, put_build

MEASURED = Calibration(
    visual_scale={"photo": CosineScale(0.1, 0.2, 1.0), "text": CosineScale(-0.1, 0.0, 0.5)},
    prices={
        "EUR": CategoryValues([float(end) for end in range(0, 101, 10)], {"hats": [float(end) for end in range(11)]})
    },
)
NO_ROWS = np.empty(0, np.int64)
Serve = Callable[..., None]


@pytest.fixture
def serve(searcher: Searcher, store: FolderStore, tmp_path: Path) -> Serve:
    """Publish a build of the items and take it up."""

    def swap(items: list[Item], calibration: Calibration = MEASURED) -> None:
        put_build(store, tmp_path / "next", items, build_id="b2", calibration=calibration.to_json())
        point_at(store, "b2", 2)
        searcher.watcher.look()
        assert searcher.snapshot().pointer.live.build_id == "b2"

    return swap


def ask(client: FlaskClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/search", json={"explain": True, **body})
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def products(body: dict[str, Any]) -> list[str]:
    return [result["product_id"] for result in body["results"]]


def item(name: str, rgb: tuple[int, int, int] = COLOURS["red"], **columns: Any) -> Item:
    return Item(name, rgb, None, columns)


def test_the_score_is_the_sum_of_its_terms_points(client: FlaskClient, serve: Serve) -> None:
    serve([item("a", price=30.0, currency="EUR", created_at="2026-01-01"), item("b", COLOURS["blue"], title="red b")])
    for result in ask(client, text="red")["results"]:
        assert set(result["explain"]) == {"visual", "attributes", "personal", "freshness", "price"}
        assert sum(term["points"] for term in result["explain"].values()) == pytest.approx(
            result["rank_score"], abs=1e-3
        )
        assert all(0 <= term["value"] <= 1 for term in result["explain"].values())


def test_of_two_that_look_the_same_the_cheaper_comes_first(client: FlaskClient, serve: Serve) -> None:
    serve([item("dear", price=90.0, currency="EUR"), item("cheap", price=10.0, currency="EUR")])
    body = ask(client, text="red")
    assert products(body) == ["cheap", "dear"]
    assert [result["explain"]["price"] for result in body["results"]] == [
        {"value": 0.1, "points": -0.005},
        {"value": 0.9, "points": -0.045},
    ]


def test_of_two_that_look_the_same_the_newer_comes_first(client: FlaskClient, serve: Serve) -> None:
    """The interval ends on 2 January at 02:00."""
    serve([item("old", created_at="2025-12-02T02:00"), item("new", created_at="2026-01-02T02:00"), item("undated")])
    body = ask(client, text="red")
    assert products(body) == ["new", "old", "undated"]
    values = [result["explain"]["freshness"]["value"] for result in body["results"]]
    assert values == pytest.approx([1.0, np.exp(-31 / 30), 0.0], abs=1e-3)


def test_a_product_from_the_future_is_as_fresh_as_one_of_today(client: FlaskClient, serve: Serve) -> None:
    serve([item("tomorrow", created_at="2026-02-01")])
    assert ask(client, text="red")["results"][0]["explain"]["freshness"]["value"] == 1.0


def test_of_two_that_look_the_same_the_one_with_the_words_comes_first(client: FlaskClient, serve: Serve) -> None:
    serve([item("plain", title="Thing"), item("named", title="Coat, RED!", attributes={"lining": "silk"})])
    body = ask(client, text="red silk coat")
    assert products(body) == ["named", "plain"]
    assert body["results"][0]["explain"]["attributes"]["value"] == 1.0
    assert body["results"][1]["explain"]["attributes"]["value"] == 0.0


def test_likeness_outweighs_all_else_by_default(client: FlaskClient, serve: Serve) -> None:
    serve(
        [
            item("green", COLOURS["green"], price=1.0, currency="EUR", created_at="2026-01-02"),
            item("red", price=99.0, currency="EUR"),
        ]
    )
    assert products(ask(client, text="red")) == ["red", "green"]


def test_weights_of_the_request_change_the_order_and_the_rest_keep_theirs(client: FlaskClient, serve: Serve) -> None:
    serve([item("green", COLOURS["green"], price=1.0, currency="EUR"), item("red", price=99.0, currency="EUR")])
    body = ask(client, text="red", rank={"visual": 0, "price": 1})
    assert products(body) == ["green", "red"]
    assert body["explain"]["weights"] == {
        "visual": 0.0, "attributes": 0.15, "personal": 0.15, "freshness": 0.05, "price": 1.0
    }  # fmt: skip


def test_with_no_weight_at_all_the_nearest_comes_first(client: FlaskClient, serve: Serve) -> None:
    serve([item("green", COLOURS["green"]), item("red")])
    none = dict.fromkeys(("visual", "attributes", "personal", "freshness", "price"), 0)
    assert products(ask(client, text="red", rank=none)) == ["red", "green"]


def test_a_builds_own_weights_stand_between_the_defaults_and_the_requests() -> None:
    calibration = Calibration(rank_weights={"visual": 0.5, "price": 0.2, "unknown": 3})
    assert Weights.of(calibration, None) == Weights(visual=0.5, price=0.2)
    assert Weights.of(calibration, RankWeights.model_validate({"price": 0.0})) == Weights(visual=0.5, price=0.0)


def test_a_build_without_constants_answers_and_says_what_stayed_neutral(client: FlaskClient) -> None:
    body = ask(client, text="red", k=3)
    notes = {note.split(":")[0] for note in body["explain"]["notes"]}
    assert notes == {"visual", "price", "personal"}
    assert [result["explain"]["price"]["points"] for result in body["results"]] == [0, 0, 0]
    assert body["results"][0]["explain"]["visual"]["value"] == 1.0


def test_a_query_by_photo_alone_names_no_attributes(client: FlaskClient, searcher: Searcher) -> None:
    query = Query(Mix.of("image", "photo", np.zeros(4, np.float32)), np.empty(0, np.int32))
    assert match_attributes(searcher.snapshot().catalog, np.arange(3), query.words, query.models) is None


def test_more_like_this_prefers_what_shares_the_traits(client: FlaskClient, serve: Serve) -> None:
    traits = {"category": "coats", "brand": "Nord", "attributes": {"lining": "silk"}}
    serve(
        [
            item("model", **traits),
            item("stranger", brand="Sud"),
            item("cousin", brand="Nord", attributes={"lining": "silk"}),
        ]
    )
    body = ask(client, product_id="model")
    assert products(body) == ["cousin", "stranger"]
    assert body["results"][0]["explain"]["attributes"]["value"] == pytest.approx(2 / 3, abs=1e-3)


def test_words_are_whole_words_in_any_script_and_those_that_nothing_has_do_not_count(
    searcher: Searcher, serve: Serve
) -> None:
    serve([item("a", title="Überwurf, grün"), item("b", title="Redwood"), item("c")])
    catalog = searcher.snapshot().catalog
    rows = np.arange(3)
    assert match_words(catalog, rows, "ÜBERWURF for the garden").tolist() == [1, 0, 0]
    assert match_words(catalog, rows, "red").tolist() == [0, 0, 0]
    assert match_words(catalog, rows, "!!!").tolist() == [0, 0, 0]
    assert match_words(catalog, rows[:0], "red").tolist() == []


def test_prices_stand_among_their_category_or_where_it_is_small_among_all(searcher: Searcher, serve: Serve) -> None:
    serve(
        [
            item("hat", category="hats", price=5.0, currency="EUR"),
            item("coat", category="coats", price=5.0, currency="EUR"),
            item("nowhere", price=500.0, currency="EUR"),
            item("dollar", category="hats", price=5.0, currency="USD"),
            item("free", category="hats", currency="EUR"),
        ]
    )
    places = searcher.snapshot().features.price_place
    assert places.tolist() == pytest.approx([0.5, 0.05, 1.0, np.nan, np.nan], nan_ok=True)


def test_where_all_prices_are_one_each_stands_in_the_middle(searcher: Searcher, serve: Serve) -> None:
    same = Calibration(prices={"EUR": CategoryValues([7.0] * 11)})
    serve([item("a", price=7.0, currency="EUR"), item("b", price=1.0, currency="EUR")], same)
    assert searcher.snapshot().features.price_place.tolist() == pytest.approx([0.5, 0.0])


def query_of(*parts: Part) -> Query:
    return Query(Mix(np.zeros(4, np.float32), parts), np.empty(0, np.int32))


def test_a_mixed_querys_range_is_made_of_the_ranges_of_the_parts_that_draw() -> None:
    image = Part("image", "photo", 1.0)
    assert calibrated_range(query_of(image), MEASURED) == pytest.approx(0.8)
    both = query_of(Part("image", "photo", 0.8), Part("text", "text", 0.4))
    assert calibrated_range(both, MEASURED) == pytest.approx(0.8 * 0.8 + 0.4 * 0.5)
    assert calibrated_range(query_of(image, Part("negative_text", "text", -0.5)), MEASURED) == pytest.approx(0.8)
    assert calibrated_range(query_of(image), Calibration()) is None


def test_likeness_fades_as_the_build_measured_and_more_slowly_where_nothing_is_near() -> None:
    query = query_of(Part("image", "photo", 1.0))
    near = np.array([0.9, 0.8, 0.7], np.float32)
    assert visual_scale(calibrated_range(query, MEASURED), near) == pytest.approx((0.1, 0.9))
    far = np.array([0.5, 0.0, -0.7], np.float32)
    assert visual_scale(calibrated_range(query, MEASURED), far) == pytest.approx((-0.7, 0.5))
    crowd = np.linspace(0.5, -0.9, 500, dtype=np.float32)
    assert visual_scale(calibrated_range(query, MEASURED), crowd)[0] == pytest.approx(min(-0.3, crowd[99]))
    assert visual_scale(calibrated_range(query, Calibration()), near) == pytest.approx((0.7, 0.9))
    low, high = visual_scale(calibrated_range(query, Calibration()), near[:1])
    assert low < high


def test_of_few_candidates_the_least_alike_do_not_flatten_what_is_alike() -> None:
    query = query_of(Part("image", "photo", 1.0))
    steep = Calibration(visual_scale={"photo": CosineScale(0.0, 0.9, 1.0)})
    few = np.concatenate([np.linspace(1.0, 0.8, 12), np.linspace(0.1, -0.9, 48)]).astype(np.float32)
    assert visual_scale(calibrated_range(query, steep), few) == pytest.approx((0.8, 1.0))
    very_few = few[[0, 5, 11, *range(12, 20)]]
    assert visual_scale(calibrated_range(query, steep), very_few) == pytest.approx((float(very_few[9]), 1.0))


def test_explain_says_how_the_query_was_run(client: FlaskClient) -> None:
    explained = ask(client, text="red", negative_text="blue", filters={"category": {"equals": "hats"}})["explain"]
    assert (explained["path"], explained["rows_matched"], explained["candidates"]) == ("scan_few", 1, 1)
    assert "1 rows pass the filters" in explained["why"]
    assert [part["field"] for part in explained["query"]] == ["text", "negative_text"]
    assert client.post("/search", json={"text": "red"}).get_json()["explain"] is None


def test_a_user_id_is_taken_and_changes_nothing_yet(client: FlaskClient) -> None:
    plain, known = ask(client, text="red"), ask(client, text="red", user_id="ann")
    assert known["results"] == plain["results"]
    assert any(note.startswith("personal: 0 for all") for note in known["explain"]["notes"])


def test_features_of_a_catalog_without_prices_are_unknown(searcher: Searcher) -> None:
    features = RankFeatures.of(searcher.snapshot().catalog.columns, Calibration())
    assert np.isnan(features.price_place).all()
    assert len(features.price_place) == len(SHOP)
