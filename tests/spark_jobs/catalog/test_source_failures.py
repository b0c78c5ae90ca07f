"""What Spark says of a source that cannot be read, in pages; what a person is told, in a line."""

import pytest

from schemas.errors import BadData, Misconfigured, ShopLensError
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.source_failures import explain_failure

PLACE = CatalogPlace("s3://shop/catalog")


@pytest.mark.parametrize(
    ("said", "error", "told"),
    [
        ("o.a.h.fs.s3a.UnknownStoreException: `s3a://shop/': NoSuchBucket\n\tat …", Misconfigured, "does not exist"),
        ("S3Exception: (Service: S3, Status Code: 403) SignatureDoesNotMatch\n\tat …", Misconfigured, "credentials"),
        ("NoAuthWithAWSException: No AWS Credentials provided by …\n\tat …", Misconfigured, "credentials"),
        ('UnsupportedFileSystemException: No FileSystem for scheme "gs"\n\tat …', Misconfigured, "cannot read: name a"),
        ("java.io.IOException: … is not a Parquet file. Expected magic number\n\tat …", BadData, "a Parquet file"),
    ],
)
def test_it_is_one_line_with_what_to_change(said: str, error: type[ShopLensError], told: str) -> None:
    explained = explain_failure(RuntimeError(said), PLACE)
    assert type(explained) is error
    assert str(explained).startswith("s3://shop/catalog ")
    assert told in str(explained)
    assert "\n" not in str(explained)


def test_what_nobody_foresaw_is_left_as_it_is() -> None:
    error = RuntimeError("something else")
    assert explain_failure(error, PLACE) is error
