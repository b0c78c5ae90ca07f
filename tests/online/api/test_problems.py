"""Every type of problem: one request that gets it, and what the documentation says of it."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from gunicorn.http.errors import InvalidChunkSize
from werkzeug.test import TestResponse

from online.access.image_links import ImageLinks
from online.access.keys import Scope, create_key
from online.access.limit_settings import LimitSettings
from online.api.problems import PROBLEM_TYPES
from online.app import create_app
from online.config import SearcherConfig
from retrieval.store.objects import FolderStore
from schemas.manifest import thumbnail_key
from tests.online.running import ROOT
from tests.online.tiny_shop import SHOP, MeanColourEncoder, point_at, put_build

WORDS = {"text": "red"}


class BrokenChunks(io.BytesIO):
    """A body as gunicorn gives it to us when a chunk is not as long as it says."""

    def read(self, size: int | None = -1) -> bytes:
        raise InvalidChunkSize(b"zz")

    def readinto(self, buffer: object) -> int:
        raise InvalidChunkSize(b"zz")


@dataclass
class Asker:
    """Makes searchers of the tiny shop, and asks them."""

    config: SearcherConfig
    store: FolderStore
    apps: list[OpenAPI]

    def client(self, *, ready: bool = True, **settings: object) -> FlaskClient:
        encoder = MeanColourEncoder(reads_text=bool(settings.pop("reads_text", True)))
        app = create_app(replace(self.config, **settings), lambda folder: encoder, watch=False)
        self.apps.append(app)
        if ready:
            app.extensions["searcher"].watcher.look()
        return app.test_client()

    def post(self, body: object = WORDS, **settings: object) -> TestResponse:
        return self.client(**settings).post("/search", json=body)

    def post_raw(self, data: bytes, media_type: str) -> TestResponse:
        return self.client().post("/search", data=data, content_type=media_type)

    def post_broken_chunks(self) -> TestResponse:
        chunked = {"wsgi.input_terminated": True}
        return self.client().post(
            "/search", input_stream=BrokenChunks(b"{}"), content_type="application/json", environ_overrides=chunked
        )

    def post_link(self) -> TestResponse:
        nobody = "http://127.0.0.1:9"
        taken = ImageLinks.from_env({"SHOPLENS_IMAGE_URL_ORIGINS": nobody})
        return self.post({"image_url": f"{nobody}/a.jpg"}, image_links=taken)

    def post_with_key(self, scope: Scope, sent: str | None) -> TestResponse:
        key, stored = create_key([scope])
        headers = {} if sent is None else {"Authorization": f"Bearer {sent or key}"}
        return self.client(api_keys=(stored,)).post("/search", json=WORDS, headers=headers)

    def post_from_afar(self) -> TestResponse:
        return self.client().post("/search", json=WORDS, environ_overrides={"REMOTE_ADDR": "192.0.2.1"})

    def post_twice(self) -> TestResponse:
        client = self.client(limits=LimitSettings("1/hour"))
        client.post("/search", json=WORDS)
        return client.post("/search", json=WORDS)

    def post_after_another_build(self) -> TestResponse:
        client = self.client()
        cursor = client.post("/search", json={**WORDS, "k": 1}).get_json()["cursor"]
        put_build(self.store, self.config.cache_folder / "scratch", SHOP, build_id="b2", thumbnails=False)
        point_at(self.store, "b2", generation=2)
        client.application.extensions["searcher"].watcher.look()
        return client.post("/search", json={"cursor": cursor})

    def post_to_a_broken_searcher(self) -> TestResponse:
        client = self.client()
        client.application.extensions["searcher"].live.current = "no snapshot"
        return client.post("/search", json=WORDS)

    def get_photo_of_a_store_in_trouble(self) -> TestResponse:
        link = f"/images/{SHOP[0].image_id}"
        path = self.store.root / thumbnail_key(SHOP[0].image_id)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(path)  # reading it fails, whoever asks
        return self.client().get(link)


PROVOKED: dict[str, Callable[[Asker], TestResponse]] = {
    "bad-json": lambda asker: asker.post_raw(b"{", "application/json"),
    "bad-request": lambda asker: asker.post_broken_chunks(),
    "key-required": lambda asker: asker.post_with_key(Scope.SEARCH, None),
    "key-unknown": lambda asker: asker.post_with_key(Scope.SEARCH, "shoplens_nobody"),
    "scope-missing": lambda asker: asker.post_with_key(Scope.CLICK, ""),
    "loopback-only": lambda asker: asker.post_from_afar(),
    "not-found": lambda asker: asker.client().get("/nothing"),
    "product-not-found": lambda asker: asker.post({"product_id": "gone"}),
    "image-not-found": lambda asker: asker.client().get(f"/images/{'0' * 64}"),
    "method-not-allowed": lambda asker: asker.client().get("/search"),
    "body-too-large": lambda asker: asker.post_raw(b"x" * 300_000, "application/json"),
    "unsupported-media-type": lambda asker: asker.post_raw(b"red", "text/plain"),
    "invalid-fields": lambda asker: asker.post({**WORDS, "k": 0}),
    "no-query": lambda asker: asker.post({"k": 3}),
    "bad-cursor": lambda asker: asker.post({"cursor": "none"}),
    "cursor-expired": lambda asker: asker.post_after_another_build(),
    "photo-rejected": lambda asker: asker.client().post("/search", data={"image": (io.BytesIO(b"GIF89a"), "a.gif")}),
    "image-unreachable": lambda asker: asker.post_link(),
    "text-unsupported": lambda asker: asker.post(reads_text=False),
    "too-many-requests": lambda asker: asker.post_twice(),
    "internal-error": lambda asker: asker.post_to_a_broken_searcher(),
    "not-ready": lambda asker: asker.post(ready=False),
    "store-unavailable": lambda asker: asker.get_photo_of_a_store_in_trouble(),
}


@pytest.fixture
def asker(config: SearcherConfig, store: FolderStore) -> Iterator[Asker]:
    asker = Asker(config, store, [])
    yield asker
    for app in asker.apps:
        app.extensions["searcher"].spool.close()


def test_every_type_is_provoked_here() -> None:
    assert set(PROVOKED) == set(PROBLEM_TYPES)


@pytest.mark.parametrize("name", PROVOKED)
def test_it_says_what_was_wrong_and_has_a_page(asker: Asker, name: str) -> None:
    answer, kind = PROVOKED[name](asker), PROBLEM_TYPES[name]
    assert (answer.status_code, answer.mimetype) == (kind.status, "application/problem+json")
    body = json.loads(answer.data)
    assert (body["type"], body["title"], body["status"]) == (f"/problems/{name}", kind.title, kind.status)
    assert body["detail"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert kind.advice in asker.client().get(body["type"]).get_data(as_text=True).replace("&#39;", "'")


def test_every_type_stands_in_the_documentation() -> None:
    documented = (ROOT / "docs" / "api.md").read_text()
    assert [name for name in PROBLEM_TYPES if f"`{name}`" not in documented] == []
