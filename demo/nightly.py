"""One nightly or hourly run without a scheduler: the same jobs with the same arguments that the DAGs give them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from retrieval.store.objects import open_store
from schemas.errors import ShopLensError
from schemas.intervals import DataInterval
from schemas.receipts import Receipt, receipt_key

JOBS = ("ingest_catalog", "fetch_images", "embed_images", "build_index", "evaluate_index", "publish")
HOURLY_JOBS = ("apply_changes",)
ROOT = Path(__file__).resolve().parent.parent


class JobFailed(ShopLensError):
    """A job ended with a non-zero exit code; carries its name, code and last line."""

    def __init__(self, job: str, code: int, last_line: str) -> None:
        self.job, self.exit_code, self.last_line = job, code, last_line
        super().__init__(f"{job} ended with {code}: {last_line}")


@dataclass(frozen=True)
class Nightly:
    """Where a run reads and writes. `model` is a bundle folder or a model id in the store."""

    lake: Path
    store: Path
    catalog: str
    mapping: Path
    model: str
    dag: str = "catalog_nightly"
    mode: str = "snapshot"
    allowed_roots: tuple[Path, ...] = ()
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def arguments_of(self, job: str, interval: DataInterval) -> list[str]:
        """The command line of one job, as the DAG writes it."""
        arguments = [
            "--lake", str(self.lake), "--store", str(self.store), "--dag", self.dag,
            "--interval-start", interval.start.isoformat(), "--interval-end", interval.end.isoformat(),
        ]  # fmt: skip
        if job == "ingest_catalog":
            arguments += ["--catalog", self.catalog, "--mapping", str(self.mapping), "--mode", self.mode]
        if job == "fetch_images":
            arguments += self._fetch_arguments()
        if job in ("embed_images", "apply_changes"):
            arguments += ["--model", self.model]
        if job == "apply_changes":
            arguments += ["--catalog", self.catalog, "--mapping", str(self.mapping)]
            handed_on = {**self.extra, "fetch_images": (*self._fetch_arguments(), *self.extra.get("fetch_images", ()))}
            for step, words in handed_on.items():
                arguments += [part for word in words for part in ("--with", f"{step}={word}")]
            return arguments
        return arguments + list(self.extra.get(job, ()))

    def _fetch_arguments(self) -> list[str]:
        return ["--allow-private", *(word for root in self.allowed_roots for word in ("--allowed-root", str(root)))]

    def of_hours(self, changes: str) -> "Nightly":
        """The same shop, as catalog_hourly takes the changes that lie there."""
        return replace(self, dag="catalog_hourly", catalog=changes, mode="changes")


def run_job_process(job: str, arguments: Sequence[str], log_path: Path | None = None) -> None:
    """Run one job in a process of its own. Raises JobFailed with its last line."""
    environment = {"OMP_NUM_THREADS": "2", "PYTHONUNBUFFERED": "1", **os.environ}
    done = subprocess.run(
        [sys.executable, "-m", f"spark_jobs.{job}", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if log_path:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        log_path.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise JobFailed(job, done.returncode, lines[-1] if lines else "it said nothing")


def run_nightly(
    nightly: Nightly,
    interval: DataInterval,
    *,
    jobs: Sequence[str] = JOBS,
    log_folder: Path | None = None,
    on_job: Callable[[str, float | None], None] = lambda job, seconds: None,
) -> dict[str, Receipt]:
    """Run the jobs in order; `on_job(job, None)` before and `on_job(job, seconds)` after each. Returns their receipts."""
    for job in jobs:
        on_job(job, None)
        started = time.monotonic()
        log_path = log_folder / f"{interval.key}-{job}.log" if log_folder else None
        run_job_process(job, nightly.arguments_of(job, interval), log_path)
        on_job(job, time.monotonic() - started)
    return receipts_of(nightly, interval, jobs)


def receipts_of(nightly: Nightly, interval: DataInterval, jobs: Sequence[str] = JOBS) -> dict[str, Receipt]:
    """The receipts that are there for an interval, by job."""
    store = open_store(str(nightly.store))
    found = {job: store.get(receipt_key(nightly.dag, interval.key, job)) for job in jobs}
    return {job: Receipt.from_json(stored.data) for job, stored in found.items() if stored}
