import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from click.testing import CliRunner

from schemas.errors import Misconfigured, TryAgain
from schemas.reasons import REDRIVABLE_REASONS
from spark_jobs.commands.redrive import redrive
from tests.spark_jobs.fetch.fault_server import FaultServer
from tests.spark_jobs.fetch.photos import photo
from tests.spark_jobs.fetch.shop import Shop


class FakeAirflow(HTTPServer):
    """Answers as Airflow's API does, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.posted: list[tuple[str, str | None, dict[str, Any]]] = []
        self.status = 200


class _Answers(BaseHTTPRequestHandler):
    server: FakeAirflow

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posted.append((self.path, self.headers["Authorization"], body))
        answer = {"access_token": "a-token"} if self.path == "/auth/token" else {"dag_run_id": "manual__1"}
        data = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAirflow]:
    with FakeAirflow() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        monkeypatch.setenv("SHOPLENS_AIRFLOW_URL", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("SHOPLENS_AIRFLOW_USER", "operator")
        monkeypatch.setenv("SHOPLENS_AIRFLOW_PASSWORD", "secret")
        yield server
        server.shutdown()


@pytest.fixture
def no_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOPLENS_AIRFLOW_URL", raising=False)


def test_with_airflow_a_dag_run_is_started_with_the_reasons(airflow: FakeAirflow) -> None:
    result = CliRunner().invoke(redrive, ["--reason", "http_429", "--reason", "dns", "--json"])
    assert json.loads(result.output) == {
        "where": "airflow", "reasons": ["http_429", "dns"], "dag": "catalog_nightly", "run_id": "manual__1",
    }  # fmt: skip
    (token_path, _, login), (path, authorization, run) = airflow.posted
    assert (token_path, login) == ("/auth/token", {"username": "operator", "password": "secret"})
    assert (path, authorization) == ("/api/v2/dags/catalog_nightly/dagRuns", "Bearer a-token")
    assert run["conf"] == {"redrive_reasons": ["http_429", "dns"]}
    assert run["logical_date"].endswith("+00:00")


def test_a_token_is_used_as_it_is(airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPLENS_AIRFLOW_TOKEN", "given")
    result = CliRunner().invoke(redrive, ["--reason", "http_429"])
    assert "started catalog_nightly run manual__1 for links that failed with http_429" in result.output
    assert [authorization for _, authorization, _ in airflow.posted] == ["Bearer given"]


@pytest.mark.parametrize(("status", "error"), [(403, Misconfigured), (404, Misconfigured), (503, TryAgain)])
def test_an_airflow_that_refuses_is_one_line_and_its_exit_code(
    airflow: FakeAirflow, status: int, error: type[Exception]
) -> None:
    airflow.status = status
    result = CliRunner().invoke(redrive, ["--reason", "http_429"])
    assert isinstance(result.exception, error)
    assert str(status) in str(result.exception)


def test_an_unknown_reason_is_answered_with_the_closed_list(no_airflow: None) -> None:
    result = CliRunner().invoke(redrive, ["--reason", "http_42"])
    assert result.exit_code == 2
    assert all(reason in result.output for reason in REDRIVABLE_REASONS)


def test_without_airflow_a_lake_is_needed(no_airflow: None) -> None:
    result = CliRunner().invoke(redrive, ["--reason", "http_429"])
    assert isinstance(result.exception, Misconfigured)
    assert "--lake" in str(result.exception)


@pytest.mark.full
def test_without_airflow_the_job_runs_here_on_just_those_links(no_airflow: None, lake: Any, tmp_path: Any) -> None:
    shop = Shop(lake, tmp_path)
    with FaultServer() as server:
        shop.stock({"p1": [server.on_photo("/good.jpg", photo(1)), server.url("/gone.jpg")]})
        shop.fetch()
        back = server.on_photo("/gone.jpg", photo(2))
        arguments = ["--reason", "http_404", "--lake", lake.root, "--store", str(tmp_path / "store"), "--json"]
        result = CliRunner().invoke(redrive, [*arguments, "--allow-private"])
        done = json.loads(result.stdout)
        assert (done["where"], done["looked_at"], done["fetched"]) == ("here", 1, 1)
        assert shop.outcomes()[back] is None
        assert server.seen.requests["/good.jpg"] == 1


@pytest.mark.parametrize(
    "url", ["http://localhost:1/a b", "localhost", "localhost:8080", "ftp://localhost", "http://", "http://[::1"]
)
def test_an_airflow_address_that_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("SHOPLENS_AIRFLOW_URL", url)
    monkeypatch.setenv("SHOPLENS_AIRFLOW_TOKEN", "given")
    result = CliRunner().invoke(redrive, ["--reason", "http_429"])
    assert isinstance(result.exception, Misconfigured)
    assert "SHOPLENS_AIRFLOW_URL" in str(result.exception)
