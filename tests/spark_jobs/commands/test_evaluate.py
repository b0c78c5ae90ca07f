"""`shoplens evaluate` on a catalog of four colours, with the smallest model there is."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from schemas.errors import BadData, ModelUnavailable, ShopLensError
from spark_jobs.commands.evaluate import evaluate
from tests.retrieval.encoders.tiny_model import tiny_bundle_folder

MAPPING = """
[source]
format = "csv"
path = "rows.csv"
[columns]
product_id = "sku"
category = "kind"
[images]
columns = ["photo"]
[attributes]
sender_id = "sender"
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Two red hats and two blue bags, each photo the twin of another; a fifth photo is missing."""
    folder = tmp_path / "shop"
    folder.mkdir()
    Image.new("RGB", (40, 40), "red").save(folder / "red.png")
    Image.new("RGB", (40, 40), "blue").save(folder / "blue.png")
    rows = ["1,hat,181,red.png", "2,hat,181,red.png", "3,bag,48,blue.png", "4,bag,262,blue.png", "5,bag,48,gone.png"]
    (folder / "rows.csv").write_text("\n".join(["sku,kind,sender,photo", *rows]) + "\n")
    (folder / "mapping.toml").write_text(MAPPING)
    return folder


def run(catalog: Path, *options: str) -> Result:
    required = ["--catalog", str(catalog), "--mapping", str(catalog / "mapping.toml")]
    model = [] if "--model" in options else ["--model", str(tiny_bundle_folder())]
    return CliRunner().invoke(evaluate, [*required, *model, *options])


def report_of(catalog: Path, *options: str) -> dict:
    result = run(catalog, "--json", *options)
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def error_of(result: Result) -> ShopLensError:
    assert isinstance(result.exception, ShopLensError), result.exception
    assert "\n" not in str(result.exception)
    return result.exception


def test_twins_find_each_other_and_the_missing_photo_is_counted(catalog):
    report = report_of(catalog)
    assert report["gallery_photos"] == 4
    assert report["rejected"] == {"not_found": 1}
    assert report["image_to_image"]["all"]["p_at_1"] == 1.0
    assert set(report["image_to_image"]["by_category"]) == {"bag", "hat"}
    assert report["text_to_image"]["all"]["queries"] == 2


def test_rows_that_cannot_be_read_are_rejected_and_said(catalog):
    table = catalog / "rows.csv"
    whole = table.read_text()
    table.write_text(whole.replace("4,bag", '4,"bag'))
    assert report_of(catalog)["rejected"] == {"row_unreadable": 2}
    assert "rejected: 2 row_unreadable" in run(catalog).output
    table.write_text(whole.replace("1,hat", '1,"hat'))
    assert "no row with a photo (5 row_unreadable)" in str(error_of(run(catalog)))


def test_photos_of_the_same_sender_can_be_hidden(catalog):
    figures = report_of(catalog, "--exclude-same", "sender_id")["image_to_image"]["by_category"]
    assert (figures["hat"]["queries"], figures["hat"]["unanswerable"]) == (0, 2)
    assert figures["hat"]["p_at_1"] is None
    assert figures["bag"]["p_at_1"] == 1.0


def test_only_unseen_senders_are_kept_where_asked(catalog):
    # Of 181, 48 and 262 none is unseen.
    assert "no photo is left" in str(error_of(run(catalog, "--unseen-senders")))


def test_a_catalog_without_rows_says_so(catalog):
    table = catalog / "rows.csv"
    table.write_text(table.read_text().splitlines()[0] + "\n")
    assert "the catalog has no row with a photo" in str(error_of(run(catalog)))


def test_queries_may_come_from_another_catalog(catalog, tmp_path):
    asked = tmp_path / "asked"
    asked.mkdir()
    Image.new("RGB", (40, 40), "blue").save(asked / "blue.png")
    (asked / "rows.csv").write_text("sku,kind,sender,photo\n9,bag,7,blue.png\n")
    report = report_of(catalog, "--queries", str(asked))
    assert (report["gallery_photos"], report["query_photos"]) == (4, 1)
    assert report["image_to_image"]["all"]["map_at_10"] == 1.0


def test_words_for_categories_may_be_given(catalog, tmp_path):
    words = tmp_path / "words.json"
    words.write_text("\ufeff" + json.dumps({"hat": ["a red hat", "headwear"]}))
    assert report_of(catalog, "--text-queries", str(words))["text_to_image"]["all"]["queries"] == 2


def test_a_limit_spreads_over_the_catalog(catalog):
    assert report_of(catalog, "--limit", "2")["gallery_photos"] == 2


def test_a_table_and_a_plot_for_people(catalog, tmp_path):
    plot = tmp_path / "figures.png"
    result = run(catalog, "--plot", str(plot))
    assert "mean over categories" in result.output
    assert Image.open(plot).width > 100


def test_a_plot_of_categories_in_another_script_is_drawn_without_a_word(catalog, tmp_path, recwarn):
    rows = (catalog / "rows.csv").read_text()
    (catalog / "rows.csv").write_text(rows.replace("hat", "帽子"))
    result = run(catalog, "--plot", str(tmp_path / "figures.svg"))
    assert result.exit_code == 0, result.exception
    assert "帽子" in (tmp_path / "figures.svg").read_text()
    assert not [said for said in recwarn if "Glyph" in str(said.message)]


def test_an_unmapped_label_is_answered_with_what_there_is(catalog):
    assert "category" in str(error_of(run(catalog, "--label", "fabric")))


def test_words_that_are_no_json_are_refused(catalog, tmp_path):
    words = tmp_path / "words.json"
    words.write_text("hat")
    assert isinstance(error_of(run(catalog, "--text-queries", str(words))), BadData)


def test_words_that_stand_in_no_list_are_refused_and_not_taken_letter_by_letter(catalog, tmp_path):
    words = tmp_path / "words.json"
    words.write_text('{"hat": "a red hat"}')
    assert "no list" in str(error_of(run(catalog, "--text-queries", str(words))))


def test_brackets_and_dollars_in_a_category_are_signs_like_any_other(catalog, tmp_path):
    rows = (catalog / "rows.csv").read_text()
    (catalog / "rows.csv").write_text(rows.replace("hat", "[/b] hat").replace("bag", r"$\frac$"))
    result = run(catalog, "--plot", str(tmp_path / "figures.png"))
    assert result.exit_code == 0, result.exception
    assert "[/b] hat" in result.output


def test_an_unknown_model_is_refused_in_one_line(catalog):
    assert isinstance(error_of(run(catalog, "--model", "ViT-Z-99")), ModelUnavailable)


def test_a_catalog_without_one_readable_photo_says_why(catalog):
    for photo in catalog.glob("*.png"):
        photo.unlink()
    assert "not_found" in str(error_of(run(catalog)))
