"""Photos by link: not at all unless the operator names sites, and then from those alone, at every redirect."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from online.access.image_links import ImageLinks
from online.app import create_app
from online.config import SearcherConfig
from schemas.errors import Misconfigured
from tests.online.tiny_shop import COLOURS, MeanColourEncoder, photo_of

ALLOWED = "https://photos.shop.example"


def links(*origins: str) -> ImageLinks:
    return ImageLinks.from_env({"SHOPLENS_IMAGE_URL_ORIGINS": ", ".join(origins)})


@pytest.fixture
def open_to(config: SearcherConfig) -> Iterator[object]:
    """Makes a client of a searcher that takes photos from the given sites."""
    apps: list[OpenAPI] = []

    def make(*origins: str) -> FlaskClient:
        settings = replace(config, image_links=links(*origins))
        apps.append(create_app(settings, lambda folder: MeanColourEncoder(), watch=False))
        apps[-1].extensions["searcher"].watcher.look()
        return apps[-1].test_client()

    yield make
    for app in apps:
        app.extensions["searcher"].spool.close()


def test_unless_sites_are_named_there_is_no_such_field(client: FlaskClient) -> None:
    answer = client.post("/search", json={"image_url": f"{ALLOWED}/a.jpg"})
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "image_url")
    assert "image_url" not in client.get("/openapi.json").text


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/a.jpg", "http://photos.shop.example/a.jpg", "https://photos.shop.example:8443/a.jpg",
        "https://photos.shop.example.evil.example/a.jpg", "https://ann:pw@photos.shop.example/a.jpg",
        "https://photos.shop.example@evil.example/a.jpg", "https://evil.example\\@photos.shop.example/a.jpg",
        "https://evil.example#@photos.shop.example/", "//photos.shop.example/a.jpg", "/a.jpg", "file:///etc/passwd",
        "ftp://photos.shop.example/a.jpg", "https://photos.shop.example:port/", "http://169.254.169.254/latest", "https://",
        "https://photos\n.evil.example/", "gopher://photos.shop.example/", "data:image/png;base64,AA==",
    ],
)  # fmt: skip
def test_a_link_elsewhere_is_refused_unasked(open_to, link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object, **__: object) -> None:
        raise AssertionError("it was asked for")

    monkeypatch.setattr("urllib3.PoolManager.request", ask)
    answer = open_to(ALLOWED).post("/search", json={"image_url": link})
    assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/invalid-fields")
    assert [error["field"] for error in answer.get_json()["errors"]] == ["image_url"]


def test_the_document_has_the_field_where_it_is_taken(open_to) -> None:
    schemas = open_to(ALLOWED).get("/openapi.json").get_json()["components"]["schemas"]
    for name in ("SearchRequest", "SearchForm"):
        assert {"image_url", "image_base64"} <= set(schemas[name]["properties"])


def test_six_photos_are_one_too_many_before_any_is_fetched(open_to) -> None:
    answer = open_to(ALLOWED).post("/search", json={"image_base64": ["AA=="] * 3, "image_url": [f"{ALLOWED}/a"] * 3})
    assert answer.get_json()["errors"] == [{"field": "image_url", "message": "6 photos, more than 5"}]


@pytest.mark.parametrize(
    "origin", ["photos.shop.example", f"{ALLOWED}/folder", "*", "ftp://a.example", "https://a:99999"]
)
def test_a_wrong_setting_is_named(origin: str) -> None:
    with pytest.raises(Misconfigured, match="SHOPLENS_IMAGE_URL_ORIGINS"):
        links(origin)


class Site(BaseHTTPRequestHandler):
    """A photo at /red, nothing at /none, redirects at /to?URL, a redirect to what is no link at /astray, a body
    without an end at /endless, one drop by drop at /drops."""

    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        path, _, target = self.path.partition("?")
        if path in ("/to", "/astray"):
            self.send_response(302)
            self.send_header("Location", target if path == "/to" else "http://[no/link")
            self.end_headers()
            return
        self.send_response(200 if path in ("/red", "/endless", "/drops") else 404)
        self.end_headers()
        if path == "/red":
            self.wfile.write(photo_of(COLOURS["red"]))
        while path in ("/endless", "/drops"):
            try:
                self.wfile.write(bytes(65_536 if path == "/endless" else 1))
            except OSError:
                return
            time.sleep(0.02 if path == "/drops" else 0)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def sites() -> Iterator[list[tuple[str, list[str]]]]:
    """Two sites, as their origins and what they were asked for."""
    servers, found = [], []
    for _ in range(2):
        asked: list[str] = []
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), type("OneSite", (Site,), {"asked": asked})))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        found.append((f"http://127.0.0.1:{servers[-1].server_port}", asked))
    yield found
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.full
def test_a_linked_photo_is_searched_by(open_to, sites: list[tuple[str, list[str]]]) -> None:
    (site, _), _ = sites
    client = open_to(site)
    answer = client.post("/search", json={"image_url": f"{site}/red", "k": 1}).get_json()
    assert answer["results"][0]["product_id"] == "shirt-red"
    assert "fetch" in answer["stages_ms"]
    form = client.post("/search", data={"image_url": [f"{site}/to?/to?/red", f"{site}/red"], "k": "1"}).get_json()
    assert form["results"][0]["product_id"] == "shirt-red"


@pytest.mark.full
def test_a_redirect_to_a_site_that_was_not_named_is_not_followed(open_to, sites: list[tuple[str, list[str]]]) -> None:
    (site, asked), (other, asked_elsewhere) = sites
    client = open_to(site)
    for link in (
        f"{site}/to?{other}/red",
        f"{site}/to?//{other.removeprefix('http://')}/red",
        f"{site}/to?/to?{other}/red",
    ):
        answer = client.post("/search", json={"image_url": link})
        assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/invalid-fields")
    assert (len(asked), asked_elsewhere) == (4, [])


@pytest.mark.full
@pytest.mark.parametrize("path", ["/none", "/endless", "/drops", "/to?/to?/to?/to?/to?/red", "/to?/to", "/astray"])
def test_a_link_that_gives_no_photo_says_so(
    open_to, sites: list[tuple[str, list[str]]], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("online.access.image_links.DEADLINE_S", 0.5)
    (site, asked), _ = sites
    answer = open_to(site).post("/search", json={"image_url": site + path})
    assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/image-unreachable")
    assert len(asked) <= 4


@pytest.mark.full
def test_a_site_that_is_not_there_says_so_too(open_to) -> None:
    answer = open_to("http://127.0.0.1:9").post("/search", json={"image_url": "http://127.0.0.1:9/red"})
    assert (answer.status_code, answer.get_json()["type"]) == (422, "/problems/image-unreachable")
