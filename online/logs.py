"""Structured logs: one JSON object a line, with the request's id. No upload, no text and no user id is ever logged."""

import logging
import sys
from typing import Any, TextIO

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger("shoplens")


def _processors() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Without local variables: those hold what a shopper sent.
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
        structlog.processors.EventRenamer("message"),
    ]


def configure_logging(stream: TextIO | None = None) -> None:
    """Send this process's structured log lines to `stream` (standard error where None)."""
    structlog.configure(
        processors=[*_processors(), structlog.processors.JSONRenderer(sort_keys=True)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


def gunicorn_logging() -> dict[str, Any]:
    """A `logconfig_dict` that writes gunicorn's own lines in the same form."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _processors()[:-1],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.EventRenamer("message"),
                    structlog.processors.JSONRenderer(sort_keys=True),
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {
            "faiss.loader": {"level": "WARNING"},
            "gunicorn.error": {
                "level": "INFO",
                "handlers": ["stderr"],
                "propagate": False,
                "qualname": "gunicorn.error",
            },
            "gunicorn.access": {"level": "ERROR", "handlers": [], "propagate": False, "qualname": "gunicorn.access"},
        },
    }
