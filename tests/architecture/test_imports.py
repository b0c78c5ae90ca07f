"""Who may import whom: schemas ← retrieval ← {spark_jobs, online}; dags only schemas; rooms in one direction."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"schemas", "retrieval", "spark_jobs", "online", "dags", "demo", "bench", "tests"}
MAY_IMPORT = {
    "schemas": set(),
    "retrieval": {"schemas"},
    "spark_jobs": {"schemas", "retrieval"},
    "online": {"schemas", "retrieval"},
    "dags": {"schemas"},
}
ROOMED = ("retrieval", "spark_jobs", "online")
FORBIDDEN_LIBRARIES = {
    "schemas": {"numpy", "pyarrow", "boto3", "click", "pyspark", "torch", "flask", "airflow"},
    "retrieval": {"pyspark", "delta", "airflow", "flask"},
    "spark_jobs": {"airflow", "flask"},
    "online": {"torch", "pyspark", "delta", "airflow", "open_clip", "transformers", "pandas"},
    "dags": {"pyspark", "torch", "boto3", "delta", "faiss", "numpy"},
}


def imported_roots(path: Path) -> set[str]:
    """The top-level packages that a module imports anywhere."""
    roots: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            roots.add(node.module.split(".")[0])
    return roots


def modules_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_those_below_it(package: str) -> None:
    trespasses = {
        path.relative_to(ROOT).as_posix(): sorted(imported_roots(path) & OURS - MAY_IMPORT[package] - {package})
        for path in modules_of(package)
    }
    assert modules_of(package)
    assert {path: roots for path, roots in trespasses.items() if roots} == {}


@pytest.mark.parametrize("package", sorted(FORBIDDEN_LIBRARIES))
def test_a_package_leaves_the_libraries_of_other_rooms_alone(package: str) -> None:
    trespasses = {
        path.relative_to(ROOT).as_posix(): sorted(imported_roots(path) & FORBIDDEN_LIBRARIES[package])
        for path in modules_of(package)
    }
    assert {path: roots for path, roots in trespasses.items() if roots} == {}


def rooms_imported(package: str) -> dict[str, set[str]]:
    """By room (a sub-package) or module beside the rooms, those of the same package that it imports anywhere."""
    imported: dict[str, set[str]] = {}
    for path in modules_of(package):
        room = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        beside = imported.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == package:
                beside |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{package}."):
                beside.add(node.module.split(".")[1])
        beside.discard(room)
    return imported


@pytest.mark.parametrize("package", ROOMED)
def test_rooms_stand_on_one_another_and_never_in_a_circle(package: str) -> None:
    order = list(TopologicalSorter(rooms_imported(package)).static_order())
    assert len(order) > 5


@pytest.mark.parametrize("package", ROOMED)
def test_a_room_says_in_one_line_what_it_is_about(package: str) -> None:
    for path in (ROOT / package).rglob("__init__.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert (len(lines), lines[0][:3]) == (1, '"""'), path


def test_beside_the_rooms_of_spark_jobs_stand_jobs_and_nothing_else() -> None:
    beside = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "spark_jobs").glob("*.py")}
    assert [name for name, text in beside.items() if f'JOB = "{name}"' not in text] == ["__init__"]


def test_schemas_need_the_standard_library_only() -> None:
    allowed = set(sys.stdlib_module_names) | {"schemas"}
    for path in modules_of("schemas"):
        extra = {"pydantic"} if path.parent.name == "api" else set()
        assert imported_roots(path) <= allowed | extra, path.name


def test_torch_stands_in_one_module_of_retrieval() -> None:
    users = [path for path in modules_of("retrieval") if imported_roots(path) & {"torch", "open_clip"}]
    assert users == [ROOT / "retrieval/encoders/torch.py"]
