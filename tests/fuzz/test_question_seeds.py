"""Questions that fuzzing starts from, and what it once found, are judged in every run of the tests."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.fuzz.draw_seeds import draw_questions
from tests.fuzz.question_rules import judge_question, open_tiny_shop

SEEDS = sorted((Path(__file__).parent / "seeds" / "questions").iterdir())
EXPECTED = {"click.json": 204, "cursor.json": 400}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    return open_tiny_shop(tmp_path_factory.mktemp("shop"))


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_every_seed_keeps_the_rules(client: FlaskClient, path: Path) -> None:
    judge_question(client, path.read_bytes())


def test_the_drawn_seeds_are_answered(client: FlaskClient) -> None:
    answers = {name: judge_question(client, data) for name, data in draw_questions().items()}
    assert answers == {name: EXPECTED.get(name, 200) for name in answers}
