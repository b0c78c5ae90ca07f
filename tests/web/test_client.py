"""The typed Python client that `make client` generates, used as its users would."""

import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import requests
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from tests.online.tiny_shop import COLOURS, photo_of
from tests.servers import PROJECT_ROOT
from tests.web.conftest import OpenSearcher

pytestmark = pytest.mark.full

TYPED_USE = """
from shoplens_client import AuthenticatedClient
from shoplens_client.api.search import search
from shoplens_client.models import Problem, SearchRequest, SearchResponse

found: SearchResponse | Problem | None = search.sync(
    client=AuthenticatedClient("http://127.0.0.1", token="shoplens_"), body=SearchRequest(text="red")
)
if isinstance(found, SearchResponse):
    title: str = found.results[0].product_id
"""


@pytest.fixture(scope="module")
def generated(searcher: OpenSearcher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, made from what the searcher serves."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(requests.get(f"{searcher.url}/openapi.json", timeout=30).text)
    tools = Path(sys.executable).parent
    command = [
        str(tools / "openapi-python-client"),
        "generate",
        "--path",
        str(folder / "openapi.json"),
        "--fail-on-warning",
    ]
    command += ["--config", str(PROJECT_ROOT / "online" / "client.yaml"), "--output-path", str(folder / "made")]
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run(command, check=True, env=environment)
    return folder / "made"


@pytest.fixture(scope="module")
def package(generated: Path) -> Iterator[ModuleType]:
    sys.path.insert(0, str(generated))
    try:
        for name in ("api.search.search", "api.search.click", "api.search.image", "api.state.ready", "models", "types"):
            importlib.import_module(f"shoplens_client.{name}")
        yield importlib.import_module("shoplens_client")
    finally:
        sys.path.remove(str(generated))


def test_the_document_is_valid_openapi(searcher: OpenSearcher) -> None:
    validate(requests.get(f"{searcher.url}/openapi.json", timeout=30).json(), cls=OpenAPIV31SpecValidator)


def test_the_client_is_made_from_what_the_command_prints(searcher: OpenSearcher) -> None:
    """`make client` needs no running searcher."""
    python = PROJECT_ROOT / ".venv" / "online" / "bin" / "python"
    command = [str(python), "-m", "online.print_document"]
    printed = subprocess.run(command, cwd=PROJECT_ROOT, check=True, capture_output=True, text=True)
    assert json.loads(printed.stdout) == requests.get(f"{searcher.url}/openapi.json", timeout=30).json()


def test_words_and_a_click(package: ModuleType, searcher: OpenSearcher) -> None:
    client, models = package.Client(base_url=searcher.url), package.models
    question = models.SearchRequest(
        text="red", k=2, filters=models.Filters(brand=models.WordFilter(equals="Nord")), facets=["brand"]
    )
    found = package.api.search.search.sync(client=client, body=question)
    assert isinstance(found, models.SearchResponse)
    assert [result.brand for result in found.results] == ["Nord", "Nord"]
    assert found.facets[0].values[0].count == 12
    clicked = models.ClickRequest(request_id=found.request_id, product_id=found.results[0].product_id, position=0)
    assert package.api.search.click.sync_detailed(client=client, body=clicked).status_code == 204


@pytest.mark.parametrize("form", [False, True])
def test_the_next_page(package: ModuleType, searcher: OpenSearcher, form: bool) -> None:
    """The client sends the default of whatever it is not told."""
    client, models = package.Client(base_url=searcher.url), package.models
    kind = models.SearchForm if form else models.SearchRequest
    first = package.api.search.search.sync(client=client, body=kind(text="red", k=2))
    second = package.api.search.search.sync(client=client, body=kind(cursor=first.cursor, k=2))
    assert isinstance(second, models.SearchResponse), second
    shown = [{result.product_id for result in page.results} for page in (first, second)]
    assert [len(page) for page in shown] == [2, 2]
    assert not shown[0] & shown[1]


def test_a_photo_and_its_thumbnail(package: ModuleType, searcher: OpenSearcher) -> None:
    client = package.Client(base_url=searcher.url)
    photo = package.types.File(io.BytesIO(photo_of(COLOURS["blue"])), "photo.png", "image/png")
    form = package.models.SearchForm(image=[photo], k=1, filters=package.models.Filters(in_stock=True))
    found = package.api.search.search.sync(client=client, body=form)
    assert found.results[0].colour == "blue"
    thumbnail = package.api.search.image.sync_detailed(found.results[0].image_id, client=client)
    assert thumbnail.content.startswith(b"\xff\xd8")


def test_an_error_is_a_problem_that_names_the_field(package: ModuleType, searcher: OpenSearcher) -> None:
    client = package.Client(base_url=searcher.url)
    problem = package.api.search.search.sync(client=client, body=package.models.SearchRequest(text="red", k=101))
    assert isinstance(problem, package.models.Problem)
    assert (problem.status, problem.errors[0].field) == (422, "k")


def test_its_types_can_be_checked(generated: Path) -> None:
    (generated / "use.py").write_text(TYPED_USE)
    mypy = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--cache-dir",
        str(generated / "cache"),
        "use.py",
    ]
    checked = subprocess.run(mypy, cwd=generated, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
