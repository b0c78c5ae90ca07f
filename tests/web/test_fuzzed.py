"""Schemathesis asks what the OpenAPI document allows, and what it does not: never a 5xx, always what is documented."""

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.web.conftest import OpenSearcher

pytestmark = pytest.mark.full

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 10  # of each operation and phase, beside those that the schema's bounds give


def test_nothing_that_is_sent_is_a_server_error(searcher: OpenSearcher, tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "schemathesis"
    command = [str(program), "run", f"{searcher.url}/openapi.json", "--checks", CHECKS, "--max-examples", str(EXAMPLES)]
    command += ["--seed", "1", "--generation-database", "none", "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert requests.get(f"{searcher.url}/health", timeout=30).status_code == 200
