import pytest
from pyspark.errors import PySparkException, PythonException

from schemas.errors import Corrupt, ModelUnavailable, TooManyBadRows
from spark_jobs.running.worker_errors import worker_errors

TRACE = """Job aborted due to stage failure: Task 0 in stage 4.0 failed
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "worker.py", line 7, in open
schemas.errors.{line}

\tat org.apache.spark.api.python.BasePythonRunner"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [("ModelUnavailable: no model a: upload it", ModelUnavailable), ("Corrupt: a.onnx is damaged", Corrupt),
     ("TooManyBadRows: 3 of 4 rows are bad", TooManyBadRows)],
)  # fmt: skip
def test_an_expected_error_of_a_worker_is_raised_as_itself_with_its_line(line: str, expected: type[Exception]) -> None:
    with pytest.raises(expected) as raised, worker_errors():
        raise PythonException(TRACE.format(line=line))
    assert str(raised.value) == line.partition(": ")[2]


@pytest.mark.parametrize("line", ["BundleShy: unknown here", "EXIT_BAD_DATA: 65"])
def test_other_errors_pass_as_they_are(line: str) -> None:
    with pytest.raises(PySparkException, match="stage failure"), worker_errors():
        raise PySparkException(TRACE.format(line=line))
