"""`make demo`: a catalog in, a published index out, a searcher and the Airflow UI up.

Everything is on this machine, in one folder: local Spark, Delta and the object store as folders, Airflow on SQLite,
and, unless a catalog is given, a drawn shop behind a local HTTP server. Run again, it does only what is new.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click
import requests
from rich.console import Console

from demo.airflow_home import AirflowHome, start_airflow
from demo.airflow_run import NightlyRun, deployment_variable
from demo.first_answers import Question, ask_all, field_question, photo_question, print_answers
from demo.nightly import Nightly
from demo.preflight import port_complaint
from demo.queries import TEXT_QUERIES, held_out_queries
from demo.setup import draw_catalog, exporting_model, serve_catalog
from retrieval.photos.decoding import decode_photo
from schemas.errors import BadData, GateFailed, Misconfigured, PhotoRejected, TryAgain
from schemas.mapping import CatalogMapping, read_mapping
from spark_jobs.evaluation.labelled_catalog import read_labelled_photos

ROOT = Path(__file__).resolve().parent.parent
SEED = 7
READY_TIMEOUT_S = 120
SOME_RIGHT_SHARE = 0.5
ASKED_AT_FIRST = 3
ASKED_MAX_CHARS = 60
ASKED_MAX_BYTES = 15 << 20  # the searcher takes 16 MiB, form and all
# The drawn shop has hosts that never answer: the demo gives up on them sooner than a real night would.
IMPATIENT = ("--read-timeout", "3", "--total-timeout", "10", "--tries", "2")


@dataclass(frozen=True)
class Shop:
    """What the demo runs on: the nightly's arguments, and the questions to ask when it is done."""

    name: str
    nightly: Nightly
    questions: list[Question]


@contextmanager
def step(console: Console, doing: str) -> Iterator[None]:
    """Say what is being done, with a spinner on a terminal, and how long it took."""
    started = time.monotonic()
    with console.status(doing) if console.is_terminal else _plain(console, doing):
        yield
    console.print(f"  {doing}: {time.monotonic() - started:.1f} s", highlight=False)


@contextmanager
def _plain(console: Console, doing: str) -> Iterator[None]:
    console.print(f"… {doing}", highlight=False)
    yield


@click.command("demo")
@click.option("--once", is_flag=True, help="Run, print the first answers, stop everything, end with 0.")
@click.option("--catalog", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A folder of your own.")
@click.option("--mapping", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Its mapping file.")
@click.option("--products", default=600, show_default=True, type=click.IntRange(20), help="Of the drawn shop.")
@click.option("--port", default=8080, show_default=True, help="Of the searcher.")
@click.option("--airflow-port", default=8081, show_default=True, help="Of the Airflow UI.")
@click.option("--catalog-port", default=8082, show_default=True, help="Of the drawn shop's photos.")
@click.option(
    "--home", type=click.Path(path_type=Path), default=ROOT / ".run" / "demo", help="Where all of it is kept."
)
def demo(
    once: bool, catalog: Path | None, mapping: Path | None, products: int, port: int, airflow_port: int,
    catalog_port: int, home: Path,
) -> None:  # fmt: skip
    """Run everything once on this machine, from a catalog to answers."""
    if (catalog is None) != (mapping is None):
        raise Misconfigured("give both CATALOG=folder and MAPPING=file (demo/clothing.toml is an example), or neither")
    if complaint := port_complaint([port, airflow_port, *([] if catalog else [catalog_port])]):
        raise Misconfigured(complaint)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(stderr=False, soft_wrap=True)
    with ExitStack() as stack:
        exported = stack.enter_context(exporting_model(home / "model"))
        if catalog and mapping:
            shop = own_shop(home, catalog.resolve(), mapping.resolve())
        else:
            shop = stack.enter_context(drawn_shop(console, home, products, catalog_port))
        airflow = stack.enter_context(_airflow(console, home / shop.name, shop.nightly, airflow_port))
        with step(console, "exporting the packaged model"):
            exported()
        NightlyRun(airflow, console).run()
        with step(console, "starting the searcher"):
            base_url = stack.enter_context(searcher(home / shop.name, shop.nightly.store, port))
        answers = ask_all(base_url, shop.questions)
        print_answers(answers, console)
        console.print(f"searcher  {base_url}\nAirflow   {airflow.url}", highlight=False)
        if once:
            judged = [answer.right for answer in answers if answer.right is not None]
            if not all(answer.results for answer in answers) or sum(judged) < SOME_RIGHT_SHARE * len(judged):
                raise GateFailed("live", [f"{sum(judged)} of {len(judged)} first answers are right"])
            return
        console.print("Ctrl-C stops both", highlight=False)
        _wait_for_interrupt()


@contextmanager
def drawn_shop(console: Console, home: Path, products: int, catalog_port: int) -> Iterator[Shop]:
    """The generated catalog, drawn and served while the block lasts."""
    name = f"shop-{products}"
    folder = home / name / "catalog"
    with step(console, f"drawing a shop of {products} products"):
        draw_catalog(folder, products, seed=SEED)
    with serve_catalog(folder, catalog_port) as served:
        nightly = Nightly(
            lake=home / name / "lake", store=home / name / "store", catalog=str(folder), mapping=served.mapping,
            model=str(home / "model"), extra={"fetch_images": IMPATIENT},
        )  # fmt: skip
        yield Shop(name, nightly, drawn_questions(products))


def own_shop(home: Path, catalog: Path, mapping: Path) -> Shop:
    """The user's own catalog folder, its photos read from that folder or from the links in it."""
    parsed = read_mapping(mapping)
    # Two shops' folders may have one name: a lake for both would take one's products for the other's that are gone.
    place = hashlib.sha256(str(catalog.resolve()).encode()).hexdigest()[:8]
    name = f"own-{catalog.name}-{place}"
    nightly = Nightly(
        lake=home / name / "lake", store=home / name / "store", catalog=str(catalog), mapping=mapping,
        model=str(home / "model"), allowed_roots=(catalog,),
    )  # fmt: skip
    return Shop(name, nightly, own_questions(catalog, parsed))


def drawn_questions(products: int) -> list[Question]:
    """Photos that no catalog holds, words, and more like the first product; right means the same kind of thing."""
    questions = [
        photo_question(
            f"a shopper's photo of {query.product_id} ({query.category})",
            query.photo,
            lambda result, query=query: result["category"] == query.category,  # type: ignore[misc]
        )
        for query in held_out_queries(SEED, products, 4)
    ]
    for text in TEXT_QUERIES[:2]:
        questions.append(
            field_question(text.text, "text", text.text, lambda result, text=text: result["category"] == text.category)  # type: ignore[misc]
        )
    return questions


def own_questions(catalog: Path, mapping: CatalogMapping) -> list[Question]:
    """The first photos of the folder that can be asked with, or where there are none, because the photos are elsewhere,
    the first titles; nobody knows what is right."""
    photos = sorted(path for path in catalog.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    with_photos = [
        photo_question(str(path.relative_to(catalog)), path.read_bytes())
        for path in islice(filter(_can_be_asked, photos), ASKED_AT_FIRST)
    ]
    return with_photos or [
        field_question(title, "text", title) for title in islice(_titles(catalog, mapping), ASKED_AT_FIRST)
    ]


def _titles(catalog: Path, mapping: CatalogMapping) -> Iterator[str]:
    """Each once, and no longer than a question; none of a catalog that only the ingest can read."""
    try:
        photos = read_labelled_photos(catalog, mapping)
    except BadData:
        return
    yield from dict.fromkeys(title for photo in photos if (title := photo.value("title")[:ASKED_MAX_CHARS].strip()))


def _can_be_asked(path: Path) -> bool:
    """Not a broken photo, which a catalog may have and the searcher refuses."""
    try:
        if not path.is_file() or path.stat().st_size > ASKED_MAX_BYTES:
            return False
        decode_photo(path.read_bytes(), target_side_px=224)
    except (OSError, PhotoRejected):
        return False
    return True


@contextmanager
def _airflow(console: Console, home: Path, nightly: Nightly, port: int) -> Iterator[AirflowHome]:
    with step(console, "starting Airflow"):
        airflow = start_airflow(
            home / "airflow", environment={"AIRFLOW_VAR_SHOPLENS": deployment_variable(nightly)}, port=port
        )
    try:
        yield airflow
    finally:
        with step(console, "stopping Airflow"):
            airflow.stop()


@contextmanager
def searcher(home: Path, store: Path, port: int) -> Iterator[str]:
    """The searcher on `port`, ready to answer. Raises TryAgain with its last line where it does not come up."""
    log_path = home / "searcher.log"
    python = ROOT / ".venv/online/bin/python"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "online.serve", "--store", str(store), "--cache", str(home / "cache"), "--port", str(port)],
            cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    base_url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not _is_ready(base_url):
            if process.poll() is not None or time.monotonic() > deadline:
                lines = log_path.read_text(errors="replace").strip().splitlines()
                raise TryAgain(
                    f"the searcher did not come up ({log_path}): {lines[-1] if lines else 'it said nothing'}"
                )
            time.sleep(0.2)
        yield base_url
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(base_url: str) -> bool:
    try:
        return requests.get(f"{base_url}/ready", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        return


def main() -> None:
    from retrieval.cli import run_command

    run_command(demo)


if __name__ == "__main__":
    main()
