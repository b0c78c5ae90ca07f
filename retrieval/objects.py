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
from typing import Protocol
from urllib.parse import urlsplit

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
        # boto3 takes a second to import: a searcher on a folder, and a command's --help, need not wait for it.
        from retrieval.s3_objects import S3Store

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


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'
