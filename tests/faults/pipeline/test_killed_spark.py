"""An executor, and then a driver, killed with -9 while its tasks run: the rows are those of an undisturbed night."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.faults.conftest import in_soak_also
from tests.faults.pipeline.conftest import UndisturbedNight
from tests.faults.pipeline.held_job import EXECUTOR, LOCAL, WITH_EXECUTORS, start_held_job
from tests.faults.pipeline.small_night import JOBS, assert_same_rows

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]

FETCH, EMBED, BUILD = JOBS[1:]


@pytest.mark.parametrize("job", in_soak_also([FETCH], [EMBED, BUILD]))
def test_a_job_goes_on_without_an_executor_that_was_killed(
    undisturbed: UndisturbedNight, spark: SparkSession, tmp_path: Path, job: str
) -> None:
    night = undisturbed.before[job].copy(tmp_path / "night")
    with start_held_job(night, job, WITH_EXECUTORS, tmp_path) as running:
        executor = running.wait_for_worker()
        assert EXECUTOR in executor.cmdline()
        executor.kill()
        running.go_on()
        assert running.wait() == 0, running.log.read_text()[-3000:]
    assert_same_rows(spark, night, undisturbed.after[job])


@pytest.mark.parametrize("job", in_soak_also([EMBED], [FETCH, BUILD]))
def test_a_job_whose_driver_was_killed_leaves_the_same_rows_when_it_is_run_again(
    undisturbed: UndisturbedNight, spark: SparkSession, tmp_path: Path, job: str
) -> None:
    night = undisturbed.before[job].copy(tmp_path / "night")
    with start_held_job(night, job, LOCAL, tmp_path) as running:
        running.wait_for_worker()
        running.kill()
    assert night.run(job) == 0
    assert_same_rows(spark, night, undisturbed.after[job])
