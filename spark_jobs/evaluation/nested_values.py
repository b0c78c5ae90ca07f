"""A value inside a column, as ingest finds it (`spark_jobs/catalog/nested.py`), without Spark."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any


def text_within(text: str, way: Sequence[str]) -> str:
    """What `way` leads to in JSON text, as text itself; several values as a JSON list, nothing where there is none."""
    values = [_parsed(text)]
    for step in way:
        values = [found for value in values for found in _step_into(value, step) if found is not None]
    if len(values) > 1:
        return json.dumps(
            [_shown(part) for value in values for part in (value if isinstance(value, list) else [value])]
        )
    return _shown(values[0]) if values else ""


def _step_into(value: Any, step: str) -> list[Any]:
    if isinstance(value, list) and step.isdecimal():
        return value[int(step) : int(step) + 1]
    objects = value if isinstance(value, list) else [value]
    return [each.get(step) for each in objects if isinstance(each, dict)]


def _parsed(text: str) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
