"""A store that takes requests for photos and does not answer, under a real gunicorn."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from retrieval.store.objects import FolderStore
from schemas.manifest import thumbnail_key
from tests.online.running import PATIENCE_S, run_gunicorn, wait_until
from tests.online.tiny_shop import SHOP

pytestmark = pytest.mark.full


def test_searches_are_answered_while_photos_of_tiles_hang(store: FolderStore, tmp_path: Path) -> None:
    """Two workers of four threads, and a page of tiles."""
    image_id = SHOP[0].image_id
    thumbnail = store.root / thumbnail_key(image_id)
    thumbnail.unlink()
    os.mkfifo(thumbnail)  # who opens it waits for somebody who writes
    answers: list[int] = []

    def load_tile() -> None:
        with suppress(requests.RequestException):  # it waited until the end
            answers.append(requests.get(f"{running.url}/images/{image_id}", timeout=PATIENCE_S).status_code)

    with run_gunicorn(store, tmp_path, {"SHOPLENS_GRACEFUL_TIMEOUT_S": "1"}) as running:
        tiles = [threading.Thread(target=load_tile) for _ in range(24)]
        for tile in tiles:
            tile.start()
        wait_until(lambda: len(answers) >= 16, "those that need not wait are told")
        assert set(answers) == {503}
        for _ in range(4):
            assert running.search().status_code == 200  # all eight threads would wait for ever
    for tile in tiles:
        tile.join()
