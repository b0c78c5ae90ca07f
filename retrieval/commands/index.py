"""`shoplens index`: what builds and deltas there are, which is live, whether they are whole, and the way back."""

import getpass
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from retrieval.commands.index_tables import describe_pointer, history_of, name_of, summarise_store, tables_of
from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.publishing.pointer import read_pointer, require_pointer
from retrieval.publishing.rollback import release, rollback
from retrieval.store.objects import ObjectStore, open_store
from schemas.delta import DeltaManifest, delta_key
from schemas.errors import BadData, Corrupt
from schemas.manifest import Manifest, build_key
from schemas.pointer import Pointer

_STORE = click.option(
    "--store", "store_uri", envvar="SHOPLENS_STORE", show_envvar=True, required=True,
    help="folder or s3:// prefix of the object store",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="one JSON document on standard output")


@click.group()
def index() -> None:
    """Builds of the index, their deltas, and CURRENT, which says what is live."""


@index.command("list")
@_STORE
@_JSON
def list_command(store_uri: str, as_json: bool) -> None:
    """List the builds in the store, each with its deltas; what is live, previous, or not whole is marked."""
    store = open_store(store_uri)
    found = read_pointer(store)
    builds = summarise_store(BUILD_FOLDERS.list_all(store), DELTA_FOLDERS.list_all(store), found[0] if found else None)
    if as_json:
        _print_json(builds)
        return
    tables = tables_of(builds)
    _console().print(*(tables or (f"no builds in {store.uri}",)))


@index.command("show")
@click.argument("what", default="CURRENT")
@_STORE
@_JSON
def show_command(what: str, store_uri: str, as_json: bool) -> None:
    """Show CURRENT with its history, or the manifest and evaluation of one build or delta."""
    store = open_store(store_uri)
    if what == "CURRENT":
        pointer = _pointer(store)
        _print_json(asdict(pointer)) if as_json else _console().print(describe_pointer(pointer), history_of(pointer))
        return
    shown = _describe(store, what)
    if as_json:
        _print_json(shown)
        return
    _console().print_json(json.dumps(shown))


@index.command("verify")
@click.argument("folder_id", metavar="[BUILD|DELTA]", required=False)
@click.option("--all", "everything", is_flag=True, help="every build and delta in the store")
@_STORE
@_JSON
def verify_command(folder_id: str | None, everything: bool, store_uri: str, as_json: bool) -> None:
    """Read every byte of one build or delta (what is live if none is named) and compare it with its manifest.

    Exit 65 on damage.
    """
    store = open_store(store_uri)
    results = [
        _verify(name, files) for name, files in (_everything(store) if everything else _named(store, folder_id)).items()
    ]
    if as_json:
        _print_json(results)
    elif not results:
        click.echo(f"no builds or deltas in {store.uri}")
    else:
        for result in results:
            click.echo(f"{result['id']}: {result['problem'] or 'whole, {} bytes'.format(result['bytes'])}")
    damaged = [result for result in results if result["problem"]]
    if damaged:
        raise BadData(
            f"{len(damaged)} of {len(results)} are damaged: remove them and run build_index, or build_delta, again"
        )


@index.command("rollback")
@click.option("--to", help="build id or generation (default: the previous build)")
@click.option("--reason", default="rolled back", show_default=True, help="kept in CURRENT until release")
@_STORE
@_JSON
def rollback_command(to: str | None, reason: str, store_uri: str, as_json: bool) -> None:
    """Make the previous build live again and hold publishing until `shoplens index release`."""
    pointer = rollback(open_store(store_uri), to, by=_operator(), reason=reason)
    _tell(pointer, as_json, f"generation {pointer.generation}: {name_of(pointer.live)} is live; publishing is on hold")


@index.command("release")
@_STORE
@_JSON
def release_command(store_uri: str, as_json: bool) -> None:
    """Let publishing go on after a rollback."""
    pointer = release(open_store(store_uri))
    _tell(pointer, as_json, f"generation {pointer.generation}: {name_of(pointer.live)} is live; publishing goes on")


def _pointer(store: ObjectStore) -> Pointer:
    found = read_pointer(store)
    return require_pointer(store, found[0] if found else None)


def _describe(store: ObjectStore, folder_id: str) -> dict[str, Any]:
    if found := store.get(build_key(folder_id)):
        manifest = asdict(Manifest.from_json(found.data, build_key(folder_id)))
    elif found := store.get(delta_key(folder_id)):
        manifest = asdict(DeltaManifest.from_json(found.data, delta_key(folder_id)))
    else:
        raise _not_there(store, folder_id)
    return {"manifest": manifest, "evaluation": _evaluation(store, f"evaluations/{folder_id}.json")}


def _evaluation(store: ObjectStore, key: str) -> Any:
    found = store.get(key)
    try:
        return json.loads(found.data) if found else None
    except ValueError as error:
        raise Corrupt(key, "an evaluation", repr(error), "run evaluate_index, or evaluate_delta, again") from error


def _not_there(store: ObjectStore, folder_id: str) -> BadData:
    return BadData(f"there is no build or delta {folder_id} in {store.uri}: see `shoplens index list`")


_Files = dict[str, Iterator[tuple[str, int]]]


def _named(store: ObjectStore, folder_id: str | None) -> _Files:
    if folder_id is None:
        live = _pointer(store).live
        of_delta = {live.delta_id: DELTA_FOLDERS.verify(store, live.delta_id)} if live.delta_id else {}
        return {live.build_id: BUILD_FOLDERS.verify(store, live.build_id), **of_delta}
    is_delta = store.get(build_key(folder_id)) is None
    if is_delta and store.get(delta_key(folder_id)) is None:
        raise _not_there(store, folder_id)
    return {folder_id: DELTA_FOLDERS.verify(store, folder_id) if is_delta else BUILD_FOLDERS.verify(store, folder_id)}


def _everything(store: ObjectStore) -> _Files:
    builds = {found.folder_id: BUILD_FOLDERS.verify(store, found.folder_id) for found in BUILD_FOLDERS.list_all(store)}
    deltas = {found.folder_id: DELTA_FOLDERS.verify(store, found.folder_id) for found in DELTA_FOLDERS.list_all(store)}
    return builds | deltas


def _verify(folder_id: str, files: Iterator[tuple[str, int]]) -> dict[str, Any]:
    read_bytes, problem = 0, None
    try:
        for _, size in _with_progress(folder_id, files):
            read_bytes += size
    except BadData as error:
        problem = str(error)
    return {"id": folder_id, "bytes": read_bytes, "problem": problem}


def _with_progress(label: str, files: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """A bar on a terminal, nothing off it."""
    if not sys.stderr.isatty():
        yield from files
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        for name, size in files:
            bar.update(task, description=f"{label} {name}", advance=size)
            yield name, size


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"


def _tell(pointer: Pointer, as_json: bool, line: str) -> None:
    if as_json:
        _print_json(asdict(pointer))
    else:
        click.echo(line)


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, sort_keys=True, indent=1))


def _console() -> Console:
    """As wide as it needs to be off a terminal, where nobody can resize it. Brackets in reasons and ids are no markup."""
    return Console(markup=False) if sys.stdout.isatty() else Console(width=200, no_color=True, markup=False)
