"""What fuzzing starts from, and what it once found, is judged in every run of the tests."""

from pathlib import Path

import pytest

from schemas.errors import PhotoRejected
from tests.fuzz import photo_rules
from tests.fuzz.draw_seeds import draw_photos
from tests.fuzz.photo_rules import judge_photo

SEEDS = sorted((Path(__file__).parent / "seeds" / "photos").iterdir())
REFUSED = {"cut_short.jpg": "truncated", "other.gif": "format_refused", "words.txt": "format_refused"}


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_every_seed_keeps_the_rules(path: Path) -> None:
    judge_photo(path.read_bytes())


def test_the_seeds_are_what_they_are_called() -> None:
    kinds = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
    for name, data in draw_photos().items():
        assert judge_photo(data) == REFUSED.get(name) or judge_photo(data) == kinds[name.rpartition(".")[2]], name


def test_a_broken_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PhotoRejected("decode_failed")

    monkeypatch.setattr(photo_rules, "decode_photo", refuse)
    with pytest.raises(AssertionError, match="at a fraction it is"):
        judge_photo(draw_photos()["plain.jpg"])
