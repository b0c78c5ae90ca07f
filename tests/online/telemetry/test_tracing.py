"""OpenTelemetry spans: one for a request, one for each of its stages."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from online.access.limit_settings import LimitSettings
from online.app import create_app
from online.config import SearcherConfig
from online.telemetry.logs import configure_logging
from online.telemetry.tracing import asks_for_traces
from tests.online.tiny_shop import COLOURS, MeanColourEncoder, photo_of

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE_PARENT = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(config: SearcherConfig, spans: InMemorySpanExporter) -> Iterator[FlaskClient]:
    """A client of a ready searcher whose spans are kept."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracer = provider.get_tracer("test")
    app = create_app(
        replace(config, limits=LimitSettings("3/hour")), lambda folder: MeanColourEncoder(), watch=False, tracer=tracer
    )
    app.extensions["searcher"].watcher.look()
    yield app.test_client()
    app.extensions["searcher"].spool.close()


def by_name(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_a_search_is_a_span_with_one_for_each_stage(traced: FlaskClient, spans: InMemorySpanExporter) -> None:
    data = {"image": (io.BytesIO(photo_of(COLOURS["red"])), "a.png")}
    answer = traced.post("/search", data=data, headers={"X-Request-ID": "trace-1"})
    found = by_name(spans)
    request = found.pop("POST /search")
    assert set(found) == set(answer.get_json()["stages_ms"])
    assert {"decode", "encode", "search", "rank"} <= set(found)
    for stage in found.values():
        assert stage.parent.span_id == request.context.span_id
        assert request.start_time <= stage.start_time <= stage.end_time <= request.end_time
    assert attributes(request)["shoplens.request_id"] == "trace-1"
    assert attributes(request)["http.route"] == "/search"
    assert attributes(request)["http.response.status_code"] == 200


def test_filters_are_a_stage_of_their_own(traced: FlaskClient, spans: InMemorySpanExporter) -> None:
    traced.post("/search", json={"text": "red", "filters": {"category": {"equals": "hats"}}})
    names = [span.name for span in spans.get_finished_spans()]
    assert [name for name in names if name in ("plan", "search")] == ["plan", "plan", "plan", "search"]
    assert {"encode", "rank"} <= set(names)


def test_a_span_goes_on_the_trace_of_its_caller(traced: FlaskClient, spans: InMemorySpanExporter) -> None:
    traced.post("/search", json={"text": "red"}, headers=TRACE_PARENT)
    assert {format(span.context.trace_id, "032x") for span in spans.get_finished_spans()} == {TRACE_ID}
    assert format(by_name(spans)["POST /search"].parent.span_id, "016x") == "b7ad6b7169203331"


def test_the_log_names_the_trace(traced: FlaskClient) -> None:
    lines = io.StringIO()
    configure_logging(lines)
    traced.post("/search", json={"text": "red"}, headers=TRACE_PARENT)
    assert json.loads(lines.getvalue())["trace_id"] == TRACE_ID


@pytest.mark.parametrize("words", ["", "secret words"])
def test_a_span_of_an_error_says_its_type_and_not_what_was_sent(
    traced: FlaskClient, spans: InMemorySpanExporter, words: str
) -> None:
    if words:
        traced.application.extensions["searcher"].live.current = words
    traced.post("/search", json={"text": words})
    span = by_name(spans)["POST /search"]
    assert attributes(span)["error.type"] == ("internal-error" if words else "invalid-fields")
    assert span.status.status_code == (StatusCode.ERROR if words else StatusCode.UNSET)
    assert "secret" not in "".join(each.to_json() for each in spans.get_finished_spans())


def test_a_refused_request_has_a_span_too(traced: FlaskClient, spans: InMemorySpanExporter) -> None:
    for _ in range(4):
        traced.post("/search", json={"text": "red"})
    refused = [span for span in spans.get_finished_spans() if span.name == "POST /search"][-1]
    assert attributes(refused)["http.response.status_code"] == 429


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/static/search.js"])
def test_probes_leave_no_spans(traced: FlaskClient, spans: InMemorySpanExporter, path: str) -> None:
    assert traced.get(path).status_code == 200
    assert spans.get_finished_spans() == ()


def test_traces_are_off_unless_a_collector_is_named() -> None:
    assert not asks_for_traces({})
    assert not asks_for_traces({"OTEL_EXPORTER_OTLP_ENDPOINT": " "})
    assert not asks_for_traces({**COLLECTOR, "OTEL_SDK_DISABLED": "true"})
    assert asks_for_traces(COLLECTOR)
    assert asks_for_traces({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"})
