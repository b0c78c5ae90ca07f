"""Evaluation finds inside a column what ingest finds there."""

import json

import pytest

from spark_jobs.evaluation.nested_values import text_within
from tests.spark_jobs.catalog.nested_cases import CASES


@pytest.mark.parametrize(("text", "way", "value"), CASES)
def test_a_way_leads_to_what_ingest_finds(text: str, way: str, value: str | None) -> None:
    found = text_within(text, way.split("."))
    if value and value.startswith("["):
        assert json.loads(found) == json.loads(value)
    else:
        assert found == (value or "")
