"""What a run on the generated catalog needs first: the drawn photos, their server, a model bundle."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

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
    with exporting_model(folder) as exported:
        exported()
    return folder


@contextmanager
def exporting_model(folder: Path) -> Iterator[Callable[[], None]]:
    """`export_model` beside what the block does: call what it gives to wait for its end, or have its error raised."""
    if (folder / BUNDLE_FILE).exists():
        yield lambda: None
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made in a folder of this process, so that its end takes all that a stopped export had written.
    with (
        TemporaryDirectory(dir=folder.parent, prefix=".export-") as scratch,
        subprocess.Popen(
            [sys.executable, "-m", "retrieval.cli", "model", "export", "--out", str(made := Path(scratch) / folder.name)],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as process,
    ):  # fmt: skip

        def exported() -> None:
            _, said = process.communicate()
            if process.returncode:
                raise ModelUnavailable((said.strip() or "shoplens model export failed").splitlines()[-1])
            shutil.rmtree(folder, ignore_errors=True)  # half a bundle of an older run
            made.rename(folder)

        try:
            yield exported
        finally:
            process.kill()
