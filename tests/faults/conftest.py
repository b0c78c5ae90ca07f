"""What stands between the store and its readers in these tests, and how often each fault is repeated."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.faults.failing_gateway import FailingGateway, run_failing_gateway
from tests.faults.toxiproxy import Toxic, Toxiproxy, run_toxiproxy
from tests.servers import S3Server, find_program

TOXIPROXY_SOURCE = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"
TOXIPROXY = "toxiproxy-server"


def repetitions(full_tier: int, soak: int) -> int:
    """How often a fault is tried: more in `make soak`."""
    return soak if os.environ.get("SHOPLENS_SOAK") else full_tier


def in_soak_also(always: list[str], more: list[str]) -> list[str]:
    """What is tried in the full tier, and what besides in `make soak`."""
    return always + (more if os.environ.get("SHOPLENS_SOAK") else [])


@pytest.fixture(scope="session")
def toxiproxy() -> Iterator[Toxiproxy]:
    program = find_program(TOXIPROXY)
    if program is None:
        pytest.skip(
            f"{TOXIPROXY} is missing: GOBIN=$PWD/.tools/bin go install {TOXIPROXY_SOURCE} "
            f"&& mv .tools/bin/server .tools/bin/{TOXIPROXY}"
        )
    with run_toxiproxy(program) as running:
        yield running


@pytest.fixture
def toxic(
    toxiproxy: Toxiproxy, s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Toxic]:
    """A proxy before the S3 server, which a process started from now on is told is the server."""
    with toxiproxy.before(s3_server.endpoint.removeprefix("http://")) as toxic:
        monkeypatch.setenv("AWS_ENDPOINT_URL", toxic.url)
        yield toxic


@pytest.fixture
def gateway(toxic: Toxic, monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingGateway]:
    """A reverse proxy before that proxy: processes started from now on are told that it is the server."""
    with run_failing_gateway(toxic.url.removeprefix("http://")) as gateway:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gateway.url)
        yield gateway


@pytest.fixture(scope="session")
def faketime() -> str:
    program = shutil.which("faketime")
    if program is None:
        pytest.skip("faketime is missing: apt-get install faketime")
    return program
