"""What the demo asks of a folder of the user's own, and how it shows the answers."""

import io
from pathlib import Path

from PIL import Image
from rich.console import Console

from demo.first_answers import Answer, photo_question, print_answers
from demo.run import own_questions


def test_an_own_folder_is_asked_with_photos_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"<html>not found</html>")
    (tmp_path / "b.JPG").mkdir()
    (tmp_path / "c.jpg").symlink_to("nowhere.jpg")
    for name in ("d.png", "e.webp", "f.jpeg", "g.jpg"):
        Image.new("RGB", (40, 40), "red").save(tmp_path / name)
    assert [question.shown for question in own_questions(tmp_path)] == ["d.png", "e.webp", "f.jpeg"]


def test_brackets_in_names_and_titles_are_shown_as_they_are() -> None:
    result = {"score": 0.5, "title": "[/b] hat", "product_id": "[sale]"}
    written = io.StringIO()
    print_answers([Answer(photo_question("[/x].jpg", b""), [result], 1.0, 1)], Console(file=written, width=100))
    assert "[/x].jpg" in written.getvalue()
    assert "[/b] hat ([sale])" in written.getvalue()
