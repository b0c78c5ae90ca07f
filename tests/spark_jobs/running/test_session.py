"""Local sessions on S3: how long a job waits for a server that is too busy."""

from spark_jobs.running.session import _s3a_settings


def test_a_server_that_stays_busy_ends_a_job_in_minutes() -> None:
    settings = _s3a_settings()
    tries = int(settings["spark.hadoop.fs.s3a.retry.throttle.limit"])
    first_ms = int(settings["spark.hadoop.fs.s3a.retry.throttle.interval"].removesuffix("ms"))
    longest_s = (
        sum(1.5 * first_ms * 2 ** (number + 1) for number in range(tries)) / 1000
    )  # S3A's waits, at their longest
    assert 60 < longest_s < 600
