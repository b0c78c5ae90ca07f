"""What an S3 server that is away, or in trouble, comes to: one line and another try, in place of pages of traceback."""

import json
from pathlib import Path

import pytest

from schemas.errors import EXIT_TRY_AGAIN, Misconfigured
from schemas.receipts import Receipt
from spark_jobs.running.job import job_parser, run_job
from spark_jobs.running.passing_troubles import name_trouble

ASKED = "An error occurred while calling z:io.delta.tables.DeltaTable.isDeltaTable.\n: "
AT = "\n\tat org.apache.hadoop.fs.s3a.S3AUtils.translateException(S3AUtils.java:208)\n\tat io.delta.tables"


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (f"{ASKED}java.net.ConnectException: getFileStatus on s3a://b/lake/products/_delta_log: Refused{AT}",
         r"s3a://b/lake/products/_delta_log did not answer.*\(ConnectException\)"),
        (f"{ASKED}java.net.UnknownHostException: open s3a://b/l/p.parquet: nohost{AT}", r"\(UnknownHostException\)"),
        (f"org.apache.hadoop.fs.s3a.AWSStatus500Exception: PUT s3a://b/l/p: 500{AT}", r"\(AWSStatus500Exception\)"),
        (f"Encountered error while reading file s3a://b/l/p.parquet. \nAWSServiceThrottledException: GetObject{AT}",
         r"^s3a://b/l/p.parquet did not answer.*\(AWSServiceThrottledException\)"),
        (f"Caused by: software.amazon.awssdk.services.s3.model.S3Exception: (Service: S3, Status Code: 503, Id: 1){AT}",
         r"S3 did not answer, .*\(Status Code: 503\)"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_answer_is_named_and_tried_again(
    said: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> Receipt:
        raise RuntimeError(said)

    line = ["--lake", "s3://b/lake", "--store", str(tmp_path), "--interval-start", "2026-01-01T00:00:00Z"]
    code = run_job("fetch_images", job_parser(None), fails, [*line, "--interval-end", "2026-01-02T00:00:00Z"])
    assert code == EXIT_TRY_AGAIN
    (told,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fetch_images:")]
    assert "run again" in told
    (noted,) = tmp_path.glob("runs/manual/*/*failure*")
    assert json.loads(noted.read_bytes())["error"] == "TryAgain"
    with pytest.raises(Exception, match=named):
        raise name_trouble(said) or Misconfigured("not named")


@pytest.mark.parametrize(
    "said",
    [
        f"java.nio.file.AccessDeniedException: s3a://b/l: PUT: S3Exception (Service: S3, Status Code: 403, Id: 5){AT}",
        "java.net.ConnectException: Connection refused\n\tat org.postgresql.Driver",
    ],
)
def test_what_a_person_must_mend_is_no_passing_trouble(said: str) -> None:
    assert name_trouble(said) is None
