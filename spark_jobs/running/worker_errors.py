"""An expected error in a Spark worker is the job's own: its class and line, without Spark's pages of traceback."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

import schemas.errors
from schemas.errors import ShopLensError

_RAISED = re.compile(r"^schemas\.errors\.(\w+): (.+)$", re.MULTILINE)


@contextmanager
def worker_errors() -> Iterator[None]:
    """Raises what a worker raised, where that is a ShopLensError; other errors pass as they are."""
    try:
        yield
    except (PySparkException, Py4JError) as error:  # Spark collects by the one and writes by the other
        if named := _RAISED.search(str(error)):
            found = getattr(schemas.errors, named[1], None)
            if isinstance(found, type) and issubclass(found, ShopLensError):
                raise _with_message(found, named[2]) from None
        raise


def _with_message(error_class: type[ShopLensError], message: str) -> ShopLensError:
    """Errors that take their evidence apart are rebuilt around their line."""
    error = error_class.__new__(error_class)
    Exception.__init__(error, message)
    return error
