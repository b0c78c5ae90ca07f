"""What every job shares: its arguments, its receipt, its exit code."""

import argparse
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from retrieval.store.objects import ObjectStore, open_store
from schemas.errors import BadData, Corrupt, Misconfigured, MissingReceipt, ShopLensError, StoreUnavailable
from schemas.intervals import DataInterval, format_time_key, parse_time
from schemas.receipts import Receipt, failure_key, receipt_key
from spark_jobs.running.ctrl_c import stopping_is_told
from spark_jobs.running.passing_troubles import name_full_disk, name_trouble

log = logging.getLogger("shoplens")
Number = TypeVar("Number", int, float)

EXIT_STOPPED = 130
"""By Ctrl-C, as a shell has it."""


@dataclass(frozen=True)
class JobContext:
    """Where a job reads and writes, and for which interval. `as_of` is the recorded time of the run: no job reads the clock."""

    job: str
    dag: str
    lake: str
    store: ObjectStore
    interval: DataInterval
    as_of: str

    def receipt_of(self, job: str) -> Receipt:
        """What another job of the same run left. Raises MissingReceipt, BadData where it is damaged, SchemaTooNew."""
        key = receipt_key(self.dag, self.interval.key, job)
        found = self.store.get(key)
        if found is None:
            raise MissingReceipt(f"no receipt {key} in {self.store.uri}: run {job} for this interval first")
        try:
            return Receipt.from_json(found.data, key)
        except Corrupt as error:
            raise BadData(f"{error}: run {job} for this interval again") from error

    def write_receipt(self, receipt: Receipt) -> None:
        self.store.put(receipt_key(self.dag, self.interval.key, self.job), receipt.to_json())

    def receipt(self, **fields: object) -> Receipt:
        """A receipt of this job and interval with the given fields."""
        return Receipt(
            dag=self.dag, job=self.job,
            interval_start=format_time_key(self.interval.start), interval_end=self.interval.key,
            **fields,  # type: ignore[arg-type]
        )  # fmt: skip

    @property
    def uses_s3(self) -> bool:
        return self.lake.startswith(("s3:", "s3a:"))


def job_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the arguments that all jobs take."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", required=True, help="folder or s3:// prefix of the Delta tables")
    parser.add_argument("--store", required=True, help="folder or s3:// prefix of the object store")
    parser.add_argument("--dag", default="manual", help="name under which receipts are kept")
    parser.add_argument("--interval-start", required=True, type=parse_time, help="ISO 8601 with a zone")
    parser.add_argument("--interval-end", required=True, type=parse_time, help="ISO 8601 with a zone")
    parser.add_argument("--as-of", help="recorded time of the run (default: the interval's end)")
    return parser


def share_of_one(text: str) -> float:
    """An argument from 0 to 1; NaN, than which nothing is less, would pass every gate."""
    try:
        share = float(text)
    except ValueError:
        share = float("nan")
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share: write 0.2 for a fifth")
    return share


def above_zero(kind: type[Number]) -> Callable[[str], Number]:
    """An argument of a kind, int or float, that is finite and more than nothing."""

    def parse(text: str) -> Number:
        try:
            number = kind(text)
        except ValueError:
            number = kind(0)
        if not 0 < number < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is no {'whole ' if kind is int else ''}number above 0")
        return number

    return parse


def context_of(job: str, arguments: argparse.Namespace) -> JobContext:
    interval = DataInterval(arguments.interval_start, arguments.interval_end)
    if interval.end < interval.start:
        raise Misconfigured("--interval-end is before --interval-start: exchange them")
    as_of = parse_time(arguments.as_of) if arguments.as_of else interval.end
    return JobContext(
        job=job, dag=arguments.dag, lake=absolute_lake(arguments.lake), store=open_store(arguments.store),
        interval=interval, as_of=as_of.isoformat(),
    )  # fmt: skip


def absolute_lake(lake: str) -> str:
    """A folder as an absolute path (Spark takes a relative one for a table's name); a URI as it is. Raises Misconfigured."""
    if not lake.strip():
        raise Misconfigured("--lake is empty: name a folder, or an s3:// prefix")
    is_uri = "://" in lake or lake.startswith("file:/")  # as Java writes them, with one slash
    return lake.rstrip("/") if is_uri else str(Path(lake).absolute())


def run_job(
    job: str,
    parser: argparse.ArgumentParser,
    body: Callable[[JobContext, argparse.Namespace], Receipt],
    argv: Sequence[str] | None,
) -> int:
    """Parse, run, write the receipt last; an expected error is one line on stderr and its exit code."""
    logging.basicConfig(
        level=os.environ.get("SHOPLENS_LOG", "INFO"), stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("py4j").setLevel(logging.WARNING)
    started = time.monotonic()
    context: JobContext | None = None
    try:
        with stopping_is_told():
            arguments = parser.parse_args(argv)
            context = context_of(job, arguments)
            _refuse_unwritable(context.store)
            receipt = body(context, arguments)
            receipt.figures.setdefault("seconds", round(time.monotonic() - started, 3))
            receipt.figures.setdefault("startup_seconds", round(_startup_seconds(started), 3))
            context.write_receipt(receipt)
    except ShopLensError as error:
        return _end_badly(job, context, error)
    except KeyboardInterrupt:
        print(f"{job}: stopped by hand; run again, it starts where its tables stand", file=sys.stderr)
        return EXIT_STOPPED
    except Exception as error:
        trouble = name_full_disk(error) or name_trouble(str(error))
        if trouble is None:
            raise
        return _end_badly(job, context, trouble)
    print(
        json.dumps({"job": job, "interval_end": receipt.interval_end, **receipt.counts, **receipt.facts}, default=str)
    )
    return 0


def _end_badly(job: str, context: JobContext | None, error: ShopLensError) -> int:
    print(f"{job}: {error}", file=sys.stderr)
    if context:
        _note_failure(context, error)
    return error.exit_code


def _note_failure(context: JobContext, error: ShopLensError) -> None:
    """For a scheduler that sees no exit code: a cluster's step says only that it failed."""
    noted = {"exit_code": error.exit_code, "error": type(error).__name__, "message": f"{context.job}: {error}"}
    with suppress(ShopLensError):  # the store itself may be what failed
        context.store.put(failure_key(context.dag, context.interval.key, context.job), json.dumps(noted).encode())


def _startup_seconds(started: float) -> float:
    """From the job's start until its Spark session was up; 0 for a job without Spark."""
    session = sys.modules.get("spark_jobs.running.session")
    ready_at = session.session_ready_at() if session else None
    return max(0.0, ready_at - started) if ready_at else 0.0


def _refuse_unwritable(store: ObjectStore) -> None:
    """Find out before the work, not after it, that the receipt could not be written."""
    key = "runs/.writable"
    try:
        store.put(key, b"")
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{error}; nothing was started") from error
