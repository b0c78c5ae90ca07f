"""A shop for browsers: six shades of six colours, with what facets need, and a real searcher over it.

These tests run in the pipeline's environment, which holds the browser's driver; the searcher runs in its own, thin one.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from retrieval.store.objects import FolderStore
from schemas.calibration import Calibration, CategoryValues
from tests.online.tiny_shop import COLOURS, MODEL_ID, Item, point_at, put_build, put_model
from tests.servers import PROJECT_ROOT, free_port, wait_for_http

ONLINE_PYTHON = PROJECT_ROOT / ".venv" / "online" / "bin" / "python"
SHADES = 6
PHOTO_MATCH = 0.6


def _item(colour: str, shade: int) -> Item:
    """`shade` 0 is the colour itself; the others go towards grey."""
    rgb = tuple(round(value + (128 - value) * shade / 12) for value in COLOURS[colour])
    columns = {
        "title": f"{colour.capitalize()} {'shirt' if shade % 2 else 'coat'} {shade}",
        "category": "shirts" if shade % 2 else "coats",
        "brand": ("Nord", "Sud", "West")[shade % 3],
        "colour": colour,
        "price": 10.0 + 15 * shade,
        "currency": "EUR",
        "in_stock": shade != 1,
        "attributes": {"material": "wool" if shade < 3 else "linen"},
    }
    return Item(f"{colour}-{shade}", (rgb[0], rgb[1], rgb[2]), None, columns)


ITEMS = tuple(_item(colour, shade) for colour in COLOURS for shade in range(SHADES))


def make_store(folder: Path) -> FolderStore:
    store = FolderStore(folder / "store")
    put_model(store)
    calibration = Calibration(photo_match=CategoryValues(PHOTO_MATCH), text_match=0.1)
    put_build(store, folder / "scratch", ITEMS, calibration=calibration.to_json())
    point_at(store, "b1", generation=1, model_id=MODEL_ID)
    return store


@contextmanager
def run_searcher(store: FolderStore, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """The URL of a searcher with one worker that is ready. Words that start with \"wait\" wait for `folder`/go."""
    url = f"http://127.0.0.1:{free_port()}"
    folder.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "SHOPLENS_STORE": store.uri,
        "SHOPLENS_CACHE": str(folder / "cache"),
        "SHOPLENS_BIND": url.removeprefix("http://"),
        "SHOPLENS_WORKERS": "1",
        "TINY_HELD": str(folder),
        **(settings or {}),
    }
    command = [str(ONLINE_PYTHON), "-m", "gunicorn", "-c", "python:online.gunicorn_conf", "tests.online.tiny_wsgi:app"]
    with (folder / "searcher.log").open("wb") as log:
        running = subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_for_http(f"{url}/ready", running)
        yield url
    finally:
        (folder / "go").touch()
        running.terminate()
        running.wait(30)
