"""Pages: no product twice, none left out, and cursors that cannot be changed or outlive their index."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from online.app import create_app
from online.config import SearcherConfig
from online.query.composition import Mix, Query
from online.query.cursors import KEY_FILE, Cursors
from online.searcher import Searcher
from retrieval.store.objects import FolderStore
from schemas.api.requests import SearchRequest
from tests.online.tiny_shop import SHOP, Item, MeanColourEncoder, point_at, put_build

Publish = Callable[..., None]
SHADES = [
    Item(
        f"p{number}",
        (220 - number, 3 * number, number),
        f"g{number // 2}",
        {"price": float(number), "brand": "ab"[number % 2]},
    )
    for number in range(60)
]


@pytest.fixture
def publish(searcher: Searcher, store: FolderStore, tmp_path: Path) -> Publish:
    def swap(build_id: str = "shades", generation: int = 2, items: list[Item] = SHADES) -> None:
        if store.get(f"builds/{build_id}/manifest.json") is None:
            put_build(store, tmp_path / f"next-{generation}", items, build_id=build_id, thumbnails=False)
        point_at(store, build_id, generation)
        searcher.watcher.look()
        assert searcher.snapshot().pointer.generation == generation

    return swap


def ask(client: FlaskClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def all_pages(client: FlaskClient, **body: Any) -> list[list[str]]:
    """The groups of each page."""
    pages = []
    answer = ask(client, **body)
    while True:
        pages.append([result["group_id"] for result in answer["results"]])
        if answer["cursor"] is None:
            return pages
        answer = ask(client, cursor=answer["cursor"])


def together(pages: list[list[str]]) -> list[str]:
    return list(chain.from_iterable(pages))


def test_pages_show_every_group_once_and_the_last_has_no_cursor(client: FlaskClient, publish: Publish) -> None:
    publish()
    pages = all_pages(client, text="red", k=7)
    assert [len(page) for page in pages] == [7, 7, 7, 7, 2]
    assert sorted(together(pages)) == sorted({f"g{number}" for number in range(30)})


def test_pages_together_are_the_one_long_page(client: FlaskClient, publish: Publish) -> None:
    publish()
    pages = all_pages(client, text="red", k=6, rank={"price": 0.3})
    assert together(pages) == all_pages(client, text="red", k=30, rank={"price": 0.3})[0]


def test_a_page_that_ends_with_the_last_group_is_the_last(client: FlaskClient, publish: Publish) -> None:
    publish()
    assert ask(client, text="red", k=30)["cursor"] is None
    assert ask(client, text="red", k=29)["cursor"] is not None


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    k=st.integers(1, 40), diversity=st.sampled_from([0, 0.5, 1]), brand=st.sampled_from([None, "a", "b"]),
    query=st.sampled_from([{"text": "blue"}, {"product_id": "p7"}, {"liked": ["p1", "p2"], "text": "red"}]),
)  # fmt: skip
def test_no_group_comes_twice_and_none_is_missed(
    client: FlaskClient, publish: Publish, k: int, diversity: float, brand: str | None, query: dict[str, Any]
) -> None:
    publish()
    filters = {"filters": {"brand": {"equals": brand}}} if brand else {}
    shown = together(all_pages(client, k=k, diversity=diversity, **query, **filters))
    left_out = {"g3"} if "product_id" in query else set()
    assert len(shown) == len(set(shown))
    assert set(shown) == {item.group_id for item in SHADES} - left_out


def test_the_next_page_keeps_filters_weights_and_the_least_score(client: FlaskClient, publish: Publish) -> None:
    publish()
    asked = {
        "text": "red", "negative_text": "blue", "rank": {"price": 2, "visual": 0.1}, "min_score": 0.9, "diversity": 0.2,
        "filters": {"brand": {"not": {"equals": "a"}}, "price": {"max": 40}},
    }  # fmt: skip
    first = ask(client, k=5, explain=True, **asked)
    second = ask(client, cursor=first["cursor"], explain=True)
    assert len(second["results"]) == 5
    for result in second["results"]:
        assert result["brand"] == "b"
        assert result["price"] <= 40
        assert result["score"] >= 0.9
    for name in ("weights", "query", "rows_matched"):
        assert second["explain"][name] == first["explain"][name]
    assert second["explain"]["weights"]["price"] == 2


def test_the_next_page_may_be_of_another_length(client: FlaskClient, publish: Publish) -> None:
    publish()
    cursor = ask(client, text="red", k=5)["cursor"]
    assert len(ask(client, cursor=cursor)["results"]) == 5
    assert len(ask(client, cursor=cursor, k=9)["results"]) == 9
    form = client.post("/search", data={"cursor": cursor, "k": "9", "facets": ["brand"], "user_id": "ann"}).get_json()
    assert len(form["results"]) == 9
    assert form["facets"][0]["field"] == "brand"


def test_facets_of_a_later_page_count_what_was_not_shown_yet(client: FlaskClient, publish: Publish) -> None:
    publish()
    cursor = ask(client, text="red", k=12)["cursor"]
    facet = ask(client, cursor=cursor, facets=["brand"])["facets"][0]
    assert facet["exact"]
    assert [value["count"] for value in facet["values"]] == [18, 18]


def test_whether_anything_is_near_is_said_on_the_first_page_only(client: FlaskClient, publish: Publish) -> None:
    publish()
    cursor = ask(client, text="red", k=5)["cursor"]
    assert ask(client, cursor=cursor)["no_good_match"] is None


@pytest.mark.parametrize(
    "extra", [{"text": "red"}, {"product_id": "p1"}, {"filters": {}}, {"diversity": 0.5}, {"image_base64": "aGk="}]
)
def test_what_a_cursor_brings_is_not_given_beside_it(
    client: FlaskClient, publish: Publish, extra: dict[str, Any]
) -> None:
    publish()
    cursor = ask(client, text="red", k=5)["cursor"]
    answer = client.post("/search", json={"cursor": cursor, **extra})
    assert answer.status_code == 422
    assert set(extra) <= {error["field"] for error in answer.get_json()["errors"]}


def test_a_default_beside_a_cursor_says_nothing(client: FlaskClient, publish: Publish) -> None:
    publish()
    first = ask(client, text="red", k=5, diversity=0.5)
    said = {"image_weight": 0.7, "diversity": 0, "explain": False, "text": None, "k": 5}
    assert ask(client, cursor=first["cursor"], **said)["results"] == ask(client, cursor=first["cursor"])["results"]


def changed(cursor: str, place: int) -> str:
    """With one letter another."""
    place %= len(cursor)
    return cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000))
def test_a_changed_cursor_is_refused(client: FlaskClient, place: int) -> None:
    cursor = ask(client, text="red", k=1)["cursor"]
    if place % len(cursor) == len(cursor) - 1:
        return  # the last letter of base64 has bits that mean nothing
    answer = client.post("/search", json={"cursor": changed(cursor, place)})
    assert (answer.status_code, answer.get_json()["type"]) == (400, "/problems/bad-cursor")
    assert answer.get_json()["errors"][0]["field"] == "cursor"


@pytest.mark.parametrize(
    "cursor", ["x", ".", "a.b", "." * 1000, URLSafeSerializer("mine", salt="shoplens.cursor").dumps({})]
)
def test_a_cursor_of_someone_else_is_refused(client: FlaskClient, cursor: str) -> None:
    answer = client.post("/search", json={"cursor": cursor})
    assert (answer.status_code, answer.get_json()["type"]) == (400, "/problems/bad-cursor")


def test_a_cursor_survives_a_new_generation_on_the_same_base(client: FlaskClient, publish: Publish) -> None:
    publish()
    first = ask(client, text="red", k=5)
    publish(generation=3)
    second = ask(client, cursor=first["cursor"])
    assert second["generation"] == 3
    assert not {result["group_id"] for result in first["results"]} & {
        result["group_id"] for result in second["results"]
    }


def test_a_cursor_is_gone_with_its_base(client: FlaskClient, publish: Publish) -> None:
    publish()
    cursor = ask(client, text="red", k=5)["cursor"]
    publish("another", 3, list(SHOP))
    answer = client.post("/search", json={"cursor": cursor})
    assert (answer.status_code, answer.get_json()["type"]) == (410, "/problems/cursor-expired")


def test_workers_of_one_host_read_one_anothers_cursors(
    client: FlaskClient, config: SearcherConfig, store: FolderStore
) -> None:
    cursor = ask(client, text="red", k=1)["cursor"]
    other = create_app(config, lambda folder: MeanColourEncoder(), watch=False)
    other.extensions["searcher"].watcher.look()
    assert len(ask(other.test_client(), cursor=cursor)["results"]) == 1
    key = config.cache_folder / KEY_FILE
    assert key.stat().st_mode & 0o077 == 0
    assert [path.name for path in config.cache_folder.glob(f".{KEY_FILE}*")] == []


def test_hosts_that_are_given_one_key_read_one_anothers_cursors(
    client: FlaskClient, config: SearcherConfig, tmp_path: Path
) -> None:
    def cursor_of(config: SearcherConfig) -> tuple[str, FlaskClient]:
        app = create_app(config, lambda folder: MeanColourEncoder(), watch=False)
        app.extensions["searcher"].watcher.look()
        return ask(app.test_client(), text="red", k=1)["cursor"], app.test_client()

    one, _ = cursor_of(replace(config, cache_folder=tmp_path / "one", cursor_key=b"shared"))
    _, two = cursor_of(replace(config, cache_folder=tmp_path / "two", cursor_key=b"shared"))
    _, stranger = cursor_of(replace(config, cache_folder=tmp_path / "three"))
    assert two.post("/search", json={"cursor": one}).status_code == 200
    assert stranger.post("/search", json={"cursor": one}).status_code == 400


def test_the_key_comes_from_the_environment() -> None:
    environ = {"SHOPLENS_STORE": "s", "SHOPLENS_CACHE": "c", "SHOPLENS_CURSOR_KEY": "a secret of a shop"}
    assert SearcherConfig.from_env(environ).cursor_key == b"a secret of a shop"


def test_a_cursor_that_would_be_endless_is_not_given(searcher: Searcher, tmp_path: Path) -> None:
    cursors = Cursors(b"key", tmp_path)
    query = Query(Mix.of("text", "text", np.ones(4, np.float32)), np.arange(4_990, dtype=np.int32))
    fields = SearchRequest.model_validate({"text": "red"})
    catalog = searcher.snapshot().catalog
    many_groups = replace(catalog, columns=replace(catalog.columns, group_count=6_000))
    snapshot = replace(searcher.snapshot(), catalog=many_groups)
    assert cursors.write(snapshot, query, fields, np.arange(5_000, 5_020, dtype=np.int32)) is None
    longest = cursors.write(snapshot, query, fields, np.arange(5_000, 5_010, dtype=np.int32))
    assert longest is not None
    assert len(longest) < 100_000


def test_a_cursor_that_would_not_be_taken_is_not_given(client: FlaskClient) -> None:
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz"), (600, 256))
    names = ["".join(name) for name in letters]
    others = {f"{part}": {"not": {"in": names[100 * part : 100 * part + 100]}} for part in range(6)}
    assert ask(client, text="red", k=1, filters={"attributes": others})["cursor"] is None
    assert ask(client, text="red", k=1, filters={"attributes": {"0": others["0"]}})["cursor"] is not None


@pytest.mark.parametrize("key", [b"", b"short"])
def test_nothing_is_signed_with_a_key_that_was_cut_short(
    client: FlaskClient, config: SearcherConfig, key: bytes
) -> None:
    (config.cache_folder / KEY_FILE).write_bytes(key)
    assert ask(client, text="red", k=1)["cursor"] is None


def test_a_host_that_cannot_keep_a_key_has_written_no_cursor(client: FlaskClient, config: SearcherConfig) -> None:
    (config.cache_folder / KEY_FILE).mkdir()
    answer = client.post("/search", json={"cursor": "a.b"})
    assert (answer.status_code, answer.get_json()["type"]) == (400, "/problems/bad-cursor")


def test_a_cursor_holds_no_user_and_no_photo(client: FlaskClient, searcher: Searcher) -> None:
    cursor = ask(client, text="red", k=1, user_id="ann@example.com")["cursor"]
    query, fields = searcher.cursors.read(searcher.snapshot(), SearchRequest.model_validate({"cursor": cursor}))
    assert fields.user_id is None
    assert query.words == "red"
    assert query.unit_vector @ np.eye(4, dtype=np.float32)[0] > 0
