"""The object store on S3, or on any server that honours S3's conditional writes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from retrieval.store.objects import StoredEntry, StoredObject, UnfinishedUpload
from schemas.errors import ClockOff, Misconfigured, PreconditionFailed, StoreNotWritable, StoreUnavailable

_KEYS_A_DELETION = 1000
"""As many as S3 takes at once."""

_CLOCK_TOLERANCE_S = 900  # S3's own: a HEAD is refused without saying why

_BAD_CREDENTIALS = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
"""Answered with 400, though they are refusals like those with 401 and 403."""

_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed")
"""The bucket is another region's, as far as botocore could not follow by itself."""


class S3Store:
    """A prefix of an S3 bucket. Endpoint and credentials come from the standard AWS environment."""

    def __init__(self, bucket: str, prefix: str, client: Any = None) -> None:
        self.bucket, self.prefix = bucket, prefix
        self._client = client or _open_client()

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
            if if_match is None:
                raise
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
        return (entry.key for entry in self.entries(prefix))

    def entries(self, prefix: str) -> Iterator[StoredEntry]:
        with self._talking(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._key(prefix))
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield StoredEntry(self._own(entry["Key"]), entry["Size"], entry["LastModified"].astimezone(UTC))

    def delete(self, key: str) -> None:
        with self._talking(key):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def delete_all(self, keys: Iterable[str]) -> None:
        wanted = list(keys)
        for start in range(0, len(wanted), _KEYS_A_DELETION):
            named: list[Any] = [{"Key": self._key(key)} for key in wanted[start : start + _KEYS_A_DELETION]]
            with self._talking(wanted[start]):
                answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": named, "Quiet": True})
            for failure in answer.get("Errors", ()):
                refused = failure.get("Code") in ("AccessDenied", "Forbidden")
                kind = StoreNotWritable if refused else StoreUnavailable
                raise kind(f"{self.uri} did not delete {self._own(failure['Key'])} ({failure.get('Code')})")

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        with self._talking(prefix):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self._key(prefix)
            )
            for page in pages:
                for upload in page.get("Uploads", ()):
                    started_at = upload["Initiated"].astimezone(UTC)
                    yield UnfinishedUpload(self._own(upload["Key"]), upload["UploadId"], started_at)

    def discard(self, upload: UnfinishedUpload) -> None:
        try:
            with self._talking(upload.key):
                self._client.abort_multipart_upload(
                    Bucket=self.bucket, Key=self._key(upload.key), UploadId=upload.handle
                )
        except _Absent:
            return

    def clock(self) -> datetime:
        try:
            headers = self._client.head_bucket(Bucket=self.bucket)["ResponseMetadata"]["HTTPHeaders"]
        except ClientError as error:  # a refusal is dated too, also one for the sake of our own clock
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        except BotoCoreError as error:
            raise self._silence(error, "its clock") from error
        if "date" not in headers:
            raise StoreUnavailable(f"{self.uri} does not date its answers")
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _own(self, key: str) -> str:
        """A bucket's key as ours."""
        return key[len(self.prefix) + 1 :] if self.prefix else key

    @contextmanager
    def _talking(self, key: str) -> Iterator[None]:
        """Turn the client's errors into ours."""
        try:
            yield
        except ClientError as error:
            raise self._meaning(error, key) from error
        except BotoCoreError as error:
            raise self._silence(error, key) from error
        except Boto3Error as error:  # of files: what went wrong stands behind it
            cause = error.__context__
            if isinstance(cause, ClientError):
                raise self._meaning(cause, key) from error
            raise StoreUnavailable(f"{self.uri} did not answer for {key}: {error}") from error

    def _silence(self, error: BotoCoreError, key: str) -> Exception:
        """What it comes to that nothing was asked, or nothing answered."""
        if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
            return StoreNotWritable(f"no credentials for {self.uri} ({error}): set them in the AWS environment")
        if isinstance(error, ParamValidationError):
            return StoreNotWritable(f"{self.uri} cannot be asked for {key}: {' '.join(str(error).split())[:200]}")
        return StoreUnavailable(f"{self.uri} did not answer for {key}: {error}")

    def _meaning(self, error: ClientError, key: str) -> Exception:
        """What an answer of the store comes to."""
        code = str(error.response.get("Error", {}).get("Code", ""))
        answer: dict[str, Any] = {**error.response.get("ResponseMetadata", {})}
        status = int(answer.get("HTTPStatusCode", 0))
        if code in ("PreconditionFailed", "ConditionalRequestConflict") or status in (409, 412):
            return PreconditionFailed(key)
        if code == "NoSuchBucket":
            return StoreNotWritable(f"bucket {self.bucket} does not exist: create it, or name another")
        if code in ("NoSuchKey", "NoSuchUpload", "NotFound", "404") or status == 404:
            return _Absent(f"{self.uri} answers {key} with 404: see that AWS_ENDPOINT_URL is that of an S3 server")
        if code in _ELSEWHERE:
            return StoreNotWritable(
                f"{self.uri} lies in another region: set AWS_REGION, or AWS_ENDPOINT_URL, to its own"
            )
        if code == "NotImplemented" or status in (405, 501):  # trying again would never end
            return StoreNotWritable(
                f"{self.uri} does not know how to do what {key} needs ({code or status}): use a store with conditional "
                "writes, such as S3 itself"
            )
        if status in (401, 403) or code in _BAD_CREDENTIALS:
            off_s = _clock_difference_s(answer)
            if code == "RequestTimeTooSkewed" or abs(off_s) > _CLOCK_TOLERANCE_S:
                return ClockOff(
                    f"{self.uri} refused {key}: this host's clock is {abs(off_s):.0f} s "
                    f"{'ahead of' if off_s > 0 else 'behind'} the store's: set it, and keep it set (NTP)"
                )
            return StoreNotWritable(f"{self.uri} refused {key} ({code}): check its credentials and policy")
        return StoreUnavailable(f"{self.uri} failed on {key} ({code or status}): try again")


def _open_client() -> Any:
    """A client as the AWS environment says. Raises Misconfigured where that cannot be meant."""
    config = Config(
        retries={"mode": "standard", "max_attempts": 5},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=32,
    )
    try:
        return boto3.client("s3", config=config)
    except (BotoCoreError, ValueError) as error:  # no such profile, or an endpoint that is no address
        raise Misconfigured(f"the AWS environment does not do: {error}; mend its variables and files") from error


def _clock_difference_s(answer: dict[str, Any]) -> float:
    """By how much this host's clock is ahead of the store's, as the answer's Date tells; 0 where it does not."""
    try:
        theirs = parsedate_to_datetime(answer["HTTPHeaders"]["date"])
    except (KeyError, ValueError):
        return 0.0
    return (datetime.now(UTC) - theirs).total_seconds()


class _Absent(StoreNotWritable):
    """There is no such object; where none is asked for, a listing or a first write, it is no S3 that answers."""
