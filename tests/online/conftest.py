"""A searcher over the tiny shop, driven by hand: `look()` stands for the watcher's thread."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from online.app import create_app
from online.config import SearcherConfig
from online.searcher import Searcher
from online.telemetry.logs import configure_logging
from retrieval.store.objects import FolderStore
from tests.online.tiny_shop import MeanColourEncoder, point_at, put_build, put_model


@pytest.fixture(autouse=True)
def _logs() -> None:
    configure_logging()


@pytest.fixture(scope="session")
def shop_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    store = FolderStore(folder / "store")
    put_model(store)
    put_build(store, folder / "scratch")
    point_at(store, "b1", generation=1)
    return store.root


@pytest.fixture
def store(tmp_path: Path, shop_template: Path) -> FolderStore:
    """A store with a model, a build and CURRENT at generation 1."""
    shutil.copytree(shop_template, tmp_path / "store")
    return FolderStore(tmp_path / "store")


@pytest.fixture
def config(tmp_path: Path, store: FolderStore) -> SearcherConfig:
    return SearcherConfig(
        store_uri=store.uri,
        cache_folder=tmp_path / "cache",
        spool_folder=tmp_path / "spool",
        user_hash_key=b"a key",
        body_max_bytes=200_000,
    )


@pytest.fixture
def app(config: SearcherConfig) -> Iterator[OpenAPI]:
    """Not ready yet."""
    app = create_app(config, lambda folder: MeanColourEncoder(), watch=False)
    yield app
    app.extensions["searcher"].spool.close()


@pytest.fixture
def searcher(app: OpenAPI) -> Searcher:
    """Ready: it serves generation 1."""
    searcher: Searcher = app.extensions["searcher"]
    searcher.watcher.look()
    return searcher


@pytest.fixture
def client(app: OpenAPI, searcher: Searcher) -> FlaskClient:
    return app.test_client()
