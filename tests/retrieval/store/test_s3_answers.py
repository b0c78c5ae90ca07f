"""What a server's refusals come to: a person's work, or another try. A stub answers, for no server at hand says these."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.config import Config

from retrieval.diagnosis.conditional_writes import check_store
from retrieval.diagnosis.findings import State, exit_code_of
from retrieval.publishing import pointer as pointer_module
from retrieval.publishing.pointer import swap
from retrieval.store.s3 import S3Store
from schemas.errors import ShopLensError, StoreNotWritable, StoreUnavailable
from schemas.pointer import Pointer, Served


class StubS3(ThreadingHTTPServer):
    """Keeps nothing. Answers each PUT, or those with a condition, with a status and code, and all that is asked for with 404."""

    daemon_threads = True

    def __init__(self, status: int, code: str, *, conditions_only: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.status, self.code, self.conditions_only = status, code, conditions_only

    def store(self) -> S3Store:
        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.server_address[1]}", region_name="us-east-1",
            aws_access_key_id="stub", aws_secret_access_key="stub",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )  # fmt: skip
        return S3Store("bucket", "shop", client)


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StubS3

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        has_condition = "If-Match" in self.headers or "If-None-Match" in self.headers
        if self.server.conditions_only and not has_condition:
            self._answer(200, b"")
        else:
            self._answer(self.server.status, self._error(self.server.code))

    def do_GET(self) -> None:
        self._answer(404, self._error("NoSuchKey"))

    do_POST = do_GET  # noqa: N815

    def _error(self, code: str) -> bytes:
        return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>a test says so</Message></Error>".encode()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("ETag", '"stub"')
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stub(request: pytest.FixtureRequest) -> Iterator[StubS3]:
    status, code = request.param
    with StubS3(status, code, conditions_only=code == "NotImplemented") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("stub", "kind", "says"),
    [
        ((501, "NotImplemented"), StoreNotWritable, "s3://bucket/shop does not know how to .*: use a store with cond"),
        ((405, "MethodNotAllowed"), StoreNotWritable, "does not know how to"),
        ((400, "ExpiredToken"), StoreNotWritable, r"refused CURRENT \(ExpiredToken\): check its credentials"),
        ((301, "PermanentRedirect"), StoreNotWritable, "another region: set AWS_REGION"),
        ((404, "<html>"), StoreNotWritable, "answers CURRENT with 404: see that AWS_ENDPOINT_URL"),
        ((503, "SlowDown"), StoreUnavailable, "try again"),
        ((400, "RequestTimeout"), StoreUnavailable, "try again"),
    ],
    indirect=["stub"],
)
def test_a_refusal_says_who_can_mend_it(stub: StubS3, kind: type[ShopLensError], says: str) -> None:
    with pytest.raises(kind, match=says):
        stub.store().put("CURRENT", b"{}", if_none_match=True)


@pytest.mark.parametrize("stub", [(404, "<html>")], indirect=True)
def test_another_server_than_s3_is_named_by_a_listing_too(stub: StubS3) -> None:
    with pytest.raises(StoreNotWritable, match="AWS_ENDPOINT_URL"):
        list(stub.store().keys("builds/"))


@pytest.mark.parametrize("stub", [(501, "NotImplemented")], indirect=True)
def test_the_doctor_sends_a_person_where_conditions_are_refused(stub: StubS3) -> None:
    findings = {finding.check: finding for finding in check_store(stub.store(), stub.store())}
    refused = findings["store: If-None-Match"]
    assert (refused.state, exit_code_of([refused])) == (State.WRONG, 78)
    assert "use a store with conditional writes" in refused.says


@pytest.mark.parametrize("stub", [(503, "SlowDown")], indirect=True)
def test_a_store_that_never_takes_the_pointer_is_not_called_a_race(
    stub: StubS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pointer_module, "_PAUSE_S", 0.0)
    with pytest.raises(StoreUnavailable, match=r"failed on CURRENT .*SlowDown"):
        swap(stub.store(), "night 1", lambda _: Pointer(1, "20260101T020000Z", {}, Served("a", "m")))
