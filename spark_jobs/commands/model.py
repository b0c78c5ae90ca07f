"""`shoplens model`: make, look at and check model bundles."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from retrieval.encoders.bundles import default_cache_folder, locate_bundle, read_bundle, refingerprint, verify_bundle
from retrieval.store.objects import open_store
from schemas.bundle import WEIGHTS_FILE, Bundle

_HEAVY_COMMANDS: Mapping[str, tuple[str, str]] = {
    "export": ("spark_jobs.models.export", "export"),
    "names": ("spark_jobs.commands.model_names", "names"),
    "train-heads": ("spark_jobs.commands.train_heads", "train_heads"),
}


class ModelCommands(click.Group):
    """Imports torch only for the commands that need it: `show` and `verify` also run where there is none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_HEAVY_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _HEAVY_COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, attribute = _HEAVY_COMMANDS[cmd_name]
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            raise click.ClickException(
                f"model {cmd_name} needs {error.name}: run it in the pipeline environment"
            ) from None
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List without importing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _SUMMARIES.get(name, "")) for name in self.list_commands(ctx)])


_SUMMARIES = {
    "export": "Write a model bundle and print its model id.",
    "names": "List the open_clip models and their weights.",
    "show": "Show what a bundle holds.",
    "train-heads": "Train the packaged model's projection heads.",
    "verify": "Check a bundle file by file.",
}


@click.group(cls=ModelCommands)
def model() -> None:
    """Model bundles: what embeds photos and words."""


_bundle = click.argument("bundle")
_store = click.option("--store", help="Object store, where BUNDLE is a model id.")


@model.command()
@_bundle
@_store
@click.option("--json", "as_json", is_flag=True, help="Print bundle.json.")
def show(bundle: str, store: str | None, as_json: bool) -> None:
    """Show what BUNDLE, a folder or a model id, holds."""
    described = read_bundle(_folder_of(bundle, store))
    if as_json:
        click.echo(json.dumps(json.loads(described.to_json())))
        return
    Console().print(_table(described))


@model.command()
@_bundle
@_store
def verify(bundle: str, store: str | None) -> None:
    """Check every file of BUNDLE, and that its weights are those that its id names."""
    folder = _folder_of(bundle, store)
    described = verify_bundle(folder)
    if (folder / WEIGHTS_FILE).exists():
        refingerprint(folder)
    click.echo(f"{described.model_id} is whole: {len(described.files)} files")


def _folder_of(bundle: str, store: str | None) -> Path:
    if store is None:
        return Path(bundle)
    return locate_bundle(open_store(store), bundle, default_cache_folder(), weights=True)


def _table(bundle: Bundle) -> Table:
    table = Table(title=bundle.model_id, show_header=False)
    pixels = bundle.preprocessing
    table.add_row("name", bundle.name)
    table.add_row("fingerprint", bundle.fingerprint)
    table.add_row("dimension", str(bundle.dimension))
    table.add_row("photos", f"{pixels.image_size} px, {pixels.resize_mode}, {pixels.interpolation}")
    table.add_row("words", f"{bundle.text_input.context_length} tokens" if bundle.text_input else "no text tower")
    for name, file in bundle.files.items():
        table.add_row(name, f"{file.bytes / 1e6:.1f} MB  {file.sha256[:12]}")
    for name, value in bundle.metrics.items():
        table.add_row(name, json.dumps(value))
    return table
