"""Where a local Spark's Python workers come from, and what keeps their small tasks from waiting."""

import gc
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pyspark
import pytest
from pyspark.sql import SparkSession

from spark_jobs.running.worker_daemon import answer_at_once, forget_archives

INSTALLED = "/venv/lib/python3.11/site-packages"
ARCHIVES = [
    f"{INSTALLED}/pyspark/python/lib/pyspark.zip",
    f"{INSTALLED}/pyspark/python/lib/py4j-0.10.9.9-src.zip",
    f"{INSTALLED}/pyspark/jars/spark-core_2.13-4.0.2.jar",
]


def test_sparks_archives_leave_the_path_and_what_was_read_of_them_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/job", *ARCHIVES, INSTALLED, "/shop/photos.zip"])
    read = dict.fromkeys((*ARCHIVES, f"{ARCHIVES[0]}/pyspark/sql", INSTALLED))
    monkeypatch.setattr(sys, "path_importer_cache", read)
    forget_archives()
    assert sys.path == ["/job", INSTALLED, "/shop/photos.zip"]
    assert list(read) == [INSTALLED]


def test_a_connection_is_told_to_hold_nothing_back_before_its_task_runs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as connection:

        def run(given: socket.socket, authenticated: bool) -> int:
            assert authenticated
            return given.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

        assert run(connection, True) == 0
        assert answer_at_once(run)(connection, True) != 0


@pytest.mark.full
def test_spark_starts_its_workers_so(spark: SparkSession) -> None:
    def look(_: Iterator[int]) -> Iterator[dict[str, Any]]:
        import pyspark as pyspark_there

        yield {
            "pyspark": pyspark_there.__file__,
            "read from archives": [entry for entry in sys.path_importer_cache if entry.endswith((".zip", ".jar"))],
            "frozen": gc.get_freeze_count(),
            "held back": [not connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for connection in _own()],
        }

    def _own() -> Iterator[socket.socket]:
        for handle in os.listdir("/proc/self/fd"):
            try:
                connection = socket.socket(fileno=os.dup(int(handle)))
                connection.getpeername()
            except OSError:  # no socket, or one that listens
                continue
            if connection.family is socket.AF_INET:
                yield connection

    (found,) = spark.sparkContext.parallelize([1], 1).mapPartitions(look).collect()
    assert found["pyspark"] == pyspark.__file__
    assert [entry for entry in found["read from archives"] if "pyspark" in entry] == []
    assert found["frozen"] > 10_000
    assert found["held back"]
    assert not any(found["held back"])
