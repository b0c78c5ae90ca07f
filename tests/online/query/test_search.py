"""POST /search over the tiny shop."""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from PIL import Image
from werkzeug.test import TestResponse

from online.query.composition import Mix, Query
from online.query.search import best_of_groups, nearest_rows
from online.searcher import Searcher
from retrieval.store.objects import FolderStore
from tests.online.tiny_shop import COLOURS, SHOP, Item, photo_of, point_at, put_build, vector_of


def ask_with_photo(client: FlaskClient, data: bytes, **fields: object) -> TestResponse:
    return client.post("/search", data={"image": (io.BytesIO(data), "photo.png"), **fields})


def found(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [result["product_id"] for result in answer.get_json()["results"]]


def test_a_photo_finds_the_product_that_looks_like_it(client: FlaskClient) -> None:
    assert found(ask_with_photo(client, photo_of(COLOURS["green"])))[0] == "sock-green"


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_a_photo_is_taken_in_any_format_by_its_content(client: FlaskClient, file_format: str) -> None:
    assert found(ask_with_photo(client, photo_of(COLOURS["yellow"], file_format)))[0] == "hat-yellow"


def test_words_find_the_product_that_they_name(client: FlaskClient) -> None:
    assert found(client.post("/search", json={"text": "a black coat"}))[0] == "coat-black"


def test_words_in_a_form_are_the_same_as_words_in_json(client: FlaskClient) -> None:
    assert found(client.post("/search", data={"text": "blue", "k": "2"})) == found(
        client.post("/search", json={"text": "blue", "k": 2})
    )


def test_variants_are_one_result_and_the_best_photo_stands_for_them(client: FlaskClient) -> None:
    results = client.post("/search", json={"text": "blue", "k": 100}).get_json()["results"]
    groups = [result["group_id"] for result in results]
    assert sorted(groups) == ["coat-black", "hat-yellow", "shirt", "sock-green"]
    assert results[0]["product_id"] == "shirt-blue"
    assert results[0]["score"] == pytest.approx(1.0, abs=1e-3)


def test_k_counts_groups(client: FlaskClient) -> None:
    assert found(client.post("/search", json={"text": "red", "k": 1})) == ["shirt-red"]


def test_scores_come_best_first(client: FlaskClient) -> None:
    results = client.post("/search", json={"text": "red"}).get_json()["results"]
    scores = [result["rank_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(results)


def test_more_like_this_leaves_out_the_products_own_variants(client: FlaskClient) -> None:
    products = found(client.post("/search", json={"product_id": "shirt-red", "k": 100}))
    assert sorted(products) == ["coat-black", "hat-yellow", "sock-green"]


def test_a_result_carries_what_a_tile_needs(client: FlaskClient) -> None:
    tile = client.post("/search", json={"text": "green", "k": 1}).get_json()["results"][0]
    assert tile == {
        "product_id": "sock-green", "group_id": "sock-green", "score": tile["score"], "rank_score": tile["rank_score"],
        "explain": None, "image_id": SHOP[3].image_id,
        "uri": f"/images/{SHOP[3].image_id}", "title": "Sock", "brand": None, "category": None, "colour": None,
        "price": None, "currency": None, "in_stock": None, "attributes": {"material": "wool"},
    }  # fmt: skip


def test_an_answer_says_what_gave_it(client: FlaskClient) -> None:
    body = client.post("/search", json={"text": "red"}, headers={"X-Request-ID": "trace-1"}).get_json()
    assert (body["generation"], body["build_id"], body["request_id"]) == (1, "b1", "trace-1")
    assert body["model_id"].startswith("mean-colour-")
    assert body["latency_ms"] > 0
    assert set(body["stages_ms"]) == {"encode", "search", "rank", "read"}


def test_an_unknown_product_is_not_found(client: FlaskClient) -> None:
    answer = client.post("/search", json={"product_id": "gone"})
    assert answer.status_code == 404
    assert answer.get_json()["type"] == "/problems/product-not-found"
    assert answer.get_json()["errors"][0]["field"] == "product_id"


def test_a_photo_that_is_none_is_refused_with_its_reason(client: FlaskClient) -> None:
    answer = ask_with_photo(client, b"<html>not a photo</html>")
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    assert (answer.get_json()["type"], answer.get_json()["reason"]) == ("/problems/photo-rejected", "not_an_image")


def test_a_photo_that_is_cut_short_is_refused_as_truncated(client: FlaskClient) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(noise).save(sink, "JPEG")
    assert ask_with_photo(client, sink.getvalue()[:1500]).get_json()["reason"] == "truncated"


def test_a_ribbon_of_a_photo_is_refused_before_it_is_scaled_up(client: FlaskClient) -> None:
    answer = ask_with_photo(client, photo_of(COLOURS["red"], size=(4000, 1)))
    assert answer.get_json()["reason"] == "extreme_aspect"


@pytest.mark.parametrize("size", [(50_000, 50_000), (4_001, 4_000)])
def test_a_png_with_too_many_pixels_is_refused_before_it_is_decoded(client: FlaskClient, size: tuple[int, int]) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b""))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")
    assert ask_with_photo(client, png).get_json()["reason"] == "too_many_pixels"


def test_a_searcher_without_an_index_says_when_to_try_again(app: OpenAPI) -> None:
    answer = app.test_client().post("/search", json={"text": "red"})
    assert answer.status_code == 503
    assert answer.get_json()["type"] == "/problems/not-ready"
    assert int(answer.headers["Retry-After"]) > 0


def test_k_groups_are_found_though_one_group_fills_all_candidates(
    client: FlaskClient, searcher: Searcher, store: FolderStore, tmp_path: Path
) -> None:
    """2,100 photos of one group are nearer than anything else: candidates widen until other groups come."""
    crowd = [Item(f"red-{number}", (220, 20, number % 20), "reds") for number in range(2_100)]
    put_build(store, tmp_path / "crowd", [*crowd, *SHOP], build_id="crowd", thumbnails=False)
    point_at(store, "crowd", 2)
    searcher.watcher.look()
    groups = [result["group_id"] for result in client.post("/search", json={"text": "red"}).get_json()["results"]]
    assert sorted(groups) == ["coat-black", "hat-yellow", "reds", "shirt", "sock-green"]


def test_a_query_is_answered_as_brute_force_would(searcher: Searcher) -> None:
    snapshot = searcher.snapshot()
    query = vector_of((90, 140, 60))
    found = nearest_rows(snapshot, Query(Mix.of("image", "photo", query[0]), np.empty(0, np.int32)), 4)
    chosen = best_of_groups(found.scores, found.scores, snapshot.catalog.columns.groups[found.rows])
    scores, rows = found.scores[chosen], found.rows[chosen]
    brute = np.vstack([vector_of(item.rgb) for item in SHOP]) @ query[0]
    best: dict[str, int] = {}
    for row in np.argsort(-brute, kind="stable"):
        best.setdefault(SHOP[row].group_id or SHOP[row].product_id, int(row))
    assert rows.tolist() == list(best.values())
    assert scores == pytest.approx(brute[rows], abs=1e-3)


@pytest.mark.parametrize(
    ("filters", "groups"),
    [
        ({"category": {"equals": "hats"}}, ["hat-yellow"]),
        ({"price": {"max": 20}}, ["shirt"]),
        ({"attributes": {"material": {"equals": "wool"}}}, ["sock-green"]),
        ({"in_stock": True}, []),
        ({"category": {"not": {"equals": "hats"}}}, ["shirt", "coat-black", "sock-green"]),
    ],
)
def test_only_products_that_pass_the_filters_are_found(
    client: FlaskClient, filters: dict[str, object], groups: list[str]
) -> None:
    asked = {"text": "red", "k": 50, "filters": filters}
    results = client.post("/search", json=asked).get_json()["results"]
    assert sorted(result["group_id"] for result in results) == sorted(groups)
    form = {**asked, "filters": json.dumps(filters)}
    assert client.post("/search", data=form).get_json()["results"] == results


def test_an_attribute_without_a_value_is_not_shown(
    client: FlaskClient, store: FolderStore, searcher: Searcher, tmp_path: Path
) -> None:
    put_build(
        store,
        tmp_path,
        [Item("sock", COLOURS["green"], None, {"attributes": {"size": None, "material": "wool"}})],
        build_id="b2",
    )
    point_at(store, "b2", generation=2)
    searcher.watcher.look()
    question = {"text": "green wool", "facets": ["attributes"]}
    answer = client.post("/search", json=question).get_json()
    assert answer["results"][0]["attributes"] == {"material": "wool"}
    assert [facet["field"] for facet in answer["facets"]] == ["attributes.material"]


def test_a_product_is_named_as_the_shop_writes_it(client: FlaskClient) -> None:
    """Text columns of fixed width come with blanks, which ingest takes off."""
    plain = client.post("/search", json={"product_id": "sock-green"})
    assert found(client.post("/search", json={"product_id": "sock-green   "})) == found(plain)
