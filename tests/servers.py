"""Real servers for tests, started once a run on free ports and stopped after it.

Where one cannot be started its tests are skipped by a line that names what is missing and how to get it.
"""

import os
import shutil
import socket
import subprocess
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
VERSITYGW_SOURCE = "github.com/versity/versitygw/cmd/versitygw@latest"
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
