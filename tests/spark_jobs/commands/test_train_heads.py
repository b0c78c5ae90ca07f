"""Training as a user runs it, on a handful of photos: what it writes loads, and unseen senders are never read."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from schemas.errors import BadData
from spark_jobs.commands.train_heads import split_catalog, train_heads
from spark_jobs.models.packaged import HEADS_FILE, PACKAGED_FOLDER, load_packaged_model

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


def test_rows_that_cannot_be_trained_on_are_counted_by_reason(catalog, capsys):
    with (catalog / "rows.csv").open("a") as rows:
        rows.write("7,hat,red,262,\n8,,red,262,0.png\n9,,red,262,1.png\n")
    split_catalog(catalog, catalog / "mapping.toml", "sender_id", validate=False)
    assert "were left out: 2 no_category, 1 no_image" in capsys.readouterr().err


def test_a_block_that_cannot_be_trained_is_refused(catalog):
    arguments = ["--catalog", str(catalog), "--mapping", str(catalog / "mapping.toml"), "--out", str(catalog / "o")]
    result = CliRunner().invoke(train_heads, [*arguments, "--start", "2.0"])
    assert isinstance(result.exception, BadData)


def run_training(catalog, out, *more):
    arguments = ["--catalog", str(catalog), "--mapping", str(catalog / "mapping.toml"), "--out", str(out)]
    options = ["--start", "7.0", "--members", "2", "--steps", "2", "--views", "2", "--batch", "4"]
    result = CliRunner().invoke(train_heads, [*arguments, *options, *more])
    assert result.exit_code == 0, result.exception
    return json.loads((out / "training.json").read_text())


@pytest.mark.full
def test_what_training_writes_loads_and_differs_from_what_is_packaged(catalog):
    record = run_training(catalog, catalog / "trained")
    trained, _ = load_packaged_model(catalog / "trained")
    packaged, _ = load_packaged_model(PACKAGED_FOLDER)
    assert not torch.equal(trained.text.proj.weight, packaged.text.proj.weight)
    assert (record["photos"], record["settings"]["members"]) == ({catalog.name: 5}, 2)


@pytest.mark.full
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(catalog):
    for name, seed in (("one", "3"), ("two", "3"), ("three", "4")):
        run_training(catalog, catalog / name, "--seed", seed)
    one, two, three = ((catalog / name / HEADS_FILE).read_bytes() for name in ("one", "two", "three"))
    assert one == two
    assert one != three


@pytest.mark.full
def test_figures_on_validation_senders_stand_beside_those_of_the_bare_backbone(catalog):
    record = run_training(catalog, catalog / "validated", "--validate")
    assert record["photos_kept_back_for_validation"] == {catalog.name: 1}
    assert set(record["validation"][catalog.name]) == {"trained", "bare backbone"}


@pytest.mark.full
def test_a_catalog_without_one_readable_photo_says_why(catalog, tmp_path):
    for photo in catalog.glob("*.png"):
        photo.unlink()
    arguments = ["--catalog", str(catalog), "--mapping", str(catalog / "mapping.toml"), "--out", str(tmp_path / "o")]
    result = CliRunner().invoke(train_heads, [*arguments, "--start", "7.0", "--views", "2", "--batch", "4"])
    assert isinstance(result.exception, BadData)
    assert "none of 5 photos could be read (most: not_found)" in str(result.exception)
