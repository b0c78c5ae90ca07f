"""`shoplens index`: what builds there are, which is live, whether they are whole, and the way back."""

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
from rich.table import Table

from retrieval.builds import StoredBuild, list_builds, verify_build
from retrieval.objects import ObjectStore, open_store
from retrieval.publishing import read_pointer, release, rollback
from schemas.errors import BadData
from schemas.manifest import Manifest, build_key
from schemas.pointer import Pointer

_STORE = click.option(
    "--store", "store_uri", envvar="SHOPLENS_STORE", show_envvar=True, required=True,
    help="folder or s3:// prefix of the object store",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="one JSON document on standard output")


@click.group()
def index() -> None:
    """Builds of the index, and CURRENT, which says what is live."""


@index.command("list")
@_STORE
@_JSON
def list_command(store_uri: str, as_json: bool) -> None:
    """List the builds in the store; what is live, previous, or not whole is marked."""
    store = open_store(store_uri)
    roles = _roles(store)
    builds = [_summary(build, roles.get(build.build_id, "")) for build in list_builds(store)]
    if as_json:
        _print_json(builds)
        return
    table = Table("build", "state", "interval end", "rows", "products", "index", "recall@10", "MB")
    for build in builds:
        table.add_row(*(_cell(build.get(name)) for name in _SUMMARY))
    _console().print(table if builds else f"no builds in {store.uri}")


@index.command("show")
@click.argument("what", default="CURRENT")
@_STORE
@_JSON
def show_command(what: str, store_uri: str, as_json: bool) -> None:
    """Show CURRENT with its history, or the manifest and evaluation of one BUILD."""
    store = open_store(store_uri)
    if what == "CURRENT":
        pointer = _pointer(store)
        _print_json(asdict(pointer)) if as_json else _console().print(_describe_pointer(pointer), _history(pointer))
        return
    shown = _describe_build(store, what)
    if as_json:
        _print_json(shown)
        return
    _console().print_json(json.dumps(shown))


@index.command("verify")
@click.argument("build_id", required=False)
@click.option("--all", "all_builds", is_flag=True, help="every build in the store")
@_STORE
@_JSON
def verify_command(build_id: str | None, all_builds: bool, store_uri: str, as_json: bool) -> None:
    """Read every byte of BUILD (the live one if none is named) and compare it with its manifest. Exit 65 on damage."""
    store = open_store(store_uri)
    if all_builds:
        chosen = [build.build_id for build in list_builds(store)]
    else:
        chosen = [build_id or _pointer(store).live.build_id]
    results = [_verify(store, name) for name in chosen]
    if as_json:
        _print_json(results)
    else:
        for result in results:
            click.echo(f"{result['build_id']}: {result['problem'] or 'whole, {} bytes'.format(result['bytes'])}")
    damaged = [result for result in results if result["problem"]]
    if damaged:
        raise BadData(f"{len(damaged)} of {len(results)} builds are damaged: remove them and run build_index again")


@index.command("rollback")
@click.option("--to", help="build id or generation (default: the previous build)")
@click.option("--reason", default="rolled back", show_default=True, help="kept in CURRENT until release")
@_STORE
@_JSON
def rollback_command(to: str | None, reason: str, store_uri: str, as_json: bool) -> None:
    """Make the previous build live again and hold publishing until `shoplens index release`."""
    pointer = rollback(open_store(store_uri), to, by=_operator(), reason=reason)
    _tell(pointer, as_json, f"generation {pointer.generation}: {pointer.live.build_id} is live; publishing is on hold")


@index.command("release")
@_STORE
@_JSON
def release_command(store_uri: str, as_json: bool) -> None:
    """Let publishing go on after a rollback."""
    pointer = release(open_store(store_uri))
    _tell(pointer, as_json, f"generation {pointer.generation}: {pointer.live.build_id} is live; publishing goes on")


_SUMMARY = ("build_id", "state", "interval_end", "rows", "products", "index", "recall", "mb")


def _summary(build: StoredBuild, role: str) -> dict[str, Any]:
    manifest = build.manifest
    if manifest is None:
        return {"build_id": build.build_id, "state": f"broken: {build.problem}"}
    return {
        "build_id": build.build_id, "state": role, "interval_end": manifest.interval_end, "rows": manifest.rows,
        "products": manifest.products, "index": manifest.factory, "recall": manifest.recall.get("photo"),
        "mb": round(sum(entry.bytes for entry in manifest.files.values()) / 1e6, 1), "model_id": manifest.model_id,
    }  # fmt: skip


def _roles(store: ObjectStore) -> dict[str, str]:
    found = read_pointer(store)
    if found is None:
        return {}
    pointer = found[0]
    roles = {line.live.build_id: "in history" for line in pointer.history}
    for role in ("candidate", "previous", "live"):
        if served := getattr(pointer, role):
            roles[served.build_id] = role
    return roles


def _pointer(store: ObjectStore) -> Pointer:
    found = read_pointer(store)
    if found is None:
        raise BadData(f"{store.uri} has no CURRENT: nothing was published yet")
    return found[0]


def _describe_pointer(pointer: Pointer) -> Table:
    table = Table("CURRENT", f"generation {pointer.generation}")
    held = f"{pointer.hold.reason} (by {pointer.hold.by})" if pointer.hold else "no"
    lines = {
        "live": pointer.live.build_id, "model": pointer.live.model_id,
        "previous": pointer.previous.build_id if pointer.previous else "", "interval end": pointer.interval_end,
        "on hold": held, "covers": ", ".join(f"{t} @{v}" for t, v in sorted(pointer.source_versions.items())),
    }  # fmt: skip
    for name, value in lines.items():
        table.add_row(name, value)
    return table


def _history(pointer: Pointer) -> Table:
    table = Table("generation", "build", "interval end", "publish id")
    for line in pointer.history:
        table.add_row(str(line.generation), line.live.build_id, line.interval_end, line.publish_id)
    return table


def _describe_build(store: ObjectStore, build_id: str) -> dict[str, Any]:
    found = store.get(build_key(build_id))
    if found is None:
        raise BadData(f"there is no build {build_id} in {store.uri}: see `shoplens index list`")
    evaluation = store.get(f"evaluations/{build_id}.json")
    return {
        "manifest": asdict(Manifest.from_json(found.data, build_key(build_id))),
        "evaluation": json.loads(evaluation.data) if evaluation else None,
    }


def _verify(store: ObjectStore, build_id: str) -> dict[str, Any]:
    read_bytes, problem = 0, None
    try:
        for _, size in _with_progress(build_id, verify_build(store, build_id)):
            read_bytes += size
    except BadData as error:
        problem = str(error)
    return {"build_id": build_id, "bytes": read_bytes, "problem": problem}


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


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _console() -> Console:
    """As wide as it needs to be off a terminal, where nobody can resize it."""
    return Console() if sys.stdout.isatty() else Console(width=200, no_color=True)
