"""Traces as they are deployed: real workers, a real OTLP request to whatever the standard variables name."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from retrieval.store.objects import FolderStore
from tests.online.running import run_gunicorn, wait_until

pytestmark = pytest.mark.full


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.received: list[ExportTraceServiceRequest] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def spans(self) -> list[str]:
        resources = [each for received in self.received for each in received.resource_spans]
        return [span.name for each in resources for scope in each.scope_spans for span in scope.spans]

    @property
    def services(self) -> set[str]:
        resources = [each.resource for received in self.received for each in received.resource_spans]
        pairs = [pair for resource in resources for pair in resource.attributes]
        return {pair.value.string_value for pair in pairs if pair.key == "service.name"}


class _Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            self.server.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_worker_sends_its_spans(store: FolderStore, tmp_path: Path, collector: Collector) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with run_gunicorn(store, tmp_path, settings) as running:
        for _ in range(20):
            assert running.search().status_code == 200
        wait_until(lambda: collector.spans.count("POST /search") == 20, "all spans have come")
        assert collector.spans.count("encode") == 20
        assert running.search().status_code == 200
    assert collector.spans.count("POST /search") == 21, "what was not sent yet is sent when a worker stops"
    assert collector.services == {"shoplens-searcher"}


def test_shoppers_are_served_without_the_collector(store: FolderStore, tmp_path: Path) -> None:
    with run_gunicorn(store, tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) as running:
        assert {running.search().status_code for _ in range(10)} == {200}
        assert running.stop() == 0
