"""The searcher is thin: its environment holds nothing of the offline half, and its modules import nothing of it."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "pyspark", "delta", "airflow", "open_clip", "timm", "transformers", "pandas", "openvino", "onnx")
ALLOWED = {
    "schemas", "retrieval", "online", "click", "faiss", "filelock", "flask", "flask_cors", "flask_openapi3",
    "flask_openapi3_swagger", "itsdangerous", "gunicorn", "limits", "numpy", "opentelemetry", "PIL", "prometheus_client", "pyarrow", "pydantic", "structlog", "urllib3", "werkzeug",
}  # fmt: skip


@pytest.mark.parametrize("library", HEAVY)
def test_the_environment_has_nothing_heavy(library: str) -> None:
    assert importlib.util.find_spec(library) is None


def test_modules_import_only_what_is_allowed() -> None:
    allowed = ALLOWED | set(sys.stdlib_module_names)
    for path in sorted((ROOT / "online").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, path.name


def test_importing_the_app_loads_nothing_heavy() -> None:
    script = f"import online.app, sys; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
