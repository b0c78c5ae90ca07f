"""The spool: impressions and clicks as JSON Lines, for the learning loop to collect.

One file a process, `<host>-<pid>-<number>.jsonl.part`, held under a lock while it is written. A full or old file is
closed: synced to disk and renamed to `.jsonl`. Readers take `.jsonl` files only. A file whose writer died keeps its
lines: the next searcher to start finds that nobody holds its lock and closes it.

Lines are whole: each is one write to a file opened for appending, and a write that the disk cut short is taken back.
They are not synced one by one: a crash of the process loses none, a crash of the machine may lose those of the file's
last seconds. A search never fails because its event could not be written; that is counted and logged once.
"""

import contextlib
import fcntl
import hashlib
import hmac
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from online.telemetry.logs import log
from schemas.events import ClickEvent, ImpressionEvent, to_json_line

OPEN_SUFFIX = ".jsonl.part"
CLOSED_SUFFIX = ".jsonl"


def hash_user(user_id: str | None, key: bytes | None) -> str | None:
    """The keyed hash (HMAC-SHA256, 64 hexadecimal digits) that stands for a user; None without an id or a key."""
    if user_id is None or key is None:
        return None
    return hmac.new(key, user_id.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def new_event_id() -> str:
    return uuid.uuid4().hex


def now_as_text() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class EventSpool:
    """Appends events to this process's file. Safe for many threads; `on_lost` is called for each event that is lost."""

    def __init__(
        self,
        folder: Path,
        *,
        file_max_bytes: int,
        file_max_age_s: float,
        on_lost: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._file_max_bytes, self._file_max_age_s = file_max_bytes, file_max_age_s
        self._on_lost, self._clock = on_lost, clock
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._path: Path | None = None
        self._size_bytes = 0
        self._opened_at = 0.0
        self._number = 0
        self._failing = False

    def append(self, event: ImpressionEvent | ClickEvent) -> bool:
        """Write one line; False where it was lost (disk full, folder gone)."""
        line = to_json_line(event)
        with self._lock:
            try:
                self._write_line(line)
            except OSError as error:
                self._lose(error)
                return False
            self._failing = False
            return True

    def close_if_due(self) -> None:
        """Close the file when it is old, so that quiet shops' events are collected too."""
        with self._lock:
            if self._handle is not None and self._size_bytes and self._is_due():
                self._close_file()

    def close(self) -> None:
        with self._lock:
            self._close_file()

    def close_orphans(self) -> int:
        """Close the files of writers that are gone; returns how many."""
        closed = 0
        for path in sorted(self._folder.glob(f"*{OPEN_SUFFIX}")):
            with contextlib.suppress(OSError):
                closed += _close_if_unheld(path)
        return closed

    def _write_line(self, line: bytes) -> None:
        if self._handle is not None and os.fstat(self._handle).st_nlink == 0:
            self._drop_file()
        if self._handle is not None and (self._size_bytes + len(line) > self._file_max_bytes or self._is_due()):
            self._close_file()
        handle = self._handle if self._handle is not None else self._open_file()
        written = 0
        try:
            written = os.write(handle, line)
        finally:
            if written != len(line):
                os.ftruncate(handle, self._size_bytes)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes were written")
        self._size_bytes += written

    def _is_due(self) -> bool:
        return self._clock() - self._opened_at > self._file_max_age_s

    def _open_file(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}-{self._number:06d}{OPEN_SUFFIX}"
        unseen, path = self._folder / f".{name}", self._folder / name
        handle = os.open(unseen, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        fcntl.flock(handle, fcntl.LOCK_EX)  # before it has the name that others look for
        unseen.rename(path)
        self._handle, self._path = handle, path
        self._size_bytes, self._opened_at = 0, self._clock()
        return handle

    def _drop_file(self) -> None:
        """Someone removed the file; what is written to it now would be lost."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = self._path = None

    def _close_file(self) -> None:
        if self._handle is None or self._path is None:
            return
        handle, path = self._handle, self._path
        self._handle = self._path = None
        try:
            with contextlib.suppress(OSError):
                os.fsync(handle)
            _rename_or_remove(path)
        finally:
            os.close(handle)

    def _lose(self, error: OSError) -> None:
        self._on_lost()
        if not self._failing:
            log.error("event_lost", folder=str(self._folder), error=str(error), advice="free space, or fix the folder")
        self._failing = True


def _close_if_unheld(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        os.fsync(handle)
        _rename_or_remove(path)
        return 1
    finally:
        os.close(handle)


def _rename_or_remove(path: Path) -> None:
    """An empty file holds nothing to collect."""
    if path.stat().st_size == 0:
        path.unlink()
    else:
        path.rename(path.with_name(path.name.removesuffix(OPEN_SUFFIX) + CLOSED_SUFFIX))
