"""Who may ask what."""

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from online.access.admission import OPEN_ENDPOINTS, SCOPES
from online.access.exposure import is_loopback, refuse_addresses, refuse_open_doors
from online.access.keys import ApiKey, Scope, create_key
from online.app import create_app
from online.config import SearcherConfig
from schemas.errors import Misconfigured
from tests.online.tiny_shop import SHOP, MeanColourEncoder

SENT: dict[Scope, str] = {}
STORED: dict[Scope, ApiKey] = {}
for _scope in Scope:
    SENT[_scope], STORED[_scope] = create_key([_scope])

SEARCH = ("POST", "/search", {"json": {"text": "red"}})
CLICK = ("POST", "/click", {"json": {"request_id": "r", "product_id": "shirt-red", "position": 0}})
METRICS: tuple[str, str, dict[str, object]] = ("GET", "/metrics", {})
ROUTES = {Scope.SEARCH: SEARCH, Scope.CLICK: CLICK, Scope.ADMIN: METRICS}


@pytest.fixture
def guarded(config: SearcherConfig) -> Iterator[FlaskClient]:
    """A client of a ready searcher with one key for each scope."""
    app = create_app(replace(config, api_keys=tuple(STORED.values())), lambda folder: MeanColourEncoder(), watch=False)
    app.extensions["searcher"].watcher.look()
    yield app.test_client()
    app.extensions["searcher"].spool.close()


def ask(client: FlaskClient, route: tuple, headers: dict[str, str]) -> TestResponse:
    method, path, body = route
    return client.open(path, method=method, headers=headers, **body)


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_opens_what_its_scope_names_and_nothing_else(guarded: FlaskClient, scope: Scope, header: str) -> None:
    headers = {header: f"Bearer {SENT[scope]}" if header == "Authorization" else SENT[scope]}
    for needed, route in ROUTES.items():
        answer = ask(guarded, route, headers)
        if needed == scope:
            assert answer.status_code in (200, 204)
        else:
            assert (answer.status_code, answer.get_json()["type"]) == (403, "/problems/scope-missing")
            assert f'scope="{needed}"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}, {"X-API-Key": " "}]
)
def test_without_a_key_the_answer_says_how_to_send_one(guarded: FlaskClient, headers: dict[str, str]) -> None:
    for route in ROUTES.values():
        answer = ask(guarded, route, headers)
        assert (answer.status_code, answer.get_json()["type"]) == (401, "/problems/key-required")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="shoplens"'
        assert "Authorization: Bearer" in answer.get_json()["detail"]


@pytest.mark.parametrize("sent", ["x", SENT[Scope.SEARCH][:-1], "shoplens_000000000000_" + "A" * 43, "ü" * 40])
def test_a_wrong_key_is_refused_and_not_repeated(guarded: FlaskClient, sent: str) -> None:
    answer = ask(guarded, SEARCH, {"Authorization": f"Bearer {sent}"})
    assert (answer.status_code, answer.get_json()["type"]) == (401, "/problems/key-unknown")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert len(sent) < 10 or sent not in answer.text


def test_a_wrong_key_is_refused_before_the_body_is_read(guarded: FlaskClient) -> None:
    answer = guarded.post("/search", data=b"no json", content_type="application/json")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/", "/docs", "/docs/swagger/css/swagger-ui.css", "/problems/key-required", "/openapi.json", "/static/search.js", f"/images/{SHOP[0].image_id}"]
)  # fmt: skip
def test_what_holds_no_secret_stays_open(guarded: FlaskClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_every_route_is_either_open_or_has_a_scope(guarded: FlaskClient) -> None:
    endpoints = {rule.endpoint for rule in guarded.application.url_map.iter_rules()}
    assert endpoints == OPEN_ENDPOINTS | set(SCOPES)


def test_the_document_says_which_routes_need_a_key(guarded: FlaskClient) -> None:
    document = guarded.get("/openapi.json").get_json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    operations = {path: next(iter(found.values())) for path, found in document["paths"].items()}
    assert {path for path, operation in operations.items() if "security" in operation} == {
        "/search",
        "/click",
        "/metrics",
    }
    assert {"401", "403"} <= set(operations["/metrics"]["responses"])


@pytest.mark.parametrize("route", ROUTES.values())
def test_without_keys_only_this_machine_is_answered(client: FlaskClient, route: tuple) -> None:
    method, path, body = route
    for address, statuses in {"127.0.0.1": (200, 204), "::1": (200, 204), "10.0.0.7": (403,)}.items():
        answer = client.open(path, method=method, environ_overrides={"REMOTE_ADDR": address}, **body)
        assert answer.status_code in statuses, (address, answer.text)
    assert answer.get_json()["type"] == "/problems/loopback-only"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", ""])
def test_these_addresses_are_this_machine(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "::", "10.0.0.7", "::ffff:10.0.0.7", "fe80::1%eth0", "localhost.evil.example"]
)
def test_these_addresses_are_not(address: str) -> None:
    assert not is_loopback(address)
    with pytest.raises(Misconfigured, match="shoplens key create"):
        refuse_addresses(["127.0.0.1", address], [])
    refuse_addresses([address], [STORED[Scope.SEARCH]])


def test_a_socket_is_judged_by_where_it_really_listens() -> None:
    with socket.create_server(("0.0.0.0", 0)) as everywhere, socket.create_server(("127.0.0.1", 0)) as here:
        refuse_open_doors([here], [])
        with pytest.raises(Misconfigured, match=r"0\.0\.0\.0"):
            refuse_open_doors([here, everywhere], [])
