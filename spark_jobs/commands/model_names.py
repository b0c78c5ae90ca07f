"""`shoplens model names`: what open_clip can load by name."""

import json

import click
import open_clip


@click.command()
@click.argument("containing", default="")
@click.option("--json", "as_json", is_flag=True)
def names(containing: str, as_json: bool) -> None:
    """List open_clip models whose name holds CONTAINING, with the tags of their weights."""
    found = {
        name: open_clip.list_pretrained_tags_by_model(name)
        for name in open_clip.list_models()
        if containing.lower() in name.lower()
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, tags in found.items():
        click.echo(f"{name}: {', '.join(tags) or 'no weights'}")
