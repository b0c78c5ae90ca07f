"""`shoplens key create`: a new API key, shown once, and the line to store."""

import click

from online.access.keys import KEYS_FILE, Scope, create_key


@click.group("key")
def key() -> None:
    """API keys of the searcher."""


@key.command("create")
@click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice([*map(str, Scope)]), help="May be repeated."
)
@click.option("--name", default="", help="Whose key it is, for people who read the file.")
def create(scopes: tuple[Scope, ...], name: str) -> None:
    """Make a key. Standard output has the line to store, standard error the key itself, which is kept nowhere."""
    sent, stored = create_key(map(Scope, scopes), name)
    click.echo(f"the key, shown only now: {sent}", err=True)
    click.echo(f"its line, for the file that {KEYS_FILE} names:", err=True)
    click.echo(stored.line)
