import argparse
import errno
import json
import signal
from pathlib import Path

import pytest

from schemas.errors import GateFailed, MissingReceipt, ShopLensError, StoreUnavailable
from schemas.receipts import Receipt
from spark_jobs.running.job import JobContext, above_zero, absolute_lake, job_parser, run_job, share_of_one


def arguments_for(tmp_path: Path) -> list[str]:
    return [
        "--lake", str(tmp_path / "lake"), "--store", str(tmp_path / "store"), "--dag", "nightly",
        "--interval-start", "2026-01-30T02:00:00+00:00", "--interval-end", "2026-01-31T02:00:00+00:00",
    ]  # fmt: skip


def count_one(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    return context.receipt(counts={"rows": 1})


def test_a_job_leaves_its_receipt_where_the_next_one_looks(tmp_path: Path) -> None:
    assert run_job("count", job_parser(None), count_one, arguments_for(tmp_path)) == 0
    written = json.loads((tmp_path / "store/runs/nightly/20260131T020000Z/count.json").read_text())
    assert written["counts"] == {"rows": 1}
    assert written["figures"]["seconds"] >= 0


def test_the_recorded_time_is_the_end_of_the_interval_unless_given(tmp_path: Path) -> None:
    seen: list[str] = []

    def note_time(context: JobContext, arguments: argparse.Namespace) -> Receipt:
        seen.append(context.as_of)
        return context.receipt()

    run_job("note", job_parser(None), note_time, arguments_for(tmp_path))
    run_job("note", job_parser(None), note_time, [*arguments_for(tmp_path), "--as-of", "2026-02-01T00:00:00Z"])
    assert seen == ["2026-01-31T02:00:00+00:00", "2026-02-01T00:00:00+00:00"]


@pytest.mark.parametrize(
    ("error", "code"),
    [(GateFailed("b1", ["recall 0.9"]), 65), (StoreUnavailable("no answer"), 75), (MissingReceipt("run it"), 78)],
)
def test_an_expected_error_is_one_line_its_exit_code_and_no_receipt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: ShopLensError, code: int
) -> None:
    def fail(context: JobContext, arguments: argparse.Namespace) -> Receipt:
        raise error

    assert run_job("failing", job_parser(None), fail, arguments_for(tmp_path)) == code
    assert capsys.readouterr().err.strip().splitlines()[-1] == f"failing: {error}"
    assert not (tmp_path / "store/runs/nightly/20260131T020000Z/failing.json").exists()


def test_an_expected_error_is_noted_for_a_scheduler_that_sees_no_exit_code(tmp_path: Path) -> None:
    def fail(context: JobContext, arguments: argparse.Namespace) -> Receipt:
        raise GateFailed("b1", ["recall 0.9"])

    run_job("failing", job_parser(None), fail, arguments_for(tmp_path))
    noted = json.loads((tmp_path / "store/runs/nightly/20260131T020000Z/failing.failure.json").read_text())
    assert noted == {
        "exit_code": 65, "error": "GateFailed", "message": "failing: build b1 did not pass the gate: recall 0.9",
    }  # fmt: skip


def test_a_job_before_its_predecessor_says_which_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(context: JobContext, arguments: argparse.Namespace) -> Receipt:
        return context.receipt_of("ingest_catalog")

    assert run_job("fetch_images", job_parser(None), ask, arguments_for(tmp_path)) == 78
    assert "run ingest_catalog for this interval first" in capsys.readouterr().err


def test_a_damaged_receipt_says_which_job_to_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(context: JobContext, arguments: argparse.Namespace) -> Receipt:
        return context.receipt_of("ingest_catalog")

    path = tmp_path / "store/runs/nightly/20260131T020000Z/ingest_catalog.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"dag": "nightly"')
    assert run_job("fetch_images", job_parser(None), ask, arguments_for(tmp_path)) == 65
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "ingest_catalog.json is damaged: expected a receipt" in line
    assert line.endswith("run ingest_catalog for this interval again")


def test_a_store_that_cannot_be_written_stops_a_job_before_its_work(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file, not a folder")
    worked: list[bool] = []

    def work(context: JobContext, arguments: argparse.Namespace) -> Receipt:
        worked.append(True)
        return context.receipt()

    assert run_job("work", job_parser(None), work, arguments_for(tmp_path)) == 78
    assert worked == []


def test_a_trouble_of_spark_that_may_pass_is_one_line_and_worth_another_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_out_of_scratch(context: JobContext, arguments: argparse.Namespace) -> Receipt:
        trace = "java.io.IOException: No space left on device\n at org.apache.spark.storage.DiskBlockObjectWriter.close"
        raise RuntimeError(f"An error occurred while calling o1.collect\n{trace}")

    assert run_job("a_job", job_parser(None), run_out_of_scratch, arguments_for(tmp_path)) == 75
    assert capsys.readouterr().err.splitlines()[-1].startswith("a_job: no space is left on a scratch disk of Spark")


@pytest.mark.parametrize("text", ["nan", "-0.1", "1.5", "all", ""])
def test_a_share_is_from_0_to_1(text: str) -> None:
    assert (share_of_one("0"), share_of_one("0.99"), share_of_one("1")) == (0, 0.99, 1)
    with pytest.raises(argparse.ArgumentTypeError, match="is no share"):
        share_of_one(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many", "1.5"])
def test_a_number_above_zero_is_one(text: str) -> None:
    assert (above_zero(int)("3"), above_zero(float)("0.5")) == (3, 0.5)
    with pytest.raises(argparse.ArgumentTypeError, match="is no whole number above 0"):
        above_zero(int)(text)
    if text != "1.5":
        with pytest.raises(argparse.ArgumentTypeError, match="is no number above 0"):
            above_zero(float)(text)


def test_a_job_that_is_stopped_by_hand_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(context: JobContext, arguments: argparse.Namespace) -> Receipt:
        raise KeyboardInterrupt

    assert run_job("a_job", job_parser(None), stop, arguments_for(tmp_path)) == 130
    assert capsys.readouterr().err.startswith("a_job: stopped by hand; run again")


def test_what_ctrl_c_breaks_is_stopped_by_hand_and_no_error_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def cancel(*_: object) -> None:
        raise RuntimeError("An error occurred while calling o51.sc")  # as PySpark's handler does while a session starts

    def start(context: JobContext, arguments: argparse.Namespace) -> Receipt:
        before = signal.signal(signal.SIGINT, cancel)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.signal(signal.SIGINT, before)
        return context.receipt()

    assert run_job("a_job", job_parser(None), start, arguments_for(tmp_path)) == 130
    assert capsys.readouterr().err.startswith("a_job: stopped by hand; run again")


def test_a_full_disk_of_the_host_is_one_line_and_worth_another_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lay_out(context: JobContext, arguments: argparse.Namespace) -> Receipt:
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write says it: without a name

    assert run_job("build_index", job_parser(None), lay_out, arguments_for(tmp_path)) == 75
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "no space is left on a disk of this host" in line
    assert "TMPDIR" in line


@pytest.mark.parametrize(
    ("argument", "value", "says"),
    [
        ("--interval-end", "2026-01-29T02:00:00Z", "before --interval-start"),
        ("--lake", "", "--lake is empty"),
        ("--store", "", "is no object store"),
        ("--dag", "../../nightly", "leaves the store"),
    ],
)
def test_arguments_that_cannot_be_meant_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argument: str, value: str, says: str
) -> None:
    given = arguments_for(tmp_path)
    given[given.index(argument) + 1] = value
    assert run_job("count", job_parser(None), count_one, given) == 78
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line


def test_a_lake_is_a_folder_or_an_address_however_many_slashes_java_writes() -> None:
    assert absolute_lake("lake/") == str(Path("lake").absolute())
    assert absolute_lake("s3://shop/lake/") == "s3://shop/lake"
    assert absolute_lake("file:///shop/lake") == "file:///shop/lake"
    assert absolute_lake("file:/shop/lake") == "file:/shop/lake"
