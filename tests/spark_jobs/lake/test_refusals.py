"""A lake that cannot be written: one line that says what to do, from whatever Spark, Hadoop and Delta say."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from schemas.errors import Misconfigured, StoreNotWritable
from schemas.tables import BUILDS, PRODUCTS
from spark_jobs import ingest_catalog
from spark_jobs.lake.refusals import plain_refusals
from spark_jobs.lake.tables import Lake, retry_conflicts


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("java.io.IOException: No space left on device", "no space is left: free some"),
        ("java.io.FileNotFoundException: /l/p.parquet (Read-only file system)", "mount it writable"),
        ("java.io.FileNotFoundException: /l/p.parquet (Permission denied)", "fix its permissions"),
        ("java.nio.file.AccessDeniedException: s3a://b/l: PUT: 403", "check the credentials and policy"),
        ("UnknownStoreException: `s3a://b/l': Bucket does not exist", "the bucket does not exist: create it"),
        ('UnsupportedFileSystemException: No FileSystem for scheme "gs"', "name a folder, or an s3:// prefix"),
        ("[DELTA_CANNOT_CREATE_LOG_PATH] Cannot create file:/l/_delta_log", "no folder can be made there"),
        (
            "[DELTA_CANNOT_CREATE_LOG_PATH] Cannot create /l\nCaused by: Parent path is not a directory: /l",
            "a file lies where a folder should be: move it",
        ),
    ],
)
def test_what_refused_a_write_is_told_with_what_to_do(said: str, says: str) -> None:
    with pytest.raises(StoreNotWritable, match=f"cannot write to /l: .*{says}"), plain_refusals("/l"):
        raise PySparkException(f"Job aborted due to stage failure.\n\tat org.apache.spark\n{said}")


def test_other_failures_pass_as_they_are() -> None:
    with pytest.raises(PySparkException, match="cannot resolve"), plain_refusals("/l"):
        raise PySparkException("cannot resolve column")


@pytest.mark.full
@pytest.mark.parametrize("below", ["", "deeper/"])
def test_a_job_whose_lake_is_a_file_ends_with_one_line_and_78(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], below: str
) -> None:
    (tmp_path / "file").touch()
    assert ingest_into(f"{tmp_path}/file/{below}", tmp_path) == 78
    line = only_line(capsys)
    assert line.startswith(f"ingest_catalog: cannot write to {tmp_path}/file/{below}products: a file lies")


@pytest.mark.full
def test_a_lake_where_no_folder_can_be_made_even_by_root_is_one_line_and_78(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ingest_into("/proc/lake", tmp_path) == 78
    assert "cannot write to /proc/lake/products: no folder can be made there" in only_line(capsys)


@pytest.mark.full
def test_a_table_that_a_run_died_over_as_it_made_it_is_made_again(lake: Lake) -> None:
    log = Path(lake.path(PRODUCTS)) / "_delta_log"
    log.mkdir(parents=True)
    (log / ".00000000000000000000.json.1.tmp").touch()
    assert lake.read(PRODUCTS).columns == [*PRODUCTS.column_names]
    assert lake.version(PRODUCTS) == 0


@pytest.mark.full
def test_files_that_lie_where_a_table_should_be_are_left_alone(lake: Lake) -> None:
    photo = Path(lake.path(PRODUCTS)) / "holiday.jpg"
    photo.parent.mkdir(parents=True)
    photo.touch()
    with pytest.raises(Misconfigured, match="lake/products holds files, but no table: move them"):
        lake.read(PRODUCTS)
    assert [path.name for path in photo.parent.iterdir()] == ["holiday.jpg"]


@cache
def mounts_are_allowed() -> bool:
    """Root in a container often may not; those tests are then not there at all, as others without a GPU."""
    trial = "unshare --mount sh -c 'mount -t tmpfs none /mnt'"
    return subprocess.run(trial, shell=True, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


if mounts_are_allowed():

    @pytest.mark.full
    def test_a_full_disk_is_named_and_once_there_is_space_the_same_write_succeeds(
        spark: SparkSession, small_disk: Path
    ) -> None:
        lake = Lake(spark, str(small_disk / "lake"))
        lake.ensure(BUILDS)
        filling = small_disk / "filling"
        fill(filling)
        with pytest.raises(StoreNotWritable, match="cannot write to the lake: no space is left"):
            retry_conflicts(lambda: merge(lake, builds(spark, 5_000)))
        with pytest.raises(StoreNotWritable, match="lake/products: no space is left"):
            lake.ensure(PRODUCTS)
        filling.unlink()
        retry_conflicts(lambda: merge(lake, builds(spark, 100)))
        assert lake.read(BUILDS).count() == 100
        assert lake.read(PRODUCTS).count() == 0

    @pytest.mark.full
    def test_a_read_only_disk_is_named_and_its_tables_can_be_read(spark: SparkSession, small_disk: Path) -> None:
        lake = Lake(spark, str(small_disk / "lake"))
        lake.ensure(BUILDS)
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        with pytest.raises(StoreNotWritable, match="cannot write to the lake: it is read-only: mount it writable"):
            retry_conflicts(lambda: merge(lake, builds(spark, 3)))
        with pytest.raises(StoreNotWritable, match="no folder can be made there"):
            lake.ensure(PRODUCTS)
        assert lake.read(BUILDS).count() == 0


def ingest_into(lake: str, tmp_path: Path) -> int:
    """The job as its user starts it, on a catalog of one product."""
    (tmp_path / "catalog.csv").write_text("sku,photo\n1,a.jpg\n")
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        '[source]\nformat = "csv"\npath = "catalog.csv"\n[columns]\nproduct_id = "sku"\n[images]\ncolumns = ["photo"]\n'
    )
    return ingest_catalog.main([
        "--lake", lake, "--store", str(tmp_path / "store"), "--catalog", str(tmp_path), "--mapping", str(mapping),
        "--interval-start", "2026-01-01T00:00:00Z", "--interval-end", "2026-01-02T00:00:00Z",
    ])  # fmt: skip


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert "Traceback" not in error
    (line,) = [line for line in error.splitlines() if line.startswith("ingest_catalog:")]
    return line


def builds(spark: SparkSession, count: int) -> DataFrame:
    """Rows of `builds` that no compression makes smaller."""
    return spark.range(count).selectExpr(
        "cast(id as string) build_id", "'m' model_id", "timestamp'2026-01-01' interval_end", "1L rows",
        "1.0D recall_at_10", "true passed", "concat(sha2(cast(rand() as string), 512), rand()) figures",
    )  # fmt: skip


def merge(lake: Lake, rows: DataFrame) -> None:
    held = lake.to_write(BUILDS).alias("held").merge(rows.alias("new"), "held.build_id = new.build_id")
    held.whenNotMatchedInsertAll().execute()


def fill(path: Path) -> None:
    """Write until the disk takes no more."""
    with path.open("wb", buffering=0) as sink:
        try:
            while True:
                sink.write(bytes(4096))
        except OSError:
            return
