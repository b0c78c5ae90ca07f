"""What surrounds every request: its id, its log line, its metrics, its stopwatch."""

import re
import uuid

import structlog
from flask import Flask, Request, Response, g, request
from opentelemetry.trace import Tracer

from online.api.problems import BODY_TOO_LARGE, ProblemRaised
from online.telemetry.logs import log
from online.telemetry.metrics import SearcherMetrics
from online.telemetry.stopwatch import Stopwatch
from online.telemetry.tracing import RequestTrace
from schemas.api.fields import REQUEST_ID_PATTERN

REQUEST_ID = "X-Request-ID"
PASSED_OVER_MAX_BYTES = 64 << 10
"""As much of a body that nobody read gunicorn passes over (its `_DRAIN_MAX_BYTES`); behind more of it the connection cannot
go on."""

_QUIET_ENDPOINTS = {"health", "ready", "metrics", "static", "image"}
_REQUEST_ID = re.compile(REQUEST_ID_PATTERN)


def surround_requests(app: Flask, metrics: SearcherMetrics, body_max_bytes: int, tracer: Tracer | None = None) -> None:
    """Give each request an id (the caller's, if it is a sound one), a limit to its body, and one line in the log; with
    a tracer, a span."""
    app.config["MAX_CONTENT_LENGTH"] = body_max_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = body_max_bytes  # a form may carry a photo as base64

    @app.before_request
    def begin() -> None:
        g.stopwatch = Stopwatch()
        given = request.headers.get(REQUEST_ID, "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        if tracer is not None and request.endpoint not in _QUIET_ENDPOINTS:
            g.trace = RequestTrace(tracer, request, g.request_id)
            g.stopwatch = Stopwatch(g.trace.stage)
            structlog.contextvars.bind_contextvars(trace_id=g.trace.trace_id)
        if (request.content_length or 0) > body_max_bytes:
            detail = f"{request.content_length} bytes were announced, {body_max_bytes} are taken: send a smaller photo"
            raise ProblemRaised(BODY_TOO_LARGE, detail, headers={"Connection": "close"})

    @app.after_request
    def end(answer: Response) -> Response:
        stopwatch: Stopwatch = g.stopwatch
        elapsed_ms = stopwatch.elapsed_ms()
        endpoint = request.endpoint or "none"
        answer.headers[REQUEST_ID] = g.request_id
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        if answer.status_code >= 400 and _may_lie_unread(request):
            answer.headers["Connection"] = "close"  # else a client sends its next question into a closing connection
        metrics.requests.labels(endpoint, str(answer.status_code)).inc()
        metrics.request_seconds.labels(endpoint).observe(elapsed_ms / 1000)
        if problem := g.get("problem"):
            metrics.problems.labels(problem).inc()
        if trace := g.get("trace"):
            trace.tell(answer.status_code, problem)
        for stage, spent_ms in stopwatch.stages_ms.items():
            metrics.stage_seconds.labels(stage).observe(spent_ms / 1000)
        if endpoint not in _QUIET_ENDPOINTS or answer.status_code >= 500:
            log.info(
                "request",
                endpoint=endpoint,
                method=request.method,
                status=answer.status_code,
                elapsed_ms=elapsed_ms,
                **({"problem": problem} if problem else {}),
                **({"key_id": key.key_id} if (key := g.get("key")) else {}),
            )
        return answer

    @app.teardown_request
    def forget(_: BaseException | None) -> None:
        """The thread's next line may be about something else."""
        if trace := g.get("trace"):
            trace.end()
        structlog.contextvars.clear_contextvars()


def _may_lie_unread(asked: Request) -> bool:
    """Whether so much may be left of a body that was refused. One in chunks does not say how long it is."""
    return "Transfer-Encoding" in asked.headers or (asked.content_length or 0) > PASSED_OVER_MAX_BYTES
