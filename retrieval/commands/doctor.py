"""`shoplens doctor`: what is wrong with a deployment, and what to do about it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

import click

from retrieval.diagnosis.conditional_writes import check_store
from retrieval.diagnosis.findings import Finding, State, exit_code_of, found_by
from retrieval.diagnosis.host import check_clock, check_disks, check_folder
from retrieval.diagnosis.published import check_published
from retrieval.encoders.bundles import default_cache_folder
from retrieval.store.objects import ObjectStore, open_store
from schemas.errors import EXIT_TRY_AGAIN

LAKE_CHECKS = "shoplens.lake_checks"
"""Entry points (lake, store) → findings: reading Delta tables takes Spark, which not every environment has."""

_COLOURS = {State.OK: "green", State.NOT_CHECKED: "blue", State.WARNING: "yellow", State.WRONG: "red"}


@click.command()
@click.option(
    "--store", "store_uri", envvar="SHOPLENS_STORE", show_envvar=True, required=True,
    help="folder or s3:// prefix of the object store",
)  # fmt: skip
@click.option("--lake", help="folder or s3:// prefix of the tables; checked in the pipeline environment")
@click.option("--cache", type=click.Path(path_type=Path), help="a searcher's cache folder (default: SHOPLENS_CACHE)")
@click.option("--json", "as_json", is_flag=True, help="one JSON document on standard output")
def doctor(store_uri: str, lake: str | None, cache: Path | None, as_json: bool) -> None:
    """Check a deployment from this machine: store, clock, what CURRENT names, models, disks, and the lake.

    The store is tried with keys of its own under doctor/, which are removed. One line a check; ends with 0, with 75
    where something did not answer, and with 78 where a person must change something.
    """
    store = open_store(store_uri)
    findings = []
    for finding in _examine(store, open_store(store_uri), lake, cache or _default_cache()):
        findings.append(finding)
        if not as_json:
            click.echo(_line(finding))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    if code := exit_code_of(findings):
        raise click.exceptions.Exit(code)


def _examine(store: ObjectStore, other: ObjectStore, lake: str | None, cache: Path) -> Iterator[Finding]:
    if missing := check_folder(store):
        yield missing
        return
    clock = found_by("clock", check_clock, store)
    yield clock
    if clock.state is State.WRONG and clock.exit_code == EXIT_TRY_AGAIN:
        return  # a store that does not answer would not answer the others either, each after its time
    yield from check_store(store, other)
    yield from check_published(store)
    yield from check_disks(store, cache)
    if lake:
        yield from _check_lake(lake, store)


def _check_lake(lake: str, store: ObjectStore) -> Iterator[Finding]:
    for point in entry_points(group=LAKE_CHECKS):
        try:
            check = cast(Callable[[str, ObjectStore], Iterator[Finding]], point.load())
        except ImportError as error:
            yield Finding("lake", State.NOT_CHECKED, f"it takes {error.name}", "run it from the pipeline environment")
            continue
        yield from check(lake, store)


def _line(finding: Finding) -> str:
    state = click.style(f"{finding.state.value:11}", fg=_COLOURS[finding.state])
    remedy = f": {finding.remedy}" if finding.remedy else ""
    return f"{state} {finding.check:24} {finding.says}{remedy}"


def _default_cache() -> Path:
    """SHOPLENS_CACHE, as the searcher reads it, or where commands keep their copies."""
    return default_cache_folder().parent
