"""Milliseconds of a local Spark job whose Python tasks do nothing: the workers as jobs start them, beside Spark's own.

    python -m bench.small_tasks [--jobs 50] [--rounds 3] [--json]

Each job has two tasks, on two cores and workers that are up: what is left is the way of a task to a worker and back. A
round is a process of its own for each kind, one after the other; the figure is the median of the rounds.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable

import click
import pyarrow as pa

from bench.report import Figure, compare, print_figures
from spark_jobs.running import session

BENCH = "small_tasks"
OWN, SPARKS = session.LOCAL_SETTINGS["spark.python.daemon.module"], "pyspark.daemon"
_SPARKS_OWN = "Spark's own workers"
_WARM_UP_JOBS = 10


def echo(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    yield from batches


def milliseconds_a_job(daemon: str, jobs: int) -> dict[str, float]:
    """In this process: a plain Python function, and one of Arrow batches as the jobs have them."""
    spark = session.open_session(BENCH, settings={"spark.python.daemon.module": daemon})
    numbers = spark.sparkContext.parallelize(range(2), 2)
    rows = spark.range(2).repartition(2).localCheckpoint()
    kinds = {
        "of rows": lambda: numbers.mapPartitions(lambda _: [1]).collect(),
        "of Arrow batches": lambda: rows.mapInArrow(echo, "id bigint").collect(),
    }
    found = {}
    for name, run in kinds.items():
        for _ in range(_WARM_UP_JOBS):
            run()
        started = time.perf_counter()
        for _ in range(jobs):
            run()
        found[name] = (time.perf_counter() - started) / jobs * 1000
    spark.stop()
    return found


def _in_a_process(daemon: str, jobs: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.small_tasks", "--jobs", str(jobs), "--as-daemon", daemon]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "SHOPLENS_CORES": "2"}
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


@click.command(help=__doc__)
@click.option("--jobs", default=50, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One line a figure.")
@click.option("--as-daemon", hidden=True)
def main(jobs: int, rounds: int, as_json: bool, as_daemon: str | None) -> None:
    if as_daemon:
        print(json.dumps(milliseconds_a_job(as_daemon, jobs)))
        return
    runs = [(_in_a_process(OWN, jobs), _in_a_process(SPARKS, jobs)) for _ in range(rounds)]
    figures = []
    for name in runs[0][0]:
        own, sparks = (statistics.median(run[side][name] for run in runs) for side in (0, 1))
        figures.append(compare(BENCH, f"a job {name}", own, "ms", _SPARKS_OWN, sparks))
        figures.append(Figure(BENCH, f"a job {name}, {_SPARKS_OWN}", sparks, "ms"))
    print_figures(figures, as_json)


if __name__ == "__main__":
    main()
