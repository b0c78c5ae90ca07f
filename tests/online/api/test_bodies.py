"""Bodies that are cut off, say a thing twice, or hold more than any question does."""

import io
import json
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from online.api.bodies import ERRORS_MAX, VALUES_MAX
from online.searcher import Searcher

FORM = "application/x-www-form-urlencoded"
CLICK = {"request_id": "1", "position": "0", "product_id": "shirt-red"}


def post_cut_off(client: FlaskClient, path: str, body: bytes, kind: str, left_out: int) -> TestResponse:
    """As gunicorn hands it on where a client announces all of a body, and goes away before its last bytes."""
    return post_stream(client, path, io.BytesIO(body[:-left_out]), kind, len(body))


def post_stream(client: FlaskClient, path: str, stream: io.BytesIO, kind: str, announced: int) -> TestResponse:
    builder = EnvironBuilder(path=path, method="POST", content_type=kind, input_stream=stream)
    environ = {**builder.get_environ(), "CONTENT_LENGTH": str(announced), "wsgi.input_terminated": True}
    return TestResponse(*run_wsgi_app(client.application, environ), builder.get_request())


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/search", FORM, urlencode({"text": "red hat"})),
        ("/click", FORM, urlencode(CLICK)),
        ("/search", "application/json", json.dumps({"text": "red"}) + "    "),
        ("/search", "multipart/form-data; boundary=x", '--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nred\r\n--x--'),
    ],
)  # fmt: skip
def test_what_came_of_a_body_that_was_cut_off_is_not_taken_for_all_of_it(
    client: FlaskClient, searcher: Searcher, path: str, kind: str, body: str
) -> None:
    answer = post_cut_off(client, path, body.encode(), kind, left_out=4)
    assert (answer.status_code, answer.get_json()["type"]) == (400, "/problems/bad-request")
    assert list(searcher.config.spool_folder.glob("*")) == []


@pytest.mark.parametrize("kind", ["application/json", FORM, "multipart/form-data; boundary=x"])
def test_a_client_that_falls_silent_is_told_so_and_its_connection_ends(client: FlaskClient, kind: str) -> None:
    class Silent(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise ConnectionResetError("the client fell silent")

        readinto = read  # type: ignore[assignment]

    answer = post_stream(client, "/search", Silent(), kind, announced=500)
    assert (answer.status_code, answer.get_json()["type"]) == (400, "/problems/bad-request")
    assert "fell silent" in answer.get_json()["detail"]
    assert answer.headers["Connection"] == "close"


def test_a_name_that_json_has_twice_is_named(client: FlaskClient) -> None:
    answer = client.post("/search", data='{"text": "red", "k": 1, "k": 2}', content_type="application/json")
    assert (answer.status_code, answer.get_json()["errors"]) == (
        422,
        [{"field": "k", "message": "given more than once"}],
    )
    half_of_a_pair = client.post("/search", data=r'{"\ud800": 1, "\ud800": 2}', content_type="application/json")
    assert (half_of_a_pair.status_code, half_of_a_pair.get_json()["errors"][0]["field"]) == (422, "?")


@pytest.mark.parametrize(
    ("question", "field"),
    [('"k": %s', "k"), ('"k": -%s', "k"), ('"filters": {"price": {"in": [%s]}}', "filters.price.in.0")],
)
def test_a_number_of_thousands_of_digits_is_named(client: FlaskClient, question: str, field: str) -> None:
    answer = client.post(
        "/search", data='{"text": "red", ' + question % ("9" * 5_000) + "}", content_type="application/json"
    )
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, field)


def test_a_filter_that_a_form_has_twice_in_one_object_is_named(client: FlaskClient) -> None:
    filters = '{"price": {"min": 10}, "price": {"max": 50}}'
    answer = client.post("/search", data={"text": "red", "filters": filters})
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "filters.price")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{" + ",".join(f'"{number:x}":1' for number in range(VALUES_MAX + 1)) + "}", "body"),
        (json.dumps({"text": "red", "liked": [1] * VALUES_MAX}), "body"),
    ],
)
def test_more_values_than_any_question_has_are_refused_in_a_line(client: FlaskClient, body: str, field: str) -> None:
    """Each was an error to be told: two megabytes of them became nineteen of answer, and 600 of memory."""
    answer = client.post("/search", data=body, content_type="application/json")
    assert (answer.status_code, [error["field"] for error in answer.get_json()["errors"]]) == (422, [field])
    assert len(answer.data) < 1_000


def test_more_values_in_a_part_of_a_form_are_refused_too(client: FlaskClient) -> None:
    answer = client.post("/search", data={"text": "red", "filters": "[" + "1," * VALUES_MAX + "1]"})
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "filters")


def test_of_many_wrong_fields_a_hundred_are_told(client: FlaskClient) -> None:
    answer = client.post("/search", json={f"a{number}": 1 for number in range(1_000)})
    assert (answer.status_code, len(answer.get_json()["errors"])) == (422, ERRORS_MAX)
    assert answer.get_json()["detail"].endswith("; and 995 more")


def test_a_link_encoded_form_may_have_as_many_fields_as_another(client: FlaskClient) -> None:
    assert client.post("/search", data="text=red" + "&k=" * 999, content_type=FORM).status_code == 422
    too_many = client.post("/search", data="text=red" + "&k=" * 1_000, content_type=FORM)
    assert (too_many.status_code, "fewer fields" in too_many.get_json()["detail"]) == (413, True)


def test_a_question_as_long_as_its_lists_may_be_is_answered(client: FlaskClient) -> None:
    words = [f"{number}" for number in range(100)]
    attributes = {f"a{number}": {"in": words, "not": {"in": words}} for number in range(20)}
    asked = {"text": "red", "liked": ["shirt-red"] * 50, "filters": {"attributes": attributes}}
    assert client.post("/search", json=asked).status_code == 200
