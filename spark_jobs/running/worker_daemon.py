"""The process that a local Spark forks its Python workers from: Spark's own, without what makes each small task wait.

python -m spark_jobs.running.worker_daemon pyspark.worker       as Spark starts it
"""

import gc
import socket
import sys
from collections.abc import Callable

_ARCHIVES = ("/python/lib/pyspark.zip", "/python/lib/py4j-", "/jars/spark-core_")


def main() -> None:
    forget_archives()
    import pandas  # noqa: F401  once here, not once in each worker: every function of ours takes Arrow batches
    import pyarrow  # noqa: F401
    import pyspark.daemon

    pyspark.daemon.worker = answer_at_once(pyspark.daemon.worker)
    gc.freeze()  # a worker collects its garbage after each task, and need not look through the modules for it
    pyspark.daemon.manager()


def forget_archives() -> None:
    """Leave only the installed pyspark, which is the same, on the path.

    Spark puts its package as a ZIP file, and the JAR of its classes, before it. A worker would compile the one at each
    start, and before each task Python 3.11 reads the contents of both (gh-103200, SPARK-54744): 80 ms.
    """
    sys.path[:] = [entry for entry in sys.path if not _is_archive(entry)]
    for entry in filter(_is_archive, list(sys.path_importer_cache)):
        del sys.path_importer_cache[entry]


def answer_at_once(run_tasks: Callable[[socket.socket, bool], int]) -> Callable[[socket.socket, bool], int]:
    """Spark writes a task in parts, and holds each back until the one before is acknowledged, which a kernel does after
    40 ms where it is not told otherwise; so does a worker with its answer."""

    def run(connection: socket.socket, authenticated: bool) -> int:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_QUICKACK"):  # Linux; it wears off, so it is set for each task
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return run_tasks(connection, authenticated)

    return run


def _is_archive(entry: str) -> bool:
    return any(part in entry for part in _ARCHIVES)


if __name__ == "__main__":
    main()
