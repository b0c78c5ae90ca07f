"""Models, builds and deltas on this host's disk: fetched and verified once, shared by all workers, the oldest removed.

The cache folder holds `models/<id>/`, `builds/<id>/` and `deltas/<id>/`. One worker at a time downloads, under a file
lock, once there is room for it. A folder is trusted again without reading it whole when `<id>.verified` beside it lists
every file with the size and the time of change that it had when its SHA-256 was checked.
"""

import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from online.snapshots.cache_folder import KINDS, LOCK_FILE, refuse_foreign_folder, seal_of, sealed_by, seals_in
from online.telemetry.logs import log
from retrieval.encoders.bundles import fetch_bundle
from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.store.objects import ObjectStore
from schemas.bundle import WEIGHTS_FILE, model_key
from schemas.delta import delta_key
from schemas.errors import Corrupt, ShopLensError, StoreNotWritable
from schemas.manifest import MANIFEST_FILE, build_key
from schemas.pointer import POINTER_KEY, Pointer, Served

LAST_GOOD_FILE = "last-good.json"
_PARTIAL = ".*.partial"
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Copies(NamedTuple):
    """Verified folders of what a pointer names."""

    build: Path
    model: Path
    delta: Path | None


class HostCache:
    """Raises what `FolderKind.fetch` and `fetch_bundle` raise, and StoreNotWritable where the folder cannot be
    written or has no room."""

    def __init__(self, store: ObjectStore, folder: Path, builds_kept: int) -> None:
        self._store, self._folder, self._builds_kept = store, folder, max(builds_kept, 1)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this host's lock: folders fetched inside are not removed by another worker meanwhile.

        Raises Misconfigured where the folder is somebody else's.
        """
        refuse_foreign_folder(self._folder)
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
        return self._sealed("builds", build_id, BUILD_FOLDERS.fetch, build_key)

    def model_folder(self, model_id: str) -> Path:
        """A verified copy of models/<id>/, without torch weights. Hold the lock."""
        return self._sealed("models", model_id, fetch_bundle, model_key)

    def delta_folder(self, delta_id: str) -> Path:
        """A verified copy of deltas/<id>/. Hold the lock."""
        return self._sealed("deltas", delta_id, DELTA_FOLDERS.fetch, delta_key)

    def copies(self, served: Served) -> Copies:
        """Verified copies of all that is served. Hold the lock."""
        return Copies(
            self.build_folder(served.build_id),
            self.model_folder(served.model_id),
            None if served.delta_id is None else self.delta_folder(served.delta_id),
        )

    def kept(self, served: Served) -> Copies | None:
        """The verified copies of all that is served, where all are here. Another worker may remove them, so open them
        at once; no lock is needed."""
        folders = {kind: self._folder / kind / name for kind, name in _named(served) if name is not None}
        if not all(_is_intact(folder, seal_of(folder)) for folder in folders.values()):
            return None
        return Copies(folders["builds"], folders["models"], folders.get("deltas"))

    def remove_old(self) -> list[str]:
        """Keep the builds and models that were last used, as many deltas of each such build, and no more; open files of
        a removed one stay readable. What killed downloads left goes too.

        Returns the ids that were removed. Hold the lock.
        """
        builds, models, deltas = (self._last_used(kind) for kind in KINDS)
        kept = {folder.name for folder in (*builds[: self._builds_kept], *models[: self._builds_kept])}
        of_base: Counter[str | None] = Counter()
        for folder in deltas:
            base = _base_of(folder)
            of_base[base] += 1
            if base in kept and of_base[base] <= self._builds_kept:
                kept.add(folder.name)
        removed = [folder for folder in (*builds, *models, *deltas) if folder.name not in kept]
        for folder in removed:
            seal_of(folder).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
        self._remove_leftovers()
        names = [folder.name for folder in reversed(removed)]
        if names:
            log.info("old_copies_removed", removed=names)
        return names

    def _last_used(self, kind: str) -> list[Path]:
        """The verified folders of a kind, the last used first."""
        seals = sorted(seals_in(self._folder / kind), key=lambda seal: seal.stat().st_mtime_ns)
        return [sealed_by(seal) for seal in reversed(seals)]

    def _remove_leftovers(self) -> None:
        """Partial downloads, folders that were never verified, and locks of what is no more: nobody else writes here."""
        for kind in KINDS:
            for path in (self._folder / kind).glob("*"):
                whole = path.name.removeprefix(".").removesuffix(".lock")
                if path.is_symlink():
                    continue
                if path.is_dir() and (path.match(_PARTIAL) or not seal_of(path).exists()):
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name == f".{whole}.lock" and not path.with_name(whole).exists():
                    path.unlink(missing_ok=True)

    def remember(self, pointer: Pointer) -> None:
        """Note what this host serves, for a worker that starts while CURRENT cannot be loaded, and that it was used.

        A disk that is full must not keep what is loaded from being served: that it was not noted is logged. Hold the
        lock.
        """
        for kind, name in _named(pointer.live):
            if name is not None:
                with suppress(OSError):
                    _touch(seal_of(self._folder / kind / name))
        partial = self._folder / f".{LAST_GOOD_FILE}.partial"
        try:
            partial.write_text(json.dumps({"store": self._store.uri, "pointer": pointer.to_json().decode()}))
            partial.replace(self._folder / LAST_GOOD_FILE)
        except OSError as error:
            log.warning("last_good_not_noted", detail=f"cannot write to {self._folder}: {error.strerror}")

    def recall(self) -> Pointer | None:
        """What this host served last from the same store; None where there is nothing to go by."""
        try:
            noted = json.loads((self._folder / LAST_GOOD_FILE).read_text())
            return Pointer.from_json(noted["pointer"].encode()) if noted["store"] == self._store.uri else None
        except (OSError, ValueError, KeyError, ShopLensError):
            return None

    def _sealed(
        self, kind: str, name: str, fetch: Callable[[ObjectStore, str, Path], Path], key: Callable[[str], str]
    ) -> Path:
        if not _ID.fullmatch(name):
            raise Corrupt(POINTER_KEY, "an id without slashes", repr(name))
        folder = self._folder / kind / name
        seal = seal_of(folder)
        if _is_intact(folder, seal):
            _touch(seal)
            return folder
        seal.unlink(missing_ok=True)
        try:
            if not folder.exists():  # else it was killed before it was sealed, and needs only to be verified
                self._require_room(kind, name, key(name))
            fetched = fetch(self._store, name, self._folder / kind)
            seal.write_text(json.dumps(_describe(fetched)))
            _touch(seal)
        except OSError as error:
            raise StoreNotWritable(f"cannot write to the cache {self._folder}: {error.strerror}; free space") from error
        return fetched

    def _require_room(self, kind: str, name: str, key: str) -> None:
        """Better said before a download than half-way through it. Raises StoreNotWritable."""
        self._remove_leftovers()
        needed, free = _bytes_of(self._store, key), shutil.disk_usage(self._folder).free
        if needed > free:
            raise StoreNotWritable(
                f"the cache {self._folder} has no room for {kind}/{name}: it takes {_mb(needed)} MB and {_mb(free)} MB "
                f"are free; free {_mb(needed - free)} MB more, or name another folder (SHOPLENS_CACHE)"
            )


def _named(served: Served) -> Iterator[tuple[str, str | None]]:
    return zip(KINDS, (served.build_id, served.model_id, served.delta_id), strict=True)


def _bytes_of(store: ObjectStore, key: str) -> int:
    """What a build, delta or model takes by its manifest; 0 where that cannot be read: fetching it says why."""
    found = store.get(key)
    try:
        files = json.loads(found.data)["files"] if found else {}
        return sum(int(entry["bytes"]) for name, entry in files.items() if name != WEIGHTS_FILE)
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}"


def _base_of(delta_folder: Path) -> str | None:
    """The build that a delta was made for."""
    try:
        return str(json.loads((delta_folder / MANIFEST_FILE).read_text())["base_build_id"])
    except (OSError, ValueError, KeyError):
        return None


def _is_intact(folder: Path, seal: Path) -> bool:
    try:
        return bool(json.loads(seal.read_text()) == _describe(folder))
    except (OSError, ValueError):
        return False


def _touch(seal: Path) -> None:
    """Note the last use, later than all others: the kernel's stamps are too coarse to order two, and clocks are set back."""
    others = (other.stat().st_mtime_ns for other in seals_in(seal.parent))
    now = max(time.time_ns(), 1 + max(others, default=0))
    os.utime(seal, ns=(now, now))


def _describe(folder: Path) -> dict[str, list[int]]:
    """Size in bytes and time of change of every file, by name."""
    entries = sorted(folder.iterdir())
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in entries}
