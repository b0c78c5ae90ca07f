"""Schemathesis asks what the OpenAPI document allows, and what it does not: never a 5xx, always what is documented."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.servers import PROJECT_ROOT
from tests.web.conftest import OpenSearcher

pytestmark = pytest.mark.full

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 25  # of each operation in a phase of random ones


def fuzz(searcher: OpenSearcher, folder: Path, document: Path | str, *arguments: str, hooks: str = "") -> str:
    """What it printed. Fails where it found anything."""
    program = Path(sys.executable).parent / "schemathesis"
    command = [str(program), "run", str(document), "--url", searcher.url, "--checks", CHECKS, *arguments]
    command += ["--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none", "--no-color"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), **({"SCHEMATHESIS_HOOKS": hooks} if hooks else {})}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert requests.get(f"{searcher.url}/health", timeout=30).status_code == 200
    return done.stdout


@pytest.fixture
def json_only(searcher: OpenSearcher, tmp_path: Path) -> Path:
    """The document without the form: Schemathesis fails of itself on wrong forms that hold files."""
    document = requests.get(f"{searcher.url}/openapi.json", timeout=30).json()
    del document["paths"]["/search"]["post"]["requestBody"]["content"]["multipart/form-data"]
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    return path


def test_the_bounds_of_every_field_are_kept(searcher: OpenSearcher, tmp_path: Path) -> None:
    fuzz(searcher, tmp_path, f"{searcher.url}/openapi.json", "--phases", "examples,coverage,stateful")


def test_what_the_document_allows_is_no_server_error(searcher: OpenSearcher, tmp_path: Path) -> None:
    fuzz(searcher, tmp_path, f"{searcher.url}/openapi.json", "--phases", "fuzzing", "--mode", "positive")


def test_what_the_document_forbids_is_no_server_error(searcher: OpenSearcher, tmp_path: Path, json_only: Path) -> None:
    fuzz(searcher, tmp_path, json_only, "--phases", "fuzzing", "--mode", "negative")


def test_filters_weights_and_facets_of_any_kind_are_answered(
    searcher: OpenSearcher, tmp_path: Path, json_only: Path
) -> None:
    arguments = ("--phases", "fuzzing", "--mode", "positive", "--include-path", "/search")
    said = fuzz(searcher, tmp_path, json_only, *arguments, hooks="tests.web.answerable")
    assert "mostly rejected" not in said
