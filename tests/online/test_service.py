"""The rest of the API: photos, state, pages, problems, the document, metrics, request ids."""

import io
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from werkzeug.test import TestResponse

from online.api.problems import PROBLEM_TYPES
from online.searcher import Searcher
from online.telemetry.logs import configure_logging
from tests.online.running import ROOT
from tests.online.tiny_shop import SHOP

STATIC = ROOT / "online" / "static"
IMAGE = f"/images/{SHOP[0].image_id}"


def test_a_results_photo_is_served_for_ever(client: FlaskClient) -> None:
    answer = client.get(IMAGE)
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    assert answer.data.startswith(b"\xff\xd8")
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["ETag"] == f'"{SHOP[0].image_id}"'


def test_a_photo_that_the_browser_has_is_not_sent_again(client: FlaskClient) -> None:
    for known in (f'"{SHOP[0].image_id}"', f'W/"{SHOP[0].image_id}"', f'"x", "{SHOP[0].image_id}"'):
        answer = client.get(IMAGE, headers={"If-None-Match": known})
        assert (answer.status_code, answer.data) == (304, b"")


def test_a_photo_that_is_not_there_is_not_found_whatever_the_browser_has(client: FlaskClient) -> None:
    assert client.get(f"/images/{'0' * 64}", headers={"If-None-Match": "*"}).status_code == 404


@pytest.mark.parametrize(
    "image_id",
    ["0" * 64, "0" * 63, "../../CURRENT", "..%2F..%2FCURRENT", "%2e%2e/CURRENT", "A" * 64, "0" * 64 + ".jpg", "0" * 64 + "%0a"],
)  # fmt: skip
def test_no_other_path_leads_to_a_file(client: FlaskClient, image_id: str) -> None:
    answer = client.get(f"/images/{image_id}")
    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"


def test_ready_names_what_is_served(client: FlaskClient) -> None:
    body = client.get("/ready").get_json()
    assert (body["status"], body["generation"], body["build_id"], body["rows"]) == ("ready", 1, "b1", 6)


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_a_page_asks_nothing_of_other_hosts(client: FlaskClient, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in answer.headers["Content-Security-Policy"]
    assets = re.findall(r'(?:href|src|data-document)="([^"#]+)"', answer.text)
    assert len(assets) >= 3
    for asset in set(assets):
        assert asset.startswith("/")
        assert client.get(asset).status_code == 200


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_a_page_says_what_there_is_without_scripts(client: FlaskClient, page: str) -> None:
    said = re.search("<noscript>(.*)</noscript>", client.get(page).text)
    assert said is not None
    assert "needs JavaScript" in said[1]


def test_the_search_page_allows_nothing_inline(client: FlaskClient) -> None:
    page = client.get("/")
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert not re.search(r"<style|<script(?![^>]* src=)| style=| on[a-z]+=", page.text)


@pytest.mark.parametrize("path", sorted(STATIC.rglob("*.*s")), ids=lambda path: path.name)
def test_our_scripts_and_styles_name_no_other_host(client: FlaskClient, path: Path) -> None:
    answer = client.get(f"/static/{path.relative_to(STATIC)}")
    assert answer.status_code == 200
    assert answer.mimetype in ("text/javascript", "text/css")
    assert not re.search(r"https?://(?!www\.w3\.org|search\.shop\.example)", answer.text)


def test_a_script_that_the_browser_has_is_asked_for_again_and_not_sent_again(client: FlaskClient) -> None:
    first = client.get("/static/shop-lens.js")
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get("/static/shop-lens.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("name", sorted(PROBLEM_TYPES))
def test_each_type_of_problem_has_a_page_that_says_what_to_do(client: FlaskClient, name: str) -> None:
    page = client.get(f"/problems/{name}")
    assert page.status_code == 200
    assert PROBLEM_TYPES[name].title in page.text
    assert PROBLEM_TYPES[name].advice.replace("'", "&#39;") in page.text


def problem_type(answer: TestResponse) -> str:
    assert answer.mimetype == "application/problem+json"
    body = answer.get_json()
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return str(body["type"])


def test_errors_of_the_framework_are_problems_too(client: FlaskClient) -> None:
    assert problem_type(client.get("/nothing")) == "/problems/not-found"
    assert problem_type(client.get("/search")) == "/problems/method-not-allowed"
    assert client.get("/search").headers["Allow"]
    assert problem_type(client.get("/problems/made-up")) == "/problems/not-found"


def test_a_fault_of_ours_is_a_problem_without_its_insides(client: FlaskClient, searcher: Searcher) -> None:
    searcher.live.current = "nonsense"  # type: ignore[assignment]
    answer = client.post("/search", json={"text": "red"})
    assert problem_type(answer) == "/problems/internal-error"
    assert "nonsense" not in answer.text
    assert "Traceback" not in answer.text


def test_the_log_of_a_fault_holds_nothing_that_the_shopper_sent(client: FlaskClient, searcher: Searcher) -> None:
    searcher.live.current = "nonsense"  # type: ignore[assignment]
    lines = io.StringIO()
    configure_logging(lines)
    client.post("/search", json={"text": "secret words", "user_id": "ann@example.com"})
    assert "request_failed" in lines.getvalue()
    assert "AttributeError" in lines.getvalue()
    assert not re.search("secret|ann@", lines.getvalue())


@pytest.mark.parametrize("given", ["trace-1", "A.b_c-9", "x" * 64])
def test_a_sound_request_id_is_kept(client: FlaskClient, given: str) -> None:
    assert client.get("/health", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'x"y', "ü"])
def test_an_unsound_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    answered = client.get("/health", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", answered)


def test_metrics_count_what_happened(client: FlaskClient) -> None:
    client.post("/search", json={"text": "red"})
    client.post("/search", json={"text": ""})
    text = client.get("/metrics").text
    assert 'shoplens_searches_total{kind="text"} 1.0' in text
    assert 'shoplens_problems_total{type="invalid-fields"} 1.0' in text
    assert 'shoplens_stage_seconds_count{stage="search"} 1.0' in text
    assert "shoplens_generation 1.0" in text
    assert "shoplens_index_interval_end_seconds 1.7673" in text


def test_the_document_describes_every_route_and_its_errors(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {"/search", "/click", "/images/{image_id}", "/health", "/ready", "/metrics"}
    search = document["paths"]["/search"]["post"]
    assert set(search["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
    assert set(search["responses"]) == {"200", "400", "401", "403", "404", "410", "413", "415", "422", "429", "503"}
    assert "/problems/photo-rejected" in search["responses"]["422"]["description"]
    assert "422" not in document["paths"]["/health"]["get"]["responses"]


def test_a_form_is_not_said_to_have_nulls_and_json_has_an_example(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    assert "null" not in str(document["components"]["schemas"]["SearchForm"]["properties"])
    example = document["paths"]["/search"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert client.post("/search", json=example).status_code == 200


def test_operations_are_named_by_their_routes(client: FlaskClient) -> None:
    paths = client.get("/openapi.json").get_json()["paths"]
    names = {(operation["tags"][0], operation["operationId"]) for path in paths.values() for operation in path.values()}
    shoppers, others = {"search", "click", "image"}, {"health", "ready", "metrics"}
    assert names == {("search", name) for name in shoppers} | {("state", name) for name in others}


def test_every_reference_of_the_document_leads_somewhere(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', client.get("/openapi.json").text))
    assert references
    assert references <= set(document["components"]["schemas"])


def test_the_document_is_the_same_for_each_app(app: OpenAPI, client: FlaskClient) -> None:
    assert client.get("/openapi.json").get_json() == app.api_doc
