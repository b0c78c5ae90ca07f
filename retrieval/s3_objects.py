"""The object store on S3, or on any server that honours S3's conditional writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from retrieval.objects import StoredObject
from schemas.errors import PreconditionFailed, StoreNotWritable, StoreUnavailable


class S3Store:
    """A prefix of an S3 bucket. Endpoint and credentials come from the standard AWS environment."""

    def __init__(self, bucket: str, prefix: str, client: Any = None) -> None:
        self.bucket, self.prefix = bucket, prefix
        config = Config(
            retries={"mode": "standard", "max_attempts": 5},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=32,
        )
        self._client = client or boto3.client("s3", config=config)

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def get(self, key: str) -> StoredObject | None:
        try:
            with self._talking(key):
                answer = self._client.get_object(Bucket=self.bucket, Key=self._key(key))
                return StoredObject(answer["Body"].read(), answer["ETag"])
        except _Absent:
            return None

    def put(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        conditions: dict[str, Any] = {}
        if if_match is not None:
            conditions["IfMatch"] = if_match
        if if_none_match:
            conditions["IfNoneMatch"] = "*"
        try:
            with self._talking(key):
                answer = self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data, **conditions)
                return str(answer["ETag"])
        except _Absent:
            raise PreconditionFailed(key) from None

    def upload(self, path: Path, key: str) -> None:
        with self._talking(key):
            self._client.upload_file(str(path), self.bucket, self._key(key))

    def download(self, key: str, path: Path) -> bool:
        try:
            with self._talking(key):
                self._client.download_file(self.bucket, self._key(key), str(path))
        except _Absent:
            return False
        return True

    def size(self, key: str) -> int | None:
        try:
            with self._talking(key):
                return int(self._client.head_object(Bucket=self.bucket, Key=self._key(key))["ContentLength"])
        except _Absent:
            return None

    def keys(self, prefix: str) -> Iterator[str]:
        strip = len(self.prefix) + 1 if self.prefix else 0
        with self._talking(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._key(prefix))
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield entry["Key"][strip:]

    def delete(self, key: str) -> None:
        with self._talking(key):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    @contextmanager
    def _talking(self, key: str) -> Iterator[None]:
        """Turn the client's errors into ours."""
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if code in ("PreconditionFailed", "ConditionalRequestConflict") or status in (409, 412):
                raise PreconditionFailed(key) from error
            if code == "NoSuchBucket":
                raise StoreNotWritable(f"bucket {self.bucket} does not exist: create it, or name another") from error
            if code in ("NoSuchKey", "NotFound", "404") or status == 404:
                raise _Absent from error
            if status in (401, 403):
                raise StoreNotWritable(
                    f"{self.uri} refused {key} ({code}): check its credentials and policy"
                ) from error
            raise StoreUnavailable(f"{self.uri} failed on {key} ({code or status}): try again") from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"{self.uri} did not answer for {key}: {error}") from error
        except boto3.exceptions.S3UploadFailedError as error:
            refused = any(code in str(error) for code in ("AccessDenied", "NoSuchBucket", "Forbidden"))
            kind = StoreNotWritable if refused else StoreUnavailable
            raise kind(f"cannot write {key} to {self.uri}: {error}") from error


class _Absent(Exception):
    """There is no such object."""
