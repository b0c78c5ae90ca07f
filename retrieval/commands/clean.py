"""`shoplens clean`: what nothing needs any more leaves the object store."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from retrieval.publishing.sweep import Survey, remove, survey
from retrieval.store.objects import open_store
from schemas.intervals import parse_time

_SHOWN = 200
_COUNTED = ("receipt", "evaluation")


@click.command()
@click.option(
    "--store", "store_uri", envvar="SHOPLENS_STORE", show_envvar=True, required=True,
    help="folder or s3:// prefix of the object store",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="remove what was found; without it nothing changes")
@click.option("--as-of", help="ages count to this moment, ISO 8601 with a zone (default: now)")
@click.option("--json", "as_json", is_flag=True, help="one JSON document on standard output")
def clean(store_uri: str, yes: bool, as_of: str | None, as_json: bool) -> None:
    """Show, or with --yes remove, what no generation of CURRENT names and what is older than seven days.

    That is builds, deltas, models, uploads that never ended, and thumbnails that nothing kept shows; and receipts after
    90 days. Do it while no index job runs. The weekly DAG does the same, and tends the lake's tables as well.
    """
    store = open_store(store_uri)
    found = survey(store, parse_time(as_of) if as_of else datetime.now(UTC))
    removed = dict(remove(store, found)) if yes else None
    if as_json:
        click.echo(json.dumps(_document(found, removed), sort_keys=True, indent=1))
        return
    for line in _lines(found):
        click.echo(line)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if not found.counts():
        click.echo(f"nothing in {store.uri} may go")
    elif removed is None:
        click.echo(f"{_totals(found)} may go. Nothing was removed: --yes does it")
    else:
        click.echo(f"removed: {_counted(removed) or 'nothing'}")


def _lines(found: Survey) -> list[str]:
    """One line a thing; receipts, figures and tiles are only counted."""
    shown = [removal for removal in found.removals if removal.kind not in _COUNTED]
    lines = [f"{gone.kind:10} {gone.name}  {_mb(gone.bytes)}  {gone.reason}" for gone in shown[:_SHOWN]]
    return [*lines, f"… and {len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else lines


def _totals(found: Survey) -> str:
    return f"{_counted(found.counts())}: {_mb(found.bytes)}"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}{'s' if count != 1 else ''}" for kind, count in sorted(counts.items()))


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _document(found: Survey, removed: dict[str, int] | None) -> dict[str, object]:
    return {
        "found": [asdict(removal) for removal in found.removals],
        "thumbnails": len(found.thumbnails),
        "unfinished_uploads": [upload.key for upload in found.uploads],
        "bytes": found.bytes,
        "notes": found.notes,
        "removed": removed,
    }
