"""The log: one JSON object a line, with the request's id, and nothing that a shopper sent."""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from online.access.keys import Scope, create_key
from online.api import answering
from online.app import create_app
from online.config import SearcherConfig
from online.telemetry.logs import configure_logging, describe_error, log
from schemas.errors import StoreUnavailable
from tests.online.tiny_shop import COLOURS, MeanColourEncoder, photo_of

SENT, STORED = create_key([Scope.SEARCH, Scope.CLICK], "the storefront")
WRONG_KEY = "shoplens_000000000000_not-a-key"
HEADERS = {"X-Request-ID": "trace-1", "Authorization": f"Bearer {SENT}"}
PHOTO = photo_of(COLOURS["red"])
SECRETS = ("ann@example.com", "secret words", base64.b64encode(PHOTO).decode(), SENT, STORED.digest.hex(), WRONG_KEY)


class Log(io.StringIO):
    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def written() -> Log:
    stream = Log()
    configure_logging(stream)
    return stream


@pytest.fixture
def shop(config: SearcherConfig) -> Iterator[FlaskClient]:
    """A client of a ready searcher with a key; whatever that logged is not in `written`."""
    app = create_app(replace(config, api_keys=(STORED,)), lambda folder: MeanColourEncoder(), watch=False)
    app.extensions["searcher"].watcher.look()
    yield app.test_client()
    app.extensions["searcher"].spool.close()


def break_searches(client: FlaskClient, error: Exception) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise error

    client.application.extensions["searcher"].live.current = Broken()


def test_a_request_is_one_line_with_its_id(shop: FlaskClient, written: Log) -> None:
    shop.post("/search", json={"text": "red"}, headers=HEADERS)
    (line,) = written.lines
    assert (line["message"], line["request_id"], line["key_id"]) == ("request", "trace-1", STORED.key_id)
    assert (line["endpoint"], line["method"], line["status"]) == ("search", "POST", 200)
    assert line["elapsed_ms"] > 0
    assert line["timestamp"].endswith("Z")


def test_every_line_of_a_request_has_its_id_and_no_other_line_has(shop: FlaskClient, written: Log) -> None:
    break_searches(shop, RuntimeError("boom"))
    shop.post("/search", json={"text": "red"}, headers=HEADERS)
    log.info("afterwards")
    assert [(line["message"], line.get("request_id")) for line in written.lines] == [
        ("request_failed", "trace-1"),
        ("request", "trace-1"),
        ("afterwards", None),
    ]


def test_no_line_holds_what_was_sent(shop: FlaskClient, written: Log) -> None:
    photo = base64.b64encode(PHOTO).decode()
    everything = {"text": "secret words", "image_base64": photo, "user_id": "ann@example.com"}
    click = {"request_id": "trace-1", "product_id": "shirt-red", "position": 0, "user_id": "ann@example.com"}
    wrong = {**HEADERS, "Authorization": f"Bearer {WRONG_KEY}"}
    statuses = [
        shop.post("/search", json=everything, headers=HEADERS).status_code,
        shop.post("/search", data={"text": "secret words", "image": (io.BytesIO(PHOTO), "a.png")}, headers=HEADERS).status_code,
        shop.post("/search", json={"secret words": photo, "k": "ann@example.com"}, headers=HEADERS).status_code,
        shop.post("/search?text=secret words", data=b"secret words", headers=HEADERS).status_code,
        shop.post("/click", json=click, headers=HEADERS).status_code,
        shop.post("/search", json=everything, headers=wrong).status_code,
        shop.get("/secret words", headers=HEADERS).status_code,
    ]  # fmt: skip
    assert statuses == [200, 200, 422, 415, 204, 401, 404]
    assert len(written.lines) == len(statuses)
    for secret in SECRETS:
        assert secret not in written.getvalue()


def test_an_unforeseen_error_is_logged_with_its_place_and_without_its_words(shop: FlaskClient, written: Log) -> None:
    break_searches(shop, ValueError("secret words"))
    assert shop.post("/search", json={"text": "secret words"}, headers=HEADERS).status_code == 500
    failed = written.lines[0]
    assert (failed["message"], failed["error"], failed["level"]) == ("request_failed", "ValueError", "error")
    assert failed["exception"][0]["exc_type"] == "ValueError"
    assert failed["exception"][0]["frames"][-1]["name"] == "__getattr__"
    assert "secret" not in written.getvalue()


def test_an_error_of_ours_or_of_the_system_keeps_its_words() -> None:
    assert describe_error(StoreUnavailable("the store\ndid not answer")) == "StoreUnavailable: the store did not answer"
    assert "No space" in describe_error(OSError(28, "No space left on device"))
    assert describe_error(KeyError("secret words")) == "KeyError"


@pytest.mark.parametrize("path", ["/health", "/ready", "/static/search.js"])
def test_what_is_asked_all_the_time_is_not_logged(shop: FlaskClient, written: Log, path: str) -> None:
    assert shop.get(path).status_code == 200
    assert written.lines == []


def test_the_id_of_an_answer_is_the_one_in_the_log(shop: FlaskClient, written: Log) -> None:
    answer = shop.post("/search", json={}, headers={**HEADERS, answering.REQUEST_ID: "no good one"})
    (line,) = written.lines
    assert answer.headers["X-Request-ID"] == line["request_id"] == answer.get_json()["request_id"]
    assert len(line["request_id"]) == 32
