"""Objects of S3: read in threads up to the cap, looked at again only where their ETag changed.

Imported only by a partition that has such a link: boto3 is slow to load.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

from schemas.reasons import FetchReason, http_reason
from spark_jobs.fetch.answers import Answer, Known
from spark_jobs.fetch.links import Link
from spark_jobs.fetch.settings import FetchSettings

_ABSENT = ("NoSuchKey", "NoSuchBucket", "NotFound", "404")


class S3Source:
    """Objects by boto3 in threads. Endpoint and credentials come from the standard AWS environment."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.host_at_once, thread_name_prefix="s3")

    async def ask(self, link: Link, known: Known) -> Answer:
        bucket = link.host.removeprefix("s3/")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read, bucket, link.path, known)

    async def close(self) -> None:
        self._threads.shutdown(wait=False)

    def read(self, bucket: str, key: str, known: Known) -> Answer:
        conditions = {"IfNoneMatch": known.etag} if known.content_sha256 and known.etag else {}
        try:
            found = self._client.get_object(Bucket=bucket, Key=key, **conditions)
            with found["Body"] as body:
                return self._read_body(found, body)
        except ClientError as error:
            return _refusal(error, known)
        except (ConnectTimeoutError, ReadTimeoutError) as error:
            connecting = isinstance(error, ConnectTimeoutError)
            return Answer(reason=FetchReason.CONNECT_TIMEOUT if connecting else FetchReason.READ_TIMEOUT)
        except (BotoCoreError, OSError, ValueError):
            return Answer(reason=FetchReason.STORE_ERROR)

    def _read_body(self, found: Any, body: Any) -> Answer:
        limit = self._settings.image_max_bytes
        if found["ContentLength"] > limit:
            return Answer(reason=FetchReason.TOO_LARGE)
        data = body.read()
        if not data:
            return Answer(reason=FetchReason.EMPTY)
        return Answer(data=data, http_status=200, etag=found["ETag"])

    @cached_property
    def _client(self) -> Any:
        settings = self._settings
        config = Config(
            connect_timeout=settings.connect_timeout_s, read_timeout=settings.read_timeout_s,
            retries={"max_attempts": 0}, max_pool_connections=settings.host_at_once,
        )  # fmt: skip
        return boto3.client("s3", config=config)


def _refusal(error: ClientError, known: Known) -> Answer:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status == 304:
        return Answer(unchanged=True, http_status=304, etag=known.etag)
    if code in _ABSENT or status == 404:
        return Answer(reason=FetchReason.NOT_FOUND, http_status=404)
    if code in ("SlowDown", "RequestLimitExceeded"):
        return Answer(reason=FetchReason.HTTP_503, http_status=status)
    return Answer(reason=http_reason(status) if status >= 400 else FetchReason.STORE_ERROR, http_status=status or None)
