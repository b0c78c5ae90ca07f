"""Real servers for tests, started once a run on free ports and stopped after it.

Where one cannot be started its tests are skipped by a line that names what is missing and how to get it.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

PROJECT_ROOT = Path(__file__).resolve().parent.parent
VERSITYGW_SOURCE = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
_START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class S3Server:
    """A running S3 server: `environment` is what boto3 and S3A read to reach it."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server (versitygw over a folder). Mark such tests `full`."""
    program = find_program("versitygw")
    if program is None:
        pytest.skip(f"versitygw is missing: GOBIN=$PWD/.tools/bin go install {VERSITYGW_SOURCE}")
    server = S3Server(f"http://127.0.0.1:{free_port()}", "shoplens-tests", "shoplens-tests-secret")
    folder = tmp_path_factory.mktemp("s3")
    running = subprocess.Popen(
        [program, "--quiet", "--port", server.endpoint.removeprefix("http://"), "posix", str(folder)],
        env=os.environ | {"ROOT_ACCESS_KEY": server.access_key, "ROOT_SECRET_KEY": server.secret_key},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_http(server.endpoint, running)
        yield server
    finally:
        running.terminate()
        running.wait(10)


@pytest.fixture
def s3_bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new, empty bucket; the environment points at its server for the test's time."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"tests-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return bucket


@dataclass(frozen=True)
class PostgresServer:
    """A running PostgreSQL with one database, `shop`."""

    port: int
    psql: str
    user: str = "shoplens"
    password: str = "shoplens-tests"

    @property
    def jdbc_uri(self) -> str:
        return f"jdbc:postgresql://127.0.0.1:{self.port}/shop"

    @property
    def environment(self) -> dict[str, str]:
        return {"PGUSER": self.user, "PGPASSWORD": self.password}

    def run(self, sql: str) -> None:
        """Run SQL in the database. Raises CalledProcessError where it fails."""
        command = [self.psql, "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "shop"]
        subprocess.run(command, input=sql.encode(), check=True, capture_output=True, env=os.environ | self.environment)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL in a folder of its own, never the machine's. Mark such tests `full`."""
    programs = {
        name: find_postgresql_program(name) for name in ("initdb", "postgres", "createdb", "psql", "pg_isready")
    }
    if missing := [name for name, path in programs.items() if path is None]:
        pytest.skip(f"{missing[0]} is missing: apt-get install postgresql")
    as_owner = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        if "postgres" not in {user.pw_name for user in pwd.getpwall()} or shutil.which("runuser") is None:
            pytest.skip("PostgreSQL will not run as root, and there is no user postgres: apt-get install postgresql")
        as_owner = ["runuser", "-u", "postgres", "--"]
    server = PostgresServer(free_port(), str(programs["psql"]))
    with tempfile.TemporaryDirectory(prefix="shoplens-postgresql-") as folder:
        if as_owner:
            shutil.chown(folder, "postgres")
        password_file = Path(folder) / "password"
        password_file.write_text(server.password)
        password_file.chmod(0o644)
        data = f"{folder}/data"
        subprocess.run(
            [*as_owner, str(programs["initdb"]), "-D", data, "-U", server.user, "--auth=scram-sha-256",
             f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C", "--no-sync"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        running = subprocess.Popen(
            [*as_owner, str(programs["postgres"]), "-D", data, "-h", "127.0.0.1", "-p", str(server.port), "-k", folder,
             "-c", "fsync=off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        try:
            _wait_for_postgresql(str(programs["pg_isready"]), server, running)
            subprocess.run(
                [str(programs["createdb"]), "-h", "127.0.0.1", "-p", str(server.port), "shop"],
                check=True, capture_output=True, env=os.environ | server.environment,
            )  # fmt: skip
            yield server
        finally:
            running.terminate()
            running.wait(30)


@dataclass(frozen=True)
class RedisServer:
    """A running Redis."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis of one's own, to fill and stop. Mark such tests `full`."""
    program = find_program("redis-server")
    if program is None:
        pytest.skip("redis-server is missing: apt-get install redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    running = subprocess.Popen(
        [*command, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    try:
        _wait_for_port(port, running)
        yield RedisServer(port, running)
    finally:
        running.terminate()
        running.wait(10)


def _wait_for_port(port: int, running: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < give_up:
        if running.poll() is not None:
            raise RuntimeError(f"the server on port {port} ended with {running.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"no answer on port {port} in {_START_TIMEOUT_S:.0f} s")


def find_postgresql_program(name: str) -> str | None:
    """Debian keeps the server's programs off the path, by version."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return find_program(name) or next((str(path) for path in versions if os.access(path, os.X_OK)), None)


def _wait_for_postgresql(pg_isready: str, server: PostgresServer, running: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < give_up:
        if running.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended with {running.returncode}")
        command = [pg_isready, "-q", "-h", "127.0.0.1", "-p", str(server.port)]
        if subprocess.run(command, check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise RuntimeError(f"no answer from PostgreSQL in {_START_TIMEOUT_S:.0f} s")


def find_program(name: str) -> str | None:
    """A program in the project's own tools, on the path, or where `go install` puts it."""
    places = (PROJECT_ROOT / ".tools" / "bin" / name, Path.home() / "go" / "bin" / name)
    return shutil.which(name) or next((str(place) for place in places if os.access(place, os.X_OK)), None)


def free_port() -> int:
    """A TCP port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_http(url: str, running: subprocess.Popen[bytes]) -> None:
    """Return once the server answers anything. Raises RuntimeError where it ended, or did not answer in time."""
    give_up = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < give_up:
        if running.poll() is not None:
            raise RuntimeError(f"the server for {url} ended with {running.returncode}")
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError:
            return  # it answers, if only that we may not
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"no answer from {url} in {_START_TIMEOUT_S:.0f} s")
