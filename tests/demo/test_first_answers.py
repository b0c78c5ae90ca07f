"""What the demo asks of a folder of the user's own, and how it shows the answers."""

import io
from pathlib import Path

from PIL import Image
from rich.console import Console

from demo.first_answers import Answer, photo_question, print_answers
from demo.run import own_questions
from schemas.mapping import parse_mapping

MAPPING = parse_mapping(
    {"source": {"path": "rows.csv"}, "columns": {"product_id": "sku", "title": "name"}, "images": {"column": "photo"}},
    "m.toml",
)


def test_an_own_folder_is_asked_with_photos_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"<html>not found</html>")
    (tmp_path / "b.JPG").mkdir()
    (tmp_path / "c.jpg").symlink_to("nowhere.jpg")
    for name in ("d.png", "e.webp", "f.jpeg", "g.jpg"):
        Image.new("RGB", (40, 40), "red").save(tmp_path / name)
    assert [question.shown for question in own_questions(tmp_path, MAPPING)] == ["d.png", "e.webp", "f.jpeg"]


def test_a_catalog_whose_photos_are_elsewhere_is_asked_with_words(tmp_path: Path) -> None:
    assert own_questions(tmp_path, MAPPING) == []
    rows = "sku,name,photo\n1,Coat,https://shop.example/1.jpg\n2,Coat,https://shop.example/2.jpg\n3,,https://shop.example/3.jpg\n"
    (tmp_path / "rows.csv").write_text(rows + "4,帽子,https://shop.example/4.jpg\n")
    assert [question.shown for question in own_questions(tmp_path, MAPPING)] == ["Coat", "帽子"]


def test_a_product_without_a_title_is_shown_by_its_id() -> None:
    result = {"score": 0.5, "title": None, "product_id": "7"}
    written = io.StringIO()
    print_answers([Answer(photo_question("a.jpg", b""), [result], 1.0, 1)], Console(file=written, width=100))
    assert "0.500 (7)" in written.getvalue()


def test_brackets_in_names_and_titles_are_shown_as_they_are() -> None:
    result = {"score": 0.5, "title": "[/b] hat", "product_id": "[sale]"}
    written = io.StringIO()
    print_answers([Answer(photo_question("[/x].jpg", b""), [result], 1.0, 1)], Console(file=written, width=100))
    assert "[/x].jpg" in written.getvalue()
    assert "[/b] hat ([sale])" in written.getvalue()
