from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_jobs.running.class_archive import archive_options, archive_path


def test_a_driver_without_an_archive_gets_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPLENS_JARS", str(tmp_path))
    assert archive_options() == ""


def test_an_archive_beside_the_jars_is_used_and_may_be_refused_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPLENS_JARS", str(tmp_path))
    archive_path().parent.mkdir()
    archive_path().touch()
    assert f"-XX:SharedArchiveFile={archive_path()} -Xshare:auto" in archive_options()


@pytest.mark.full
def test_a_session_maps_the_archive_that_make_recorded(spark: SparkSession) -> None:
    assert spark._jvm is not None
    driver = spark._jvm.java.lang.ProcessHandle.current().pid()
    assert str(archive_path().resolve()) in Path(f"/proc/{driver}/maps").read_text()
