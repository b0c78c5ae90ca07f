"""Links to objects of S3, against a real server."""

import boto3
import pytest

from schemas.reasons import FetchReason
from spark_jobs.fetch.answers import Known
from tests.spark_jobs.fetch.visits import PHOTO, visit, visit_all

pytestmark = pytest.mark.full


def test_objects_of_s3_are_fetched_and_looked_at_again_by_etag(s3_bucket: str) -> None:
    client = boto3.client("s3")
    client.put_object(Bucket=s3_bucket, Key="folder/a b.jpg", Body=PHOTO)
    client.put_object(Bucket=s3_bucket, Key="large.jpg", Body=b"x" * 100_001)
    url = f"s3://{s3_bucket}/folder/a b.jpg"
    others = {
        f"s3://{s3_bucket}/missing.jpg": FetchReason.NOT_FOUND,
        f"s3://{s3_bucket}/large.jpg": FetchReason.TOO_LARGE,
        "s3://no-such-bucket-here/a.jpg": FetchReason.NOT_FOUND,
    }
    found = visit_all([url, *others])
    assert found[url].answer.data == PHOTO
    assert {other: found[other].answer.reason for other in others} == others
    assert visit(url, known=Known(found[url].answer.etag, None, "c1")).answer.unchanged
