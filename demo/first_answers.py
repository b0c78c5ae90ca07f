"""The first questions to a searcher that has just come up, and its answers as a table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from rich.console import Console
from rich.markup import escape
from rich.table import Table

TILES = 5
TIMEOUT_S = 30


@dataclass(frozen=True)
class Question:
    """What is asked (`shown`), how (`ask` posts to /search), and what a right answer is, where it is known."""

    shown: str
    ask: Callable[[str], requests.Response]
    is_right: Callable[[dict[str, Any]], bool] | None = None


@dataclass(frozen=True)
class Answer:
    question: Question
    results: list[dict[str, Any]]
    latency_ms: float
    generation: int

    @property
    def right(self) -> bool | None:
        """Whether a right product is among the tiles; None where nobody knows."""
        if self.question.is_right is None:
            return None
        return any(self.question.is_right(result) for result in self.results)


def photo_question(shown: str, photo: bytes, is_right: Callable[[dict[str, Any]], bool] | None = None) -> Question:
    def ask(base_url: str) -> requests.Response:
        files = {"image": ("photo.jpg", photo, "image/jpeg")}
        return requests.post(f"{base_url}/search", files=files, data={"k": TILES}, timeout=TIMEOUT_S)

    return Question(shown, ask, is_right)


def field_question(
    shown: str, name: str, value: str, is_right: Callable[[dict[str, Any]], bool] | None = None
) -> Question:
    """A question by `text` or by `product_id`."""

    def ask(base_url: str) -> requests.Response:
        return requests.post(f"{base_url}/search", data={name: value, "k": TILES}, timeout=TIMEOUT_S)

    return Question(shown, ask, is_right)


def ask_all(base_url: str, questions: list[Question]) -> list[Answer]:
    """Ask each question once. Raises requests.HTTPError where one is refused."""
    answers = []
    for question in questions:
        reply = question.ask(base_url)
        reply.raise_for_status()
        body = reply.json()
        answers.append(Answer(question, body["results"], body["latency_ms"], body["generation"]))
    return answers


def print_answers(answers: list[Answer], console: Console) -> None:
    table = Table(title=f"first answers, generation {answers[0].generation}" if answers else "no answers")
    for heading in ("asked", "answered", "right", "ms"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "ms" else "left")
    for answer in answers:
        titles = "\n".join(
            " ".join(filter(None, (f"{result['score']:.3f}", result["title"], f"({result['product_id']})")))
            for result in answer.results
        )
        right = {True: "yes", False: "no", None: ""}[answer.right]
        table.add_row(escape(answer.question.shown), escape(titles) or "nothing", right, f"{answer.latency_ms:.0f}")
    console.print(table)
