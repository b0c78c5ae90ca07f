"""Local sessions: how their JVM compiles, and how long a job waits for an S3 that is too busy."""

import re
import subprocess
from pathlib import Path

import pytest

from schemas.tables import PRODUCTS
from spark_jobs.running.session import LARGE_LAKE_BYTES, _s3a_settings, jvm_options


@pytest.mark.parametrize(
    ("bytes_of_products", "starts_quickly"), [(LARGE_LAKE_BYTES - 1, True), (LARGE_LAKE_BYTES, False)]
)
def test_a_large_lake_is_worth_a_jvm_that_compiles_for_speed(
    tmp_path: Path, bytes_of_products: int, starts_quickly: bool
) -> None:
    folder = tmp_path / "my lake" / PRODUCTS.path
    folder.mkdir(parents=True)
    for name, size in (("a.parquet", 1), ("b.parquet", bytes_of_products - 1)):
        with (folder / name).open("wb") as file:
            file.truncate(size)
    for lake in (str(folder.parent), folder.parent.as_uri()):
        assert ("TieredStopAtLevel=1" in jvm_options(lake)) is starts_quickly


@pytest.mark.parametrize("lake", ["", "s3a://shop/lake", "/nowhere"])
def test_what_is_known_of_no_lake_starts_quickly(lake: str) -> None:
    assert "TieredStopAtLevel=1" in jvm_options(lake)


@pytest.mark.full
def test_a_jvm_that_starts_quickly_has_room_for_the_code_of_an_hour_in_one_application() -> None:
    """Of itself it has 48 MB, which such an hour can fill."""
    command = ["java", *jvm_options("").split(), "-XX:+PrintFlagsFinal", "-version"]
    flags = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (room,) = re.findall(r" ReservedCodeCacheSize += (\d+)", flags)
    assert int(room) >= 200 << 20


def test_a_server_that_stays_busy_ends_a_job_in_minutes() -> None:
    settings = _s3a_settings()
    tries = int(settings["spark.hadoop.fs.s3a.retry.throttle.limit"])
    first_ms = int(settings["spark.hadoop.fs.s3a.retry.throttle.interval"].removesuffix("ms"))
    longest_s = (
        sum(1.5 * first_ms * 2 ** (number + 1) for number in range(tries)) / 1000
    )  # S3A's waits, at their longest
    assert 60 < longest_s < 600
