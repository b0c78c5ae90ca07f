"""The shelf a server takes files from: a folder, or photos drawn when they are first asked for."""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import mimetypes
import multiprocessing
import os
from collections import OrderedDict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CACHE_BYTES = 256 << 20


@dataclass(frozen=True)
class Stored:
    """A file's bytes, its strong ETag (quotes included), and when it was changed, in Unix seconds."""

    body: bytes
    etag: str
    modified_s: float
    content_type: str

    @property
    def last_modified(self) -> str:
        return email.utils.formatdate(self.modified_s, usegmt=True)


def content_etag(body: bytes) -> str:
    """Return a strong ETag: half of the content's SHA-256."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


class _Cache:
    """Least recently used files, up to a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.files: OrderedDict[str, tuple[tuple[int, int], Stored]] = OrderedDict()

    def get(self, path: str, version: tuple[int, int]) -> Stored | None:
        found = self.files.get(path)
        if found is None or found[0] != version:
            return None
        self.files.move_to_end(path)
        return found[1]

    def put(self, path: str, version: tuple[int, int], stored: Stored) -> None:
        if (old := self.files.pop(path, None)) is not None:
            self.size_bytes -= len(old[1].body)
        self.files[path] = (version, stored)
        self.size_bytes += len(stored.body)
        while self.size_bytes > self.limit_bytes and len(self.files) > 1:
            _, (_, dropped) = self.files.popitem(last=False)
            self.size_bytes -= len(dropped.body)


class FolderShelf:
    """Files below a folder; one that changes on disk is read again."""

    def __init__(self, root: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self.root = os.path.realpath(root)
        self._cache = _Cache(cache_bytes)

    def find(self, path: str) -> Stored | None:
        """Return the file at a relative path, None where there is none or the path leads out of the folder."""
        try:
            full = os.path.realpath(os.path.join(self.root, path))
            if not full.startswith(self.root + os.sep):
                return None
            status = os.stat(full)
            version = (status.st_mtime_ns, status.st_size)
            if (stored := self._cache.get(path, version)) is None:
                body = Path(full).read_bytes()
                kind = mimetypes.guess_type(full)[0] or "application/octet-stream"
                stored = Stored(body, content_etag(body), status.st_mtime, kind)
                self._cache.put(path, version, stored)
        except (OSError, ValueError):
            return None
        return stored

    def etag_of(self, path: str) -> str | None:
        """Return the ETag of a file without having to draw it."""
        return None if (stored := self.find(path)) is None else stored.etag


class DrawnShelf:
    """Photos of a lazy catalog: drawn by a pool of processes, kept while there is room; ETags are kept for good."""

    def __init__(
        self, seed: int, fault_share: float, cache_bytes: int = CACHE_BYTES, workers: int | None = None
    ) -> None:
        self._seed, self._fault_share = seed, fault_share
        self._cache = _Cache(cache_bytes)
        self._etags: dict[str, str] = {}
        self._drawing: dict[str, asyncio.Future[Stored]] = {}
        self._pool = ProcessPoolExecutor(
            workers or os.cpu_count() or 1, mp_context=multiprocessing.get_context("forkserver")
        )

    def find(self, path: str) -> Stored | None:
        """Return a photo that is already drawn."""
        return self._cache.get(path, (0, 0))

    def etag_of(self, path: str) -> str | None:
        """Return the ETag of a photo that was drawn at any time."""
        return self._etags.get(path)

    async def draw(self, path: str) -> Stored | None:
        """Return the photo at a path, drawing it once however many ask; None where the catalog has no such path."""
        from demo.faults import photo_fault
        from demo.files import modified_at, parse_photo_path, photo_bytes

        if (parsed := parse_photo_path(path)) is None:
            return None
        number, view, _ = parsed
        if (drawing := self._drawing.get(path)) is None:
            drawing = asyncio.get_running_loop().create_future()
            self._drawing[path] = drawing
            try:
                fault = photo_fault(self._seed, number, view, self._fault_share)
                loop = asyncio.get_running_loop()
                body = await loop.run_in_executor(self._pool, photo_bytes, self._seed, number, view, fault)
                stored = Stored(body, content_etag(body), modified_at(number, view).timestamp(), "image/jpeg")
                self._cache.put(path, (0, 0), stored)
                self._etags[path] = stored.etag
                drawing.set_result(stored)
            except BaseException as error:
                drawing.set_exception(error)
                drawing.exception()
                raise
            finally:
                del self._drawing[path]
        return await asyncio.shield(drawing)

    def close(self) -> None:
        """End the processes that draw."""
        self._pool.shutdown(wait=False, cancel_futures=True)
