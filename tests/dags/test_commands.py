"""Commands that an operator needs at hand, where Airflow runs: without FAISS, Spark or Flask."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("module", ["index", "clean", "doctor"])
def test_the_commands_of_the_store_run_where_airflow_does(module: str) -> None:
    code = f"import sys, retrieval.commands.{module}; print(sorted({{'faiss', 'pyspark', 'flask'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
