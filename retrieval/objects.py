"""The object store: a folder or an S3 prefix, with the same conditional writes."""

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from schemas.errors import PreconditionFailed, StoreNotWritable, StoreUnavailable


@dataclass(frozen=True)
class StoredObject:
    data: bytes
    etag: str


class ObjectStore(Protocol):
    """Keys are relative to the store's root, with `/` between parts.

    All raise StoreUnavailable when the store does not answer and StoreNotWritable when it refuses writes.
    """

    @property
    def uri(self) -> str: ...

    def get(self, key: str) -> StoredObject | None:
        """The object, or None where there is none."""

    def put(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        """Write whole and return the new ETag. Raises PreconditionFailed where a condition does not hold."""

    def upload(self, path: Path, key: str) -> None: ...

    def download(self, key: str, path: Path) -> bool:
        """Write the object to `path`; False where there is none."""

    def size(self, key: str) -> int | None:
        """Bytes of the object, or None where there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys under the prefix, sorted."""

    def delete(self, key: str) -> None: ...


def open_store(uri: str) -> ObjectStore:
    """A store for `s3://bucket/prefix`, `file:///folder` or a plain path."""
    parts = urlsplit(uri)
    if parts.scheme in ("s3", "s3a"):
        return S3Store(parts.netloc, parts.path.strip("/"))
    return FolderStore(Path(parts.path if parts.scheme == "file" else uri))


class FolderStore:
    """A folder that keeps S3's promises: whole writes by rename, conditions checked under a lock."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def uri(self) -> str:
        return self.root.as_uri()

    def get(self, key: str) -> StoredObject | None:
        try:
            data = self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreUnavailable(f"cannot read {self._path(key)}: {error.strerror}") from error
        return StoredObject(data, _etag(data))

    def put(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        with self._writing(), self._lock():
            if if_match is not None or if_none_match:
                held = self.get(key)
                if (if_none_match and held) or (if_match is not None and (held is None or held.etag != if_match)):
                    raise PreconditionFailed(key)
            self._write_whole(key, data)
        return _etag(data)

    def upload(self, path: Path, key: str) -> None:
        with self._writing():
            target = self._path(key)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
            with path.open("rb") as source, partial.open("wb") as sink:
                while block := source.read(1 << 20):
                    sink.write(block)
                sink.flush()
                os.fsync(sink.fileno())
            partial.replace(target)

    def download(self, key: str, path: Path) -> bool:
        try:
            with self._path(key).open("rb") as source, path.open("wb") as sink:
                while block := source.read(1 << 20):
                    sink.write(block)
        except FileNotFoundError:
            return False
        return True

    def size(self, key: str) -> int | None:
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError:
            return None

    def keys(self, prefix: str) -> Iterator[str]:
        start = self.root / prefix
        folder = start if start.is_dir() else start.parent
        found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        names = sorted(path.relative_to(self.root).as_posix() for path in found)
        return iter([name for name in names if name.startswith(prefix)])

    def delete(self, key: str) -> None:
        with self._writing():
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        path = Path(os.path.normpath(self.root / key))
        if not path.is_relative_to(self.root):
            raise ValueError(f"key {key!r} leaves the store")
        return path

    def _write_whole(self, key: str, data: bytes) -> None:
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as sink:
                sink.write(data)
                sink.flush()
                os.fsync(sink.fileno())
            os.chmod(partial, 0o644)
            os.replace(partial, target)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise
            raise StoreNotWritable(
                f"cannot write to the object store {self.uri}: {error.strerror}; free space or fix its permissions"
            ) from error


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
            raise StoreNotWritable(f"cannot write {key} to {self.uri}: {error}") from error


class _Absent(Exception):
    """There is no such object."""


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'
