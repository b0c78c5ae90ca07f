"""gunicorn's own log, without what was sent: the app writes a line of its own for each request."""

import sys
from typing import Any

from gunicorn.glogging import Logger

_UNSOUND = "Invalid request from ip="


class QuietLogger(Logger):  # type: ignore[misc]
    def access(self, *_: Any) -> None:
        """Nothing: gunicorn would put a line together for each request even with nowhere to go."""

    def warning(self, message: str, *given: Any, **named: Any) -> None:
        """Of what is no sound HTTP gunicorn quotes the line that it could not read. That may be a key in a header
        without its colon, a query, or the rest of a body that is longer than it said."""
        if message.startswith(_UNSOUND):
            error = sys.exc_info()[0]
            message = f"{message.partition(': ')[0]}: {error.__name__ if error else 'not HTTP'}"
        super().warning(message, *given, **named)

    def exception(self, message: str, *given: Any, **named: Any) -> None:
        """Without the query of what was asked for."""
        super().exception(message, *(str(each).partition("?")[0] for each in given), **named)
