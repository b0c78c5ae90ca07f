"""Files under the allowed roots: read up to the cap, looked at again only where they changed."""

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas.reasons import FetchReason
from spark_jobs.fetch.answers import Answer, Known
from spark_jobs.fetch.links import Link
from spark_jobs.fetch.settings import FetchSettings


class FileSource:
    """Regular files whose real path, symbolic links resolved, lies under one of the roots."""

    def __init__(self, settings: FetchSettings) -> None:
        self._limit = settings.image_max_bytes
        self._roots: Sequence[Path] = [root.resolve() for root in settings.allowed_roots]

    async def ask(self, link: Link, known: Known) -> Answer:
        return await asyncio.to_thread(self.read, Path(link.path), known)

    async def close(self) -> None:
        """Nothing is held."""

    def read(self, path: Path, known: Known) -> Answer:
        """The file's bytes; its size and time of change serve as ETag."""
        try:
            real = path.resolve()
            if not any(real.is_relative_to(root) for root in self._roots):
                return Answer(reason=FetchReason.PATH_REFUSED)
            # The real path has no symbolic link; O_NOFOLLOW holds that, O_NONBLOCK keeps a pipe from blocking us.
            with open(os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                return self._read_open(file, known)
        except FileNotFoundError:
            return Answer(reason=FetchReason.NOT_FOUND)
        except (OSError, ValueError, RuntimeError):  # no permission, a loop of links, a name too long
            return Answer(reason=FetchReason.PATH_REFUSED)

    def _read_open(self, file: Any, known: Known) -> Answer:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            return Answer(reason=FetchReason.PATH_REFUSED)
        if found.st_size > self._limit:
            return Answer(reason=FetchReason.TOO_LARGE)
        etag = f"{found.st_mtime_ns:x}-{found.st_size:x}"
        if known.content_sha256 and known.etag == etag:
            return Answer(unchanged=True, etag=etag)
        data = file.read(self._limit + 1)
        if len(data) > self._limit:
            return Answer(reason=FetchReason.TOO_LARGE)
        return Answer(data=data, etag=etag) if data else Answer(reason=FetchReason.EMPTY)
