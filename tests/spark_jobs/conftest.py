"""One Spark session for all Spark tests of a run, and a lake of their own for each."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from schemas.tables import CATALOG_INTERVALS, CATALOG_QUARANTINE, PRODUCT_IMAGES, PRODUCT_MENTIONS, PRODUCTS
from spark_jobs.lake.tables import Lake
from spark_jobs.running.class_archive import archive_options
from spark_jobs.running.session import open_session
from tests.spark_jobs.fetch.fault_server import FaultServer

os.environ.setdefault("OMP_NUM_THREADS", "1")

_JVM = "-XX:+UseSerialGC -Xms1200m -Xmn700m -XX:MetaspaceSize=512m -Djdk.lang.Process.launchMechanism=VFORK"
"""It compiles for speed: a sixth less time for a third of the Spark tests. It has room for the objects of plans, which
live for a moment, and for classes, and starts Hadoop's many `chmod` and `readlink` the cheap way: another eighth."""


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Jobs that these tests run keep their copies of models and builds here, not with the user's."""
    with pytest.MonkeyPatch.context() as patch:
        if "SHOPLENS_CACHE" not in os.environ:
            patch.setenv("SHOPLENS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Spark as the jobs run it, but that it interprets expressions, since compiling them takes longer than these few rows, and
    that its JVM compiles for speed and has room, since this one lasts for a quarter of an hour.
    The demo, the scheduler's nights, the first of two nights end to end and their hour, and the faults that kill a job run
    jobs as they are.

    A job started inside the test process joins this session. Mark such tests `full`.
    """
    settings = {
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
        "spark.sql.shuffle.partitions": "2",
        # What hundreds of tests leave behind fills the 2 of a job, and the collector took four minutes of twenty-four.
        "spark.driver.memory": "5g",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.driver.extraJavaOptions": f"{_JVM} {archive_options()}",
    }
    session = open_session("tests", settings=settings)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def catalog_tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The empty tables of a catalog, made once: a copy of the folder is as good and costs nothing."""
    folder = tmp_path_factory.mktemp("catalog-tables")
    template = Lake(spark, str(folder))
    for table in (PRODUCTS, PRODUCT_MENTIONS, CATALOG_INTERVALS, CATALOG_QUARANTINE, PRODUCT_IMAGES):
        template.ensure(table)
    return folder


@pytest.fixture
def catalog_lake(lake: Lake, catalog_tables: Path) -> Lake:
    """A lake in the test's own folder, with a catalog's empty tables."""
    shutil.copytree(catalog_tables, lake.root)
    return lake


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    """An empty lake in the test's own folder."""
    return Lake(spark, str(tmp_path / "lake"))


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A web server that does what the test tells it, on a port of its own. Mark such tests `full`."""
    with FaultServer() as running:
        yield running
