"""What a run on the generated catalog needs first: the drawn photos, their server, a model bundle."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from demo.catalog import CatalogPlan, write_catalog
from demo.rows import write_mapping
from demo.server import serve
from schemas.bundle import BUNDLE_FILE
from schemas.errors import ModelUnavailable

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class ServedCatalog:
    """A catalog folder behind HTTP: its address, and the mapping file whose links lead there."""

    folder: Path
    base_url: str
    mapping: Path


def draw_catalog(folder: Path, products: int, *, seed: int = 7, day: int = 0, bad_rows: bool = True) -> Path:
    """Draw the shop as of a day; photos that are there for the same seed are kept."""
    write_catalog(folder, CatalogPlan(products=products, seed=seed, day=day, bad_rows=bad_rows))
    return folder


@contextmanager
def serve_catalog(folder: Path, port: int = 0) -> Iterator[ServedCatalog]:
    """Serve a drawn catalog until the block ends. Port 0 takes a free one; links change with the port."""
    with serve(folder, port=port) as base_url:
        yield ServedCatalog(folder, base_url, write_mapping(folder, base_url=base_url))


def full_bodies_sent(server: ServedCatalog) -> int:
    """How many photos the server has sent in full since it started."""
    return int(requests.get(f"{server.base_url}/stats", timeout=10).json()["full_bodies"])


def export_model(folder: Path) -> Path:
    """The packaged model as a bundle in `folder`, made once. Raises ModelUnavailable with the command's last line."""
    if not (folder / BUNDLE_FILE).exists():
        done = subprocess.run(
            [sys.executable, "-m", "retrieval.cli", "model", "export", "--out", str(folder)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ModelUnavailable((done.stderr.strip() or "shoplens model export failed").splitlines()[-1])
    return folder
