"""A Spark job in processes of its own that stops where its first Python worker starts, until it is told to go on.

So a test can kill what runs that worker: at that moment the job's tasks are under way, whatever the machine's speed.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyspark

from spark_jobs.running.class_archive import archive_options
from spark_jobs.running.session import jvm_options
from tests.faults.pipeline.small_night import NIGHT, Night
from tests.servers import PROJECT_ROOT

PATIENCE_S = 300
EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
LOCAL = "local[2]"
WITH_EXECUTORS = "local-cluster[2,1,1024]"

# In every Python that starts in this environment; the parent of a Python worker's daemon is the JVM that wants it.
HOLD = """
import os, sys, time
held = os.environ["FAULTS_HELD"]
if "pyspark.worker" in sys.orig_argv and os.path.exists(held):
    open(os.path.join(held, f"jvm-{os.getppid()}"), "w").close()
    while not os.path.exists(os.path.join(held, "go")):
        time.sleep(0.01)
"""


@dataclass(frozen=True)
class HeldJob:
    """A driver, and the folder in which its workers say that they wait."""

    driver: subprocess.Popen[bytes]
    held: Path
    log: Path

    def wait_for_worker(self) -> psutil.Process:
        """The JVM that waits for a Python worker."""
        give_up = time.monotonic() + PATIENCE_S
        while not (waiting := sorted(self.held.glob("jvm-*"))):
            assert self.driver.poll() is None, f"the job ended too soon:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < give_up, "no worker started"
            time.sleep(0.02)
        return psutil.Process(int(waiting[0].name.removeprefix("jvm-")))

    def go_on(self) -> None:
        (self.held / "go").touch()

    def wait(self) -> int:
        """Its exit code."""
        return self.driver.wait(PATIENCE_S)

    def kill(self) -> None:
        """The driver and all that it started, at once."""
        os.killpg(self.driver.pid, signal.SIGKILL)
        self.driver.wait()


@contextmanager
def start_held_job(
    night: Night, job: str, master: str, folder: Path, more: Mapping[str, str] | None = None
) -> Iterator[HeldJob]:
    """Start a job of the night on `master`, with more of the environment; nothing of it is left afterwards."""
    held, site = folder / "held", folder / "site"
    held.mkdir(parents=True)
    site.mkdir()
    (site / "sitecustomize.py").write_text(HOLD)
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "SPARK_MASTER": master, "SPARK_HOME": str(_spark_home(folder)),
        "PYTHONPATH": f"{site}{os.pathsep}{PROJECT_ROOT}", "FAULTS_HELD": str(held), **(more or {}),
    }  # fmt: skip
    command = [sys.executable, "-m", f"spark_jobs.{job}", *night.nightly.arguments_of(job, NIGHT)]
    log = folder / f"{job}.log"
    with log.open("wb") as sink:
        driver = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env=environment, stdout=sink, stderr=sink, start_new_session=True
        )
    started = HeldJob(driver, held, log)
    try:
        yield started
    finally:
        started.go_on()
        if driver.poll() is None:
            started.kill()


def _spark_home(folder: Path) -> Path:
    """Spark with a folder of its own to work in: executors' logs would lie in the environment. Executors start as quickly
    as a local job does."""
    home = folder / "spark"
    (home / "conf").mkdir(parents=True)
    options = f"{jvm_options('')} {archive_options()}".rstrip()
    (home / "conf/spark-defaults.conf").write_text(f"spark.executor.extraJavaOptions {options}\n")
    for path in Path(pyspark.__file__).parent.iterdir():
        (home / path.name).symlink_to(path)
    return home
