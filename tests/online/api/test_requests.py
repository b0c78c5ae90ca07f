"""What the parsers take and refuse: every wrong field is named, and nothing is a server error."""

import base64
import gzip
import io
import json
import math
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from online.api.problems import PROBLEM_TYPES
from schemas.api.requests import ClickRequest, SearchRequest
from tests.online.tiny_shop import COLOURS, photo_of

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
FIELD = st.sampled_from(
    [
        *SearchRequest.model_fields, *ClickRequest.model_fields, "image", "negative_image", "other",
    ]
)  # fmt: skip
RED = base64.b64encode(photo_of(COLOURS["red"])).decode()
HAMMER = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fields_of(answer: object) -> list[str]:
    return [error["field"] for error in answer.get_json()["errors"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": "red", "k": 0}, "k"),
        ({"text": "red", "k": 101}, "k"),
        ({"text": "red", "k": "5"}, "k"),
        ({"text": "red", "k": True}, "k"),
        ({"text": "red", "k": 1.5}, "k"),
        ({"text": ""}, "text"),
        ({"text": "x" * 501}, "text"),
        ({"text": ["red"]}, "text"),
        ({"product_id": 7}, "product_id"),
        ({"product_id": "x" * 257}, "product_id"),
        ({"text": "red", "colour": "red"}, "colour"),
        ({"text": "red", "user_id": ""}, "user_id"),
        ({"text": "\ud800"}, "text"),
        ({"text": "red", "filters": []}, "filters"),
        ({"text": "red", "filters": {"shape": {"equals": "x"}}}, "filters.shape"),
        ({"text": "red", "filters": {"category": {"in": []}}}, "filters.category.in"),
        ({"text": "red", "filters": {"price": {"min": math.nan}}}, "filters.price.min"),
    ],
)
def test_a_wrong_field_is_named(client: FlaskClient, body: dict[str, object], field: str) -> None:
    answer = client.post("/search", data=json.dumps(body), content_type="application/json")
    assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/invalid-fields")
    assert fields_of(answer) == [field]
    assert field in answer.get_json()["detail"]


@pytest.mark.parametrize("body", ['{"text": ', "[]", "7", "null", "", "[" * 100_000, b"\xff\xfe{"])
def test_a_body_that_is_no_json_object_is_a_bad_request(client: FlaskClient, body: str | bytes) -> None:
    answer = client.post("/search", data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json()["type"]) == (400, "/problems/bad-json")


@pytest.mark.parametrize(
    "body",
    [{}, {"k": 3}, {"negative_text": "red"}, {"disliked": ["shirt-red"]}, {"user_id": "ann"}, {"filters": {}}],
)
def test_something_must_say_what_to_find(client: FlaskClient, body: dict[str, object]) -> None:
    answer = client.post("/search", json=body)
    assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/no-query")
    assert fields_of(answer) == ["image", "image_base64", "text", "product_id", "liked"]


def test_a_file_field_left_empty_counts_as_not_sent(client: FlaskClient) -> None:
    answer = client.post("/search", data={"image": (io.BytesIO(b""), ""), "text": "red"})
    assert answer.status_code == 200


def test_six_photos_are_one_too_many(client: FlaskClient) -> None:
    photos = [(io.BytesIO(photo_of(COLOURS["red"])), f"{number}.png") for number in range(5)]
    assert client.post("/search", data={"image": photos}).status_code == 200
    photos = [(io.BytesIO(photo_of(COLOURS["red"])), f"{number}.png") for number in range(6)]
    answer = client.post("/search", data={"image": photos})
    assert (answer.status_code, fields_of(answer)) == (422, ["image"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"image_base64": "no base64!"}, "image_base64.0"),
        ({"image_base64": [RED, "%%%"]}, "image_base64.1"),
        ({"image_base64": [RED] * 6}, "image_base64"),
        ({"image_base64": []}, "image_base64"),
        ({"image_base64": [7]}, "image_base64.0"),
        ({"image_base64": RED, "image_weights": [1, 2]}, "image_weights"),
        ({"image_base64": RED, "image_weights": [math.nan]}, "image_weights.0"),
        ({"image_base64": RED, "image_weights": [0]}, "image_weights.0"),
        ({"text": "red", "image_weights": [1]}, "image_weights"),
        ({"text": "red", "bbox": "0,0,1,1"}, "bbox"),
        ({"image_base64": [RED, RED], "bbox": "0,0,1,1"}, "bbox"),
        ({"image_base64": RED, "bbox": "0,0,1"}, "bbox"),
        ({"image_base64": RED, "bbox": "a,b,c,d"}, "bbox"),
        ({"image_base64": RED, "bbox": "nan,0,1,1"}, "bbox"),
        ({"image_base64": RED, "bbox": "-1,0,1,1"}, "bbox"),
        ({"image_base64": RED, "bbox": "5,0,5,9"}, "bbox"),
        ({"image_base64": RED, "bbox": "0,0,64,50"}, "bbox"),
        ({"image_base64": RED, "bbox": [0, 0, 1, 1]}, "bbox"),
        ({"image_base64": RED, "text": "red", "image_weight": math.nan}, "image_weight"),
        ({"image_base64": RED, "text": "red", "image_weight": 1.1}, "image_weight"),
        ({"text": "red", "negative_image_base64": "?"}, "negative_image_base64.0"),
        ({"liked": []}, "liked"),
        ({"liked": "shirt-red"}, "liked"),
        ({"liked": ["x"] * 51}, "liked"),
        ({"text": "red", "disliked": [""]}, "disliked.0"),
        ({"text": "red", "image_url": "http://x"}, "image_url"),
    ],
)
def test_a_wrong_part_of_the_query_is_named(client: FlaskClient, body: dict[str, object], field: str) -> None:
    answer = client.post("/search", data=json.dumps(body), content_type="application/json")
    assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/invalid-fields")
    assert fields_of(answer) == [field]


def test_a_photo_sent_as_text_is_told_to_be_a_file(client: FlaskClient) -> None:
    assert fields_of(client.post("/search", data={"image": "aGVsbG8="})) == ["image"]


def test_a_field_given_twice_is_named(client: FlaskClient) -> None:
    assert fields_of(client.post("/search", data={"text": "red", "k": ["1", "2"]})) == ["k"]


@pytest.mark.parametrize("first", ["", " "])
def test_a_list_of_a_form_whose_first_field_was_left_empty_is_read(client: FlaskClient, first: str) -> None:
    form = {"liked": [first, "sock-green"], "facets": [first, "brand"]}
    answer = client.post("/search", data=form)
    assert answer.status_code == 200, answer.text
    assert [facet["field"] for facet in answer.get_json()["facets"]] == ["brand"]


@pytest.mark.parametrize("filename", ["", '; filename="photo.png"'])
@pytest.mark.parametrize("path", ["/search", "/click"])
def test_a_part_of_a_form_without_a_name_is_refused(client: FlaskClient, path: str, filename: str) -> None:
    part = f"--x\r\nContent-Disposition: form-data{filename}\r\n\r\nred\r\n"
    answer = client.post(path, data=f"{part}{part}--x--\r\n", content_type="multipart/form-data; boundary=x")
    assert (answer.status_code, fields_of(answer)) == (422, ["body"])


PART = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nred\r\n'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", PART + b"--x--\r\n"),
        ("multipart/form-data; boundary=another", PART + b"--x--\r\n"),
        ("multipart/form-data; boundary=x", PART),
        ("multipart/form-data; boundary=x", PART[:-5]),
        ("multipart/form-data; boundary=x", PART.replace(b"form-data", b'form-data; filename="\xe9"') + b"--x--\r\n"),
    ],
    ids=["no boundary", "another boundary", "no end", "cut", "a name in Latin-1"],
)
@pytest.mark.parametrize("path", ["/search", "/click"])
def test_a_form_that_cannot_be_read_is_not_taken_for_an_empty_one(
    client: FlaskClient, path: str, kind: str, body: bytes
) -> None:
    answer = client.post(path, data=body, content_type=kind)
    assert (answer.status_code, answer.get_json()["type"]) == (400, "/problems/bad-request")
    assert "the form cannot be read" in answer.get_json()["detail"]


FILTERED = (
    PART + PART.replace(b'"text"', b'"filters"').replace(b"red", b'{"colour": {"equals": "gr%bn"}}') + b"--x--\r\n"
)


def test_a_form_in_another_encoding_does_not_ask_for_something_else(client: FlaskClient) -> None:
    def ask(umlaut: bytes) -> TestResponse:
        return client.post("/search", data=FILTERED % umlaut, content_type="multipart/form-data; boundary=x")

    assert ask("ü".encode()).status_code == 200
    in_latin_1 = ask("ü".encode("latin-1"))
    assert (in_latin_1.status_code, fields_of(in_latin_1)) == (422, ["filters"])


def test_a_link_encoded_form_in_another_encoding_does_not_ask_for_something_else(client: FlaskClient) -> None:
    def ask(encoding: str) -> TestResponse:
        form = urlencode({"text": "red", "filters": '{"colour": {"equals": "grün"}}'}, encoding=encoding)
        return client.post("/search", data=form, content_type="application/x-www-form-urlencoded")

    assert ask("utf-8").status_code == 200
    in_latin_1 = ask("latin-1")
    assert (in_latin_1.status_code, in_latin_1.get_json()["type"]) == (400, "/problems/bad-request")
    assert "in UTF-8" in in_latin_1.get_json()["detail"]


@pytest.mark.parametrize("path", ["/search", "/click"])
def test_json_that_is_called_a_form_is_told_its_type(client: FlaskClient, path: str) -> None:
    answer = client.post(path, data=' {"text": "red"}', content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.get_json()["type"]) == (415, "/problems/unsupported-media-type")
    assert "the body is JSON" in answer.get_json()["detail"]


def test_json_of_a_form_may_come_as_a_file(client: FlaskClient) -> None:
    """As FormData sends a Blob that says its type."""

    def ask(filters: bytes) -> TestResponse:
        part = (io.BytesIO(filters), "blob", "application/json")
        return client.post("/search", data={"text": "red", "filters": part})

    assert [tile["product_id"] for tile in ask(b'{"category": {"equals": "hats"}}').get_json()["results"]] == [
        "hat-yellow"
    ]
    assert fields_of(ask(b'{"shape": 1}')) == ["filters.shape"]
    assert fields_of(ask(b"\xff")) == ["filters"]
    assert ask(b'\xef\xbb\xbf{"in_stock": true}').status_code == 200, (
        "as editors of Windows write it, and as a body may be"
    )


@pytest.mark.parametrize(("k", "status"), [(2.0, 200), (1e2, 200), (2.5, 422), (1e300, 422)])
def test_a_whole_number_is_one_however_json_writes_it(client: FlaskClient, k: float, status: int) -> None:
    assert client.post("/search", json={"text": "red", "k": k}).status_code == status


def test_a_photo_whose_filename_is_empty_is_a_photo(client: FlaskClient) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename=""\r\n\r\n%b\r\n--x--\r\n'
    body = part % photo_of(COLOURS["green"])
    answer = client.post("/search", data=body, content_type="multipart/form-data; boundary=x")
    assert answer.get_json()["results"][0]["product_id"] == "sock-green", answer.text


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ("{", "filters"),
        ("[1]", "filters"),
        ("[" * 10_000, "filters"),
        ('{"price": {"min": "5"}}', "filters.price.min"),
        ('{"price": {"min": NaN}}', "filters.price.min"),
        ('{"in_stock": "yes"}', "filters.in_stock"),
    ],
)
def test_a_wrong_filter_in_a_form_is_named(client: FlaskClient, filters: str, field: str) -> None:
    answer = client.post("/search", data={"text": "red", "filters": filters})
    assert (answer.status_code, fields_of(answer)) == (422, [field])


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/xml", "image/jpeg"])
def test_another_type_of_body_is_unsupported(client: FlaskClient, content_type: str) -> None:
    answer = client.post("/search", data=b"red", content_type=content_type)
    assert (answer.status_code, answer.get_json()["type"]) == (415, "/problems/unsupported-media-type")


@pytest.mark.parametrize("path", ["/search", "/click"])
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_a_compressed_body_is_not_taken_for_a_damaged_one(client: FlaskClient, path: str, kind: str) -> None:
    body, headers = gzip.compress(b'{"text": "red"}'), {"Content-Encoding": "gzip"}
    answer = client.post(path, data=body, content_type=kind, headers=headers)
    assert (answer.status_code, answer.get_json()["type"]) == (415, "/problems/unsupported-media-type")
    assert "uncompressed" in answer.get_json()["detail"]


def test_a_body_over_the_limit_is_refused_without_reading_it(client: FlaskClient) -> None:
    class Unreadable(io.RawIOBase):
        def readinto(self, buffer: object) -> int:
            raise AssertionError("the body was read")

    environ = EnvironBuilder("/search", method="POST", content_type="application/json", data=b"{}").get_environ()
    environ |= {"CONTENT_LENGTH": "200001", "wsgi.input": Unreadable()}
    body, status, headers = run_wsgi_app(client.application, environ)
    assert status.startswith("413")
    assert json.loads(b"".join(body))["type"] == "/problems/body-too-large"
    assert headers["Connection"] == "close"


def test_a_body_of_unknown_length_is_refused_once_it_is_over_the_limit(client: FlaskClient) -> None:
    answer = client.post(
        "/search",
        input_stream=io.BytesIO(b'{"text": "' + b"x" * 300_000),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 413


@HAMMER
@given(body=st.dictionaries(FIELD, ANY_JSON, max_size=5) | ANY_JSON, path=st.sampled_from(["/search", "/click"]))
def test_no_json_is_a_server_error(client: FlaskClient, body: object, path: str) -> None:
    answer = client.post(path, data=json.dumps(body), content_type="application/json")
    assert answer.status_code < 500


@HAMMER
@given(body=st.binary(max_size=300), path=st.sampled_from(["/search", "/click"]), kind=st.sampled_from(
    ["application/json", "multipart/form-data; boundary=x", "multipart/form-data", "application/x-www-form-urlencoded"]
))  # fmt: skip
def test_no_bytes_are_a_server_error(client: FlaskClient, body: bytes, path: str, kind: str) -> None:
    answer = client.post(path, data=body, content_type=kind)
    assert 400 <= answer.status_code < 500
    assert answer.get_json()["type"].removeprefix("/problems/") in PROBLEM_TYPES


@HAMMER
@given(fields=st.dictionaries(FIELD, st.text(max_size=40), max_size=5), photo=st.none() | st.binary(max_size=64))
def test_no_form_is_a_server_error(client: FlaskClient, fields: dict[str, str], photo: bytes | None) -> None:
    data: dict[str, object] = dict(fields)
    if photo is not None:
        data["image"] = (io.BytesIO(photo), "photo.jpg")
    assert client.post("/search", data=data, content_type="multipart/form-data").status_code < 500


@HAMMER
@given(start=st.integers(0, 400), flip=st.binary(min_size=1, max_size=8))
def test_no_damaged_photo_is_a_server_error(client: FlaskClient, start: int, flip: bytes) -> None:
    photo = bytearray(photo_of(COLOURS["red"], "JPEG"))
    photo[start : start + len(flip)] = flip
    answer = client.post("/search", data={"image": (io.BytesIO(bytes(photo)), "photo.jpg")})
    assert answer.status_code in (200, 422)
