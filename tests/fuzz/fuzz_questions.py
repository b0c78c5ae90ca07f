"""atheris against the whole of POST /search and POST /click: `make fuzz`."""

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(
    include=["online", "schemas", "werkzeug.sansio", "werkzeug.formparser", "werkzeug.http"]
):
    from tests.fuzz.question_rules import judge_question, open_tiny_shop

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 101, 2**63, 1e308, -1e-320, float("nan"), float("inf"), "", " ", "\0", "\ud800", "é" * 300,
    "NaN", "1e999", "0,0,1,1", [], {}, [[]], [None], {"": None}, {"equals": "red"}, {"in": ["a", 1]}, {"min": 1, "max": 0},
    {"not": {"equals": "x"}}, [["deep"] * 3] * 3, "x" * 70_000,
)  # fmt: skip


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """A value of a JSON body is changed for an odd one as often as libFuzzer changes bytes."""
    head, _, body = data.partition(b"\n")
    chance = random.Random(seed)
    if chance.random() < 0.5:
        try:
            question = json.loads(body)
        except (ValueError, RecursionError):
            question = None
        if isinstance(question, dict) and question:
            _change(question, chance)
            return (head + b"\n" + json.dumps(question).encode())[:max_size]
    changed: bytes = atheris.Mutate(data, max_size)
    return changed


def _change(value: Any, chance: random.Random) -> None:
    """Somewhere in it, one value becomes another, or one goes."""
    place = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
    inner = value[place]
    if isinstance(inner, (dict, list)) and inner and chance.random() < 0.7:
        _change(inner, chance)
    elif chance.random() < 0.1:
        del value[place]
    else:
        value[place] = chance.choice(ODD_VALUES)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="shoplens-fuzz-") as folder:
        client = open_tiny_shop(Path(folder))
        atheris.Setup(sys.argv, lambda data: judge_question(client, data), custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
