"""Models and builds on this host's disk: downloaded and verified once, shared by all workers, the oldest removed.

The cache folder holds `models/<id>/` and `builds/<id>/`. One worker at a time downloads, under a file lock. A folder is
trusted again without reading it whole when `<id>.verified` beside it lists every file with the size and the time of
change that it had when its SHA-256 was checked.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from online.logs import log
from retrieval.builds import fetch_build
from retrieval.bundles import fetch_bundle
from retrieval.objects import ObjectStore
from schemas.errors import Corrupt, ShopLensError, StoreNotWritable
from schemas.pointer import POINTER_KEY, Pointer

LOCK_FILE = ".searchers.lock"
LAST_GOOD_FILE = "last-good.json"
_SEAL_SUFFIX = ".verified"
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class HostCache:
    """Raises what `fetch_build` and `fetch_bundle` raise, and StoreNotWritable where the folder cannot be written."""

    def __init__(self, store: ObjectStore, folder: Path, builds_kept: int) -> None:
        self._store, self._folder, self._builds_kept = store, folder, max(builds_kept, 1)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this host's lock: folders fetched inside are not removed by another worker meanwhile."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / LOCK_FILE)
            lock.acquire()
        except OSError as error:
            raise StoreNotWritable(f"cannot write to the cache {self._folder}: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    def build_folder(self, build_id: str) -> Path:
        """A verified copy of builds/<id>/. Hold the lock."""
        return self._sealed("builds", build_id, fetch_build)

    def model_folder(self, model_id: str) -> Path:
        """A verified copy of models/<id>/, without torch weights. Hold the lock."""
        return self._sealed("models", model_id, fetch_bundle)

    def remove_old(self) -> list[str]:
        """Keep the builds and models that were last used, and no more; open files of a removed one stay readable.

        Returns the ids that were removed. Hold the lock.
        """
        removed = []
        for kind in ("builds", "models"):
            seals = sorted((self._folder / kind).glob(f"*{_SEAL_SUFFIX}"), key=lambda seal: seal.stat().st_mtime_ns)
            for seal in seals[: -self._builds_kept]:
                name = seal.name.removesuffix(_SEAL_SUFFIX)
                seal.unlink()
                shutil.rmtree(seal.with_name(name), ignore_errors=True)
                removed.append(name)
        if removed:
            log.info("old_copies_removed", removed=removed)
        return removed

    def remember(self, pointer: Pointer) -> None:
        """Note what this host served last, for a worker that starts while CURRENT cannot be loaded. Hold the lock."""
        partial = self._folder / f".{LAST_GOOD_FILE}.partial"
        partial.write_text(json.dumps({"store": self._store.uri, "pointer": pointer.to_json().decode()}))
        partial.replace(self._folder / LAST_GOOD_FILE)

    def recall(self) -> Pointer | None:
        """What this host served last from the same store; None where there is nothing to go by."""
        try:
            noted = json.loads((self._folder / LAST_GOOD_FILE).read_text())
            return Pointer.from_json(noted["pointer"].encode()) if noted["store"] == self._store.uri else None
        except (OSError, ValueError, KeyError, ShopLensError):
            return None

    def _sealed(self, kind: str, name: str, fetch: Callable[[ObjectStore, str, Path], Path]) -> Path:
        if not _ID.fullmatch(name):
            raise Corrupt(POINTER_KEY, "an id without slashes", repr(name))
        folder = self._folder / kind / name
        seal = folder.with_name(f"{folder.name}{_SEAL_SUFFIX}")
        if _is_intact(folder, seal):
            _touch(seal)
            return folder
        seal.unlink(missing_ok=True)
        try:
            fetched = fetch(self._store, name, self._folder / kind)
            seal.write_text(json.dumps(_describe(fetched)))
            _touch(seal)
        except OSError as error:
            raise StoreNotWritable(f"cannot write to the cache {self._folder}: {error.strerror}; free space") from error
        return fetched


def _is_intact(folder: Path, seal: Path) -> bool:
    try:
        return bool(json.loads(seal.read_text()) == _describe(folder))
    except (OSError, ValueError):
        return False


def _touch(seal: Path) -> None:
    """Note the last use. The kernel's own stamps are too coarse to order two uses."""
    now = time.time_ns()
    os.utime(seal, ns=(now, now))


def _describe(folder: Path) -> dict[str, list[int]]:
    """Size in bytes and time of change of every file, by name."""
    entries = sorted(folder.iterdir())
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in entries}
