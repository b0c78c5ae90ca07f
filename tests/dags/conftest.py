"""Airflow reads its home when it is first imported: give the tests one of their own."""

import os
import shutil
import tempfile
from pathlib import Path

HOME = tempfile.mkdtemp(prefix="shoplens-airflow-")
os.environ |= {
    "AIRFLOW_HOME": HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).resolve().parents[2] / "dags"),
}


def pytest_unconfigure() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
