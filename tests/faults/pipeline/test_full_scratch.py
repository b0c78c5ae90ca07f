"""A scratch disk of Spark that fills while a job runs: one line that says so, and the next try makes the same rows."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.faults.pipeline.conftest import UndisturbedNight
from tests.faults.pipeline.held_job import LOCAL, start_held_job
from tests.faults.pipeline.small_night import assert_same_rows
from tests.faults.small_disk import mount_small_disk

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

DISK_BYTES = 4 << 20
TRY_AGAIN = 75


def test_a_job_without_scratch_space_says_so_and_its_next_try_makes_the_same_rows(
    undisturbed: UndisturbedNight, spark: SparkSession, tmp_path: Path
) -> None:
    job = "build_index"
    night = undisturbed.before[job].copy(tmp_path / "night")
    with mount_small_disk(tmp_path / "scratch", DISK_BYTES) as disk:
        settings = {"SPARK_LOCAL_DIRS": str(disk.folder)}
        with start_held_job(night, job, LOCAL, tmp_path / "first", settings) as running:
            running.wait_for_worker()
            disk.fill()
            running.go_on()
            code = running.wait()
        lines = running.log.read_text().splitlines()
        assert (code, [line for line in lines if "Traceback" in line]) == (TRY_AGAIN, []), "\n".join(lines[-80:])
        (line,) = [line for line in lines if line.startswith(f"{job}:")]
        assert "no space is left on a scratch disk of Spark (SPARK_LOCAL_DIRS" in line
    assert night.builds() == {}
    assert night.run(job) == 0
    assert_same_rows(spark, night, undisturbed.after[job])
