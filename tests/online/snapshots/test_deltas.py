"""What a shopper sees after an hour's changes: a base with a delta answers as a build made anew would."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from online.searcher import Searcher
from online.snapshots.watcher import Look
from retrieval.store.objects import FolderStore
from schemas.pointer import POINTER_KEY, Pointer
from tests.online.tiny_shop import COLOURS, SHOP, Item, MeanColourEncoder, point_at, put_build, put_delta

PublishDelta = Callable[..., str]
CAR = Item("car-white", COLOURS["white"], None, {"title": "Car", "price": 9_000.0, "currency": "EUR"})
FUZZ = settings(
    max_examples=200 if os.environ.get("SHOPLENS_SOAK") else 8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def publish(searcher: Searcher, store: FolderStore, tmp_path: Path) -> PublishDelta:
    """Publish what turns the live build into the items; returns the delta's id."""

    def swap(items: Sequence[Item]) -> str:
        live = searcher.snapshot().pointer
        delta = put_delta(store, tmp_path / "deltas", items, live.live.build_id)
        point_at(store, live.live.build_id, live.generation + 1, delta_id=delta.delta_id)
        assert searcher.watcher.look() is Look.SWAPPED
        return delta.delta_id

    return swap


def ask(client: FlaskClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def products(answer: dict[str, Any]) -> list[str]:
    return [result["product_id"] for result in answer["results"]]


def without(*product_ids: str) -> list[Item]:
    return [item for item in SHOP if item.product_id not in product_ids]


def with_columns(product_id: str, group_id: str | None = None, **columns: Any) -> list[Item]:
    """The shop, where one product has other columns."""
    return [
        replace(item, group_id=group_id or item.group_id, columns={**item.columns, **columns})
        if item.product_id == product_id
        else item
        for item in SHOP
    ]


def test_a_new_price_shows_in_the_tile_in_filters_in_facets_and_in_the_order(
    client: FlaskClient, publish: PublishDelta
) -> None:
    publish(with_columns("sock-green", price=4.0, currency="CHF", in_stock=True))
    cheap = ask(client, text="red", filters={"price": {"max": 5}}, facets=["price", "in_stock"])
    assert [(result["product_id"], result["price"]) for result in cheap["results"]] == [("sock-green", 4.0)]
    assert [found["currency"] for found in cheap["facets"][0]["ranges"]] == ["CHF"]
    assert cheap["facets"][1]["values"] == [{"value": "true", "count": 1}]


def test_attributes_and_words_that_the_base_never_had_can_be_asked_for(
    client: FlaskClient, publish: PublishDelta
) -> None:
    publish([*with_columns("hat-yellow", brand="Sol", attributes={"size": "7.5"}), CAR])
    assert products(ask(client, text="red", filters={"brand": {"equals": "Sol"}})) == ["hat-yellow"]
    sized = {"filters": {"attributes": {"size": {"min": 7, "max": 8}}}, "facets": ["attributes.size"]}
    found = ask(client, text="red", **sized)
    assert products(found) == ["hat-yellow"]
    assert found["facets"][0]["values"] == [{"value": "7.5", "count": 1}]
    assert products(ask(client, text="red", filters={"attributes": {"material": {"equals": "wool"}}})) == ["sock-green"]


def test_a_product_that_moved_to_another_group_leaves_the_old_one(client: FlaskClient, publish: PublishDelta) -> None:
    publish(with_columns("shirt-blue", group_id="sailing"))
    answer = ask(client, text="blue")
    group_of = {result["product_id"]: result["group_id"] for result in answer["results"]}
    assert (group_of["shirt-blue"], group_of["shirt-red"]) == ("sailing", "shirt")
    assert "shirt-blue" in products(ask(client, product_id="shirt-red"))


def test_a_new_product_is_found_and_more_like_it_is_too(client: FlaskClient, publish: PublishDelta) -> None:
    publish([*SHOP, CAR])
    answer = ask(client, text="white", explain=True)
    assert answer["results"][0]["product_id"] == "car-white"
    assert "among the delta's new rows" in answer["explain"]["why"]
    assert client.get(answer["results"][0]["uri"]).status_code == 200
    assert "car-white" not in products(ask(client, product_id="car-white"))
    assert products(ask(client, liked=["car-white"], text="white"))[0] == "car-white"


def test_a_deleted_product_is_nowhere(client: FlaskClient, publish: PublishDelta) -> None:
    publish(without("shirt-red"))
    for body in (
        {"text": "red"}, {"text": "red", "filters": {"price": {"max": 100}}}, {"liked": ["shirt-blue"]},
        {"text": "red", "disliked": ["shirt-red"]}, {"text": "red", "liked": ["shirt-red"]},
        {"product_id": "shirt-blue"}, {"text": "red", "diversity": 0.5},
    ):  # fmt: skip
        assert "shirt-red" not in products(ask(client, **body)), body
    assert ask(client, text="red", facets=["price"])["facets"][0]["ranges"][0]["count"] == 1
    for body in ({"product_id": "shirt-red"}, {"liked": ["shirt-red"]}):
        answer = client.post("/search", json=body)
        assert (answer.status_code, answer.get_json()["type"]) == (404, "/problems/product-not-found")
    left_aside = ask(client, text="red", liked=["shirt-red"], explain=True)["explain"]["notes"]
    assert any("'shirt-red'" in note for note in left_aside)


def test_a_deleted_product_is_not_on_the_next_page_either(client: FlaskClient, publish: PublishDelta) -> None:
    first = ask(client, text="red", k=1)
    expected = products(ask(client, cursor=first["cursor"], k=9))
    publish(without(expected[1]))
    assert products(ask(client, cursor=first["cursor"], k=9)) == [expected[0], *expected[2:]]


def test_no_answer_is_kept_by_a_cache(client: FlaskClient, publish: PublishDelta) -> None:
    publish(without("shirt-red"))
    assert client.post("/search", json={"text": "red"}).headers["Cache-Control"] == "no-store"
    assert client.get("/ready").headers["Cache-Control"] == "no-store"


def test_a_product_that_comes_back_is_there_again(client: FlaskClient, publish: PublishDelta) -> None:
    publish(without("coat-black"))
    assert "coat-black" not in products(ask(client, text="black"))
    publish(SHOP)
    assert products(ask(client, text="black"))[0] == "coat-black"


def test_a_photo_replaced_by_another_is_what_is_found(client: FlaskClient, publish: PublishDelta) -> None:
    publish([*without("coat-black"), Item("coat-black", COLOURS["white"], None, {"title": "Coat"})])
    best = ask(client, text="white")["results"][0]
    assert (best["product_id"], best["score"]) == ("coat-black", pytest.approx(1, abs=1e-3))
    assert ask(client, text="black")["results"][0]["product_id"] != "coat-black"


def test_replies_say_which_delta_answered(client: FlaskClient, publish: PublishDelta) -> None:
    assert (ask(client, text="red")["delta_id"], client.get("/ready").get_json()["delta_id"]) == (None, None)
    delta_id = publish([*without("shirt-red", "hat-yellow"), CAR])
    answer, ready = ask(client, text="red"), client.get("/ready").get_json()
    assert (answer["build_id"], answer["delta_id"], answer["generation"]) == ("b1", delta_id, 2)
    assert (ready["delta_id"], ready["rows"], ready["products"]) == (delta_id, 4, 4)
    figures = client.get("/metrics").text
    assert 'shoplens_snapshot_swap_seconds_count{change="delta"} 1.0' in figures
    assert "shoplens_worker_generation 2.0" in figures


def test_only_the_delta_is_loaded_when_only_the_delta_is_another(
    client: FlaskClient, searcher: Searcher, publish: PublishDelta
) -> None:
    before = searcher.snapshot()
    publish(without("shirt-red"))
    first = searcher.snapshot()
    publish([*SHOP, CAR])
    second = searcher.snapshot()
    assert first.base is before.base is second.base
    assert first.encoder is before.encoder
    assert before.view.rows == first.view.rows == 6
    assert products(ask(client, text="white"))[0] == "car-white"


def test_a_request_that_began_before_a_swap_ends_as_it_began(
    client: FlaskClient, searcher: Searcher, publish: PublishDelta
) -> None:
    publish([*SHOP, CAR])
    superseded = searcher.snapshot()
    for number in range(5):  # its files go from the disk meanwhile
        publish([*without("shirt-red"), replace(CAR, product_id=f"car-{number}")])
    assert (
        superseded.catalog.tiles(superseded.catalog.rows_of_products(["car-white"])["car-white"])[0]["title"] == "Car"
    )
    _, rows = superseded.view.search(MeanColourEncoder().encode_texts(["white"]), 1)
    assert rows[0, 0] == 6


def test_rolling_back_keeps_deleted_products_deleted(
    client: FlaskClient, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    put_build(store, tmp_path / "next", [*without("shirt-red"), CAR], build_id="b2")
    point_at(store, "b2", 2)
    assert searcher.watcher.look() is Look.SWAPPED
    delta = put_delta(store, tmp_path / "deltas", without("shirt-red"), "b1")
    point_at(store, "b1", 3, delta_id=delta.delta_id)
    assert searcher.watcher.look() is Look.SWAPPED
    answer = ask(client, text="red")
    assert (answer["build_id"], answer["delta_id"], answer["generation"]) == ("b1", delta.delta_id, 3)
    assert not {"shirt-red", "car-white"} & set(products(answer))


HISTORY = st.lists(
    st.tuples(
        st.sets(st.integers(0, 19), max_size=8),  # deleted
        st.dictionaries(st.integers(0, 19), st.tuples(st.integers(0, 9), st.sampled_from(["g1", "g2", "x", None])), max_size=6),
        st.dictionaries(st.integers(20, 29), st.sampled_from(["g1", "x", "y", None]), max_size=6),  # new, by group
    ),
    min_size=1,
    max_size=3,
)  # fmt: skip


def shade(number: int, group: str | None, price: float) -> Item:
    attributes = {"parity": "odd" if number % 2 else "even", **({"deep": "yes"} if number > 15 else {})}
    columns = {"price": price, "currency": "EUR", "brand": "abc"[number % 3], "attributes": attributes}
    return Item(f"p{number:02}", (220 - 5 * number, 7 * number, 3 * number), group, columns)


SHADES = [shade(number, f"g{number // 3}", float(number)) for number in range(20)]


def edited(deleted: set[int], changed: dict[int, tuple[int, str | None]], new: dict[int, str | None]) -> list[Item]:
    kept = {number: SHADES[number] for number in range(20) if number not in deleted or number == 19}
    kept |= {number: shade(number, group, price) for number, (price, group) in changed.items() if number in kept}
    return [*kept.values(), *(shade(number, group, 1.0) for number, group in new.items())]


@pytest.fixture
def shades(searcher: Searcher, store: FolderStore, tmp_path: Path) -> None:
    put_build(store, tmp_path / "shades", SHADES, build_id="shades", thumbnails=False)
    go_to(searcher, store, "shades")


def go_to(searcher: Searcher, store: FolderStore, build_id: str, delta_id: str | None = None) -> None:
    pointer = store.get(POINTER_KEY)
    assert pointer is not None
    point_at(store, build_id, Pointer.from_json(pointer.data).generation + 1, delta_id=delta_id)
    assert searcher.watcher.look() is Look.SWAPPED


QUESTIONS: tuple[dict[str, Any], ...] = (
    {"text": "red"},
    {"text": "blue", "filters": {"price": {"max": 7}}},
    {"text": "green", "filters": {"attributes": {"parity": {"equals": "odd"}}, "brand": {"not": {"equals": "a"}}}},
    {"product_id": "p19"},
    {"liked": ["p19", "p25"], "text": "red", "rank": {"price": 0.4, "attributes": 0.5}},
)


def ready(client: FlaskClient) -> dict[str, Any]:
    return dict(client.get("/ready").get_json())


def tiles(answer: dict[str, Any]) -> dict[str, list[Any]]:
    names = ("group_id", "price", "brand", "attributes", "image_id")
    return {result["product_id"]: [result[name] for name in names] for result in answer["results"]}


def scores(answer: dict[str, Any]) -> dict[str, Any]:
    """But for their last digits, which the order of additions gives."""
    return {result["product_id"]: pytest.approx(result["rank_score"], abs=1e-3) for result in answer["results"]}


@FUZZ
@given(history=HISTORY)
def test_a_base_with_a_delta_answers_as_a_build_made_anew(
    client: FlaskClient, searcher: Searcher, store: FolderStore, tmp_path: Path, shades: None, history: list[Any]
) -> None:
    seen = []
    for build_id, as_delta in (("shades", True), (f"anew{len(list(tmp_path.glob('anew*')))}", False)):
        items = edited(*history[-1])
        if as_delta:
            for step in history:
                delta = put_delta(store, tmp_path / "deltas", edited(*step), build_id)
                go_to(searcher, store, build_id, delta.delta_id)
        else:
            put_build(store, tmp_path / build_id, items, build_id=build_id, thumbnails=False)
            go_to(searcher, store, build_id)
        facets = ["brand", "price", "attributes.parity", "attributes.deep"]
        answers = [ask(client, k=50, facets=facets, explain=True, **question) for question in QUESTIONS]
        seen.append((answers, ready(client)))
    (laid, laid_ready), (anew, anew_ready) = seen
    assert (laid_ready["rows"], laid_ready["products"]) == (anew_ready["rows"], anew_ready["products"])
    for one, other in zip(laid, anew, strict=True):
        assert tiles(one) == tiles(other)
        assert {result["product_id"]: result["rank_score"] for result in one["results"]} == scores(other)
        assert one["facets"] == other["facets"]
        assert one["explain"]["rows_matched"] == other["explain"]["rows_matched"]


@FUZZ
@given(history=HISTORY, k=st.integers(1, 6))
def test_pages_over_changing_deltas_show_no_group_twice_and_nothing_deleted(
    client: FlaskClient, searcher: Searcher, store: FolderStore, tmp_path: Path, shades: None, history: list[Any], k: int
) -> None:  # fmt: skip
    states = [edited(*step) for step in (*history, *history)]
    go_to(searcher, store, "shades")
    answer = ask(client, text="red", k=k)
    shown = [(result["group_id"], result["product_id"]) for result in answer["results"]]
    lasting = {item.group_id or item.product_id for item in SHADES}
    page = 0
    while answer["cursor"] is not None:
        items = states[page % len(states)]
        delta = put_delta(store, tmp_path / "deltas", items, "shades")
        go_to(searcher, store, "shades", delta.delta_id)
        answer = ask(client, cursor=answer["cursor"])
        page_shows = [(result["group_id"], result["product_id"]) for result in answer["results"]]
        there = {(item.group_id or item.product_id, item.product_id) for item in items}
        assert set(page_shows) <= there
        shown += page_shows
        lasting &= {item.group_id or item.product_id for item in items}
        page += 1
    groups = [group for group, _ in shown]
    assert len(groups) == len(set(groups))
    assert lasting <= set(groups)
