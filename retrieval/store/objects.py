"""The object store: a folder or an S3 prefix, with the same conditional writes."""

import errno
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from schemas.errors import Misconfigured, PreconditionFailed, StoreNotWritable, StoreUnavailable

_LOCK_NAME = ".lock"
_S3_SCHEMES = ("s3", "s3a")
_PARTIAL_NAME = re.compile(r"\.(.+)\.(?:\d+\.partial|[a-z0-9_]{8})")
"""What a folder's writer, `upload` or `put`, calls a file until it is whole."""


@dataclass(frozen=True)
class StoredObject:
    data: bytes
    etag: str


@dataclass(frozen=True)
class StoredEntry:
    """One line of a listing. `modified_at` is aware, in UTC, by the store's clock."""

    key: str
    bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class UnfinishedUpload:
    """What a writer that died left of an object that no reader sees. `handle` is the store's own name for it."""

    key: str
    handle: str
    started_at: datetime


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

    def entries(self, prefix: str) -> Iterator[StoredEntry]:
        """As `keys`, with sizes and ages."""

    def delete(self, key: str) -> None: ...

    def delete_all(self, keys: Iterable[str]) -> None:
        """Delete in the order given, many at a time where the store can; keys that are not there are left out."""

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Uploads under the prefix that did not end: of writers at work, or of dead ones."""

    def discard(self, upload: UnfinishedUpload) -> None:
        """Free what an unfinished upload holds; one that has ended meanwhile is left alone."""

    def clock(self) -> datetime:
        """The store's own time now, in UTC: what it stamps objects with."""


def open_store(uri: str) -> ObjectStore:
    """A store for `s3://bucket/prefix`, `file:///folder` or a plain path. Raises Misconfigured for any other."""
    parts = refuse_other_uris(uri)
    if parts.scheme in _S3_SCHEMES:
        # boto3 takes a second to import: a searcher on a folder, and a command's --help, need not wait for it.
        from retrieval.store.s3 import S3Store

        return S3Store(parts.netloc, parts.path.strip("/"))
    return FolderStore(Path(unquote(parts.path) if parts.scheme == "file" else uri))


def refuse_other_uris(uri: str) -> SplitResult:
    """The parts of what `open_store` takes. Raises Misconfigured for any other, before anything is imported for it."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # a bracket in the place of a bucket
        raise Misconfigured(f"{uri!r} is no object store: name a folder, or s3://bucket/prefix") from None
    on_s3 = parts.scheme in _S3_SCHEMES
    if not uri.strip() or (on_s3 and not parts.netloc) or ("://" in uri and not on_s3 and parts.scheme != "file"):
        raise Misconfigured(f"{uri!r} is no object store: name a folder, or s3://bucket/prefix")
    if on_s3 and (parts.query or parts.fragment):  # what follows is no part of the prefix, and two stores would be one
        raise Misconfigured(f"{uri!r} holds ? or #, which no prefix may: name it otherwise")
    prefix = parts.path.strip("/")
    if on_s3 and prefix and {"", ".", ".."}.intersection(prefix.split("/")):  # servers over folders keep no such key
        raise Misconfigured(f"{uri!r} holds //, . or .. between its slashes: name it without")
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise Misconfigured(f"{uri!r} names a host, {parts.netloc}: a folder is written file:///folder")
    return parts


class FolderStore:
    """A folder that keeps S3's promises: whole writes by rename, conditions checked under a lock."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def uri(self) -> str:
        return self.root.as_uri()

    def get(self, key: str) -> StoredObject | None:
        try:
            with self._reading():
                data = self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
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
            partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
            with self._lock():  # or clean-up might take the new folder for one that is left empty
                target.parent.mkdir(parents=True, exist_ok=True)
                partial.touch()
            try:
                with path.open("rb") as source, partial.open("wb") as sink:
                    while block := source.read(1 << 20):
                        sink.write(block)
                    sink.flush()
                    os.fsync(sink.fileno())
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    def download(self, key: str, path: Path) -> bool:
        try:
            with self._reading():
                source = self._path(key).open("rb")
        except FileNotFoundError:
            return False
        with source, path.open("wb") as sink:
            while block := source.read(1 << 20):
                sink.write(block)
        return True

    def size(self, key: str) -> int | None:
        try:
            with self._reading():
                return self._path(key).stat().st_size
        except FileNotFoundError:
            return None

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key, path in self._files(prefix) if not path.name.startswith(".")))

    def entries(self, prefix: str) -> Iterator[StoredEntry]:
        for key in self.keys(prefix):
            try:
                found = self._path(key).stat()
            except FileNotFoundError:  # deleted since it was listed
                continue
            yield StoredEntry(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def delete(self, key: str) -> None:
        with self._writing():
            self._path(key).unlink(missing_ok=True)

    def delete_all(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.delete(key)
            with self._writing(), self._lock():
                self._drop_empty_folders(self._path(key).parent)

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        for key, path in sorted(self._files(prefix)):
            if match := _PARTIAL_NAME.fullmatch(path.name):
                with suppress(FileNotFoundError):  # it has become an object since it was listed
                    started_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                    yield UnfinishedUpload(f"{key[: -len(path.name)]}{match[1]}", key, started_at)

    def discard(self, upload: UnfinishedUpload) -> None:
        self.delete_all([upload.handle])

    def clock(self) -> datetime:
        with self._writing(), self._lock():  # a file server stamps files by its own clock
            os.utime(self.root / _LOCK_NAME)
            return datetime.fromtimestamp((self.root / _LOCK_NAME).stat().st_mtime, UTC)

    def _files(self, prefix: str) -> Iterator[tuple[str, Path]]:
        """Keys and files; nothing is walked that the prefix rules out."""
        parent, _, stem = prefix.rpartition("/")
        with suppress(FileNotFoundError, NotADirectoryError), self._reading():
            for child in (self.root / parent).iterdir():
                if child.name.startswith(stem):
                    for path in child.rglob("*") if child.is_dir() else (child,):
                        if path.is_file():
                            yield path.relative_to(self.root).as_posix(), path

    def _drop_empty_folders(self, folder: Path) -> None:
        """As on S3, a folder is there while something is in it."""
        with suppress(OSError):
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent

    def _path(self, key: str) -> Path:
        path = Path(os.path.normpath(self.root / key))
        if not path.is_relative_to(self.root):
            raise Misconfigured(f"key {key!r} leaves the store {self.uri}: name things without .. and leading /")
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
        with (self.root / _LOCK_NAME).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """What is absent is for the caller to say."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            if self.root.is_file():
                raise StoreNotWritable(f"the object store {self.root} is a file: name a folder") from None
            raise
        except PermissionError as error:
            raise StoreNotWritable(f"cannot read {error.filename}: {error.strerror}; fix its permissions") from error
        except OSError as error:
            raise StoreUnavailable(f"cannot read {error.filename or self.uri}: {error.strerror}") from error

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
