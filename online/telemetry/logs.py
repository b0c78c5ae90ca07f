"""Structured logs: one JSON object a line, with the request's id. No upload, no text, no key and no user id is ever
logged; nor are messages of errors that nobody foresaw, which may quote what a shopper sent.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from schemas.errors import ShopLensError

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


def describe_error(error: BaseException) -> str:
    """One line for the log: what ShopLens or the operating system says, of other errors only the type."""
    name = type(error).__name__
    return f"{name}: {' '.join(str(error).split())}" if isinstance(error, ShopLensError | OSError) else name


def _drop_messages(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave the frames of a traceback, and the types of its errors."""
    for raised in event.get("exception") or ():
        for name in ("exc_value", "exc_notes"):
            raised.pop(name, None)
    return event


def configure_logging(stream: TextIO | None = None) -> None:
    """Send this process's structured log lines to `stream` (standard error where None), and warnings of libraries, such
    as Pillow's of a photo's size, to the logger of gunicorn's own form."""
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*_processors(), _drop_messages, structlog.processors.JSONRenderer(sort_keys=True)],
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
