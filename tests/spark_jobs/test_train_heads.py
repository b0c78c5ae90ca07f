"""Training as a user runs it, on a handful of photos: what it writes loads, and unseen senders are never read."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from schemas.errors import BadData
from spark_jobs.packaged_model import PACKAGED_FOLDER, load_packaged_model
from spark_jobs.train_heads import split_catalog, train_heads

MAPPING = """
[source]
path = "rows.csv"
[columns]
product_id = "sku"
category = "kind"
colour = "colour"
[images]
columns = ["photo"]
[attributes]
sender_id = "sender"
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Six photos of two categories; sender 262 is of part 3, sender 48 of part 1, sender 310 of the unseen part 4."""
    rows = ["sku,kind,colour,sender,photo"]
    for number, sender in enumerate(("262", "262", "262", "262", "48", "310")):
        kind, colour = ("hat", "red") if number % 2 else ("bag", "blue")
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"{number}.png")
        rows.append(f"{number},{kind},{colour},{sender},{number}.png")
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "mapping.toml").write_text(MAPPING)
    return tmp_path


def test_unseen_senders_are_left_out_and_validation_senders_kept_back_only_where_asked(catalog):
    def ids(photos):
        return [photo.value("product_id") for photo in photos]

    final = split_catalog(catalog, catalog / "mapping.toml", "sender_id", validate=False)
    chosen = split_catalog(catalog, catalog / "mapping.toml", "sender_id", validate=True)
    assert (ids(final.train), ids(final.validation)) == (["0", "1", "2", "3", "4"], [])
    assert (ids(chosen.train), ids(chosen.validation)) == (["0", "1", "2", "3"], ["4"])


def test_a_block_that_cannot_be_trained_is_refused(catalog):
    arguments = ["--catalog", str(catalog), "--mapping", str(catalog / "mapping.toml"), "--out", str(catalog / "o")]
    result = CliRunner().invoke(train_heads, [*arguments, "--start", "2.0"])
    assert isinstance(result.exception, BadData)


@pytest.mark.full
def test_what_training_writes_loads_and_differs_from_what_is_packaged(catalog):
    out = catalog / "trained"
    arguments = ["--catalog", str(catalog), "--mapping", str(catalog / "mapping.toml"), "--out", str(out)]
    options = ["--start", "7.0", "--steps", "2", "--views", "2", "--batch", "4"]
    result = CliRunner().invoke(train_heads, [*arguments, *options])
    assert result.exit_code == 0, result.exception
    trained, _ = load_packaged_model(out)
    packaged, _ = load_packaged_model(PACKAGED_FOLDER)
    assert not torch.equal(trained.text.proj.weight, packaged.text.proj.weight)
    assert json.loads((out / "training.json").read_text())["photos"] == {catalog.name: 5}
