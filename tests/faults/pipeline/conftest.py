"""A night done undisturbed, once for all tests."""

from dataclasses import dataclass

import pytest
from pyspark.sql import SparkSession

from tests.faults.pipeline.small_night import JOBS, Night, draw_catalog
from tests.spark_jobs.conftest import spark  # noqa: F401


@dataclass(frozen=True)
class UndisturbedNight:
    """What stood before each job, and after it. Copy what is to be changed."""

    before: dict[str, Night]
    after: dict[str, Night]


@pytest.fixture(scope="session")
def undisturbed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> UndisturbedNight:  # noqa: F811
    catalog = draw_catalog(tmp_path_factory.mktemp("catalog"))
    before, after = {}, {}
    night = Night(tmp_path_factory.mktemp("night"), catalog)
    for job in JOBS:
        before[job] = night
        night = night.copy(tmp_path_factory.mktemp(job) / "after")
        assert night.run(job) == 0
        after[job] = night
    return UndisturbedNight(before, after)
