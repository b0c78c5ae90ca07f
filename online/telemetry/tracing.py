"""OpenTelemetry traces: a span for a request, and one inside it for each stage that the stopwatch times.

Off unless the environment names a collector, in OpenTelemetry's own variables; its SDK reads the others itself (sampler,
headers, service name). Spans hold no photo, words, ids of users or messages of errors.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from flask import Request
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
DISABLED = "OTEL_SDK_DISABLED"
SERVICE_NAME = "shoplens-searcher"


def asks_for_traces(environ: Mapping[str, str]) -> bool:
    disabled = environ.get(DISABLED, "").strip().lower() == "true"
    return not disabled and any(environ.get(name, "").strip() for name in ENDPOINTS)


def open_tracer() -> Tracer:
    """Sends spans to the collector in batches, from a thread of its own: call it after the fork."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create()
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": SERVICE_NAME}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("online")


class RequestTrace:
    """The span of one request. It goes on the trace that the caller's `traceparent` header names."""

    def __init__(self, tracer: Tracer, request: Request, request_id: str) -> None:
        self._tracer = tracer
        route = request.url_rule.rule if request.url_rule else ""
        self._span = tracer.start_span(
            f"{request.method} {route}".strip(),
            context=TraceContextTextMapPropagator().extract(request.headers),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": request.method, "http.route": route, "shoplens.request_id": request_id},
        )
        self._context = set_span_in_context(self._span)

    @property
    def trace_id(self) -> str:
        return format_trace_id(self._span.get_span_context().trace_id)

    def stage(self, name: str) -> AbstractContextManager[Any]:
        """A span around a block; an error that passes it leaves no message there."""
        return self._tracer.start_as_current_span(
            name, context=self._context, record_exception=False, set_status_on_exception=False
        )

    def tell(self, status: int, problem: str | None) -> None:
        """How the request was answered."""
        self._span.set_attribute("http.response.status_code", status)
        if problem is not None:
            self._span.set_attribute("error.type", problem)
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        self._span.end()
