"""What must hold for whatever bytes arrive at POST /search and POST /click: an answer, or a problem that is documented."""

import os
from pathlib import Path

from flask.testing import FlaskClient

from online.api.problems import MIMETYPE, PROBLEM_TYPES
from online.app import create_app
from online.config import SearcherConfig
from online.telemetry.logs import configure_logging
from retrieval.store.objects import FolderStore
from schemas.api.answers import Problem, SearchResponse
from tests.online.tiny_shop import MeanColourEncoder, point_at, put_build, put_model

PATHS = ("/search", "/click")


def open_tiny_shop(folder: Path) -> FlaskClient:
    """A searcher of the tiny shop, its store and its cache in `folder`, without a word in the log."""
    configure_logging(open(os.devnull, "w"))  # noqa: SIM115
    store = FolderStore(folder / "store")
    put_model(store)
    put_build(store, folder / "scratch")
    point_at(store, "b1", generation=1)
    config = SearcherConfig(
        store_uri=store.uri, cache_folder=folder / "cache", spool_folder=folder / "spool", user_hash_key=b"a key",
        cursor_key=b"a key", body_max_bytes=100_000,
    )  # fmt: skip
    app = create_app(config, lambda folder: MeanColourEncoder(), watch=False)
    app.extensions["searcher"].watcher.look()
    return app.test_client()


def judge_question(client: FlaskClient, data: bytes) -> int:
    """The status of its answer. The first line of `data` is the path and the body's type, the rest is the body.

    Raises AssertionError where a rule is broken.
    """
    head, _, body = data.partition(b"\n")
    path, _, media_type = head.decode("latin-1").partition(" ")
    path = path if path in PATHS else PATHS[0]
    answer = client.post(path, data=body, environ_overrides={"CONTENT_TYPE": media_type})
    if answer.status_code == 200:
        found = SearchResponse.model_validate_json(answer.data)
        groups = [result.group_id for result in found.results]
        assert len(set(groups)) == len(groups)
    elif answer.status_code != 204:
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.mimetype == MIMETYPE
        problem = Problem.model_validate_json(answer.data)
        assert PROBLEM_TYPES[problem.type.removeprefix("/problems/")].status == answer.status_code
        assert problem.detail
    return answer.status_code
