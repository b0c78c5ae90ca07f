"""Whether this host's clock and disks do for what CURRENT names, and a folder is there to hold it."""

import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from retrieval.diagnosis.findings import Finding, ok, warning, wrong
from retrieval.encoders.bundles import find_bundle
from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.publishing.pointer import read_pointer
from retrieval.store.objects import FolderStore, ObjectStore
from schemas.bundle import WEIGHTS_FILE
from schemas.errors import ShopLensError
from schemas.pointer import Served

CLOCK_TOLERANCE = timedelta(minutes=15)
"""S3 refuses requests from further off."""
CLOCK_WARNING = timedelta(minutes=1)
_DATED_TO = timedelta(seconds=2)  # answers are dated in whole seconds, and take their time

FreeBytes = Callable[[Path], int]


def check_folder(store: ObjectStore) -> Finding | None:
    """That the folder of a store on a disk is there, which the other checks would make; None where nothing is wrong."""
    if not isinstance(store, FolderStore) or store.root.is_dir():
        return None
    return wrong("store: folder", f"there is no folder {store.root}", "mend --store, or make it for a new shop")


def check_clock(store: ObjectStore, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Finding:
    """This machine's clock against the store's. Raises StoreUnavailable."""
    before = now()
    theirs = store.clock()
    ours = before + (now() - before) / 2
    off = abs(ours - theirs)
    direction = "ahead of" if ours > theirs else "behind"
    says = f"{off.total_seconds():.0f} s {direction} the store's" if off > _DATED_TO else "the store's"
    remedy = "set this machine's clock, and keep it set (NTP)"
    if off > CLOCK_TOLERANCE:
        return wrong("clock", f"{says}: beyond the 15 minutes that S3 accepts", remedy)
    return warning("clock", says, remedy) if off > CLOCK_WARNING else ok("clock", says)


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def check_disks(store: ObjectStore, cache_folder: Path, free_bytes: FreeBytes = _free_bytes) -> list[Finding]:
    """Room in a searcher's cache for what CURRENT names, and in scratch for a build of the same size."""
    try:
        found = read_pointer(store)
        served = [one for one in (found[0].live, found[0].candidate) if one] if found else []
        sizes: dict[tuple[str, str], int] = {}
        for one in served:
            sizes |= _sizes(store, one)
    except ShopLensError:
        return []  # what is wrong there has its own line
    build = max((size for (kind, _), size in sizes.items() if kind == "builds"), default=0)
    absent = sum(size for (kind, name), size in sizes.items() if not (cache_folder / kind / name).exists())
    return [_check_cache(cache_folder, absent, build, free_bytes), _check_scratch(build, free_bytes)]


def _check_cache(folder: Path, absent: int, build: int, free_bytes: FreeBytes) -> Finding:
    check = "disk: cache"
    standing = _standing(folder)
    if not os.access(standing, os.W_OK):
        return wrong(check, f"{standing} cannot be written", "fix its permissions, or name another --cache")
    free = free_bytes(standing)
    says = f"{folder}: {_gb(free)} free, {_gb(absent)} to fetch"
    remedy = "free space there, or name another --cache (SHOPLENS_CACHE)"
    if free < absent:
        return wrong(check, f"{says}: a searcher cannot load what CURRENT names", remedy)
    if free < absent + build:
        return warning(check, f"{says}: the next build of this size ({_gb(build)}) has no room beside it", remedy)
    return ok(check, says)


def _check_scratch(build: int, free_bytes: FreeBytes) -> Finding:
    check, folder = "disk: scratch", Path(tempfile.gettempdir())
    free, wanted = free_bytes(folder), 2 * build
    says = f"{folder}: {_gb(free)} free, a build of this size takes {_gb(wanted)}"
    if free < wanted:
        return warning(check, says, "free space there before building here, or set TMPDIR and SPARK_LOCAL_DIRS")
    return ok(check, says)


def _sizes(store: ObjectStore, served: Served) -> dict[tuple[str, str], int]:
    """Bytes that a searcher fetches of each build, delta and model, by (kind, id)."""
    sizes: dict[tuple[str, str], int] = {}
    if build := BUILD_FOLDERS.find(store, served.build_id):
        sizes["builds", served.build_id] = sum(entry.bytes for entry in build.files.values())
    if served.delta_id and (delta := DELTA_FOLDERS.find(store, served.delta_id)):
        sizes["deltas", served.delta_id] = sum(entry.bytes for entry in delta.files.values())
    bundle = find_bundle(store, served.model_id)
    sizes["models", served.model_id] = sum(entry.bytes for name, entry in bundle.files.items() if name != WEIGHTS_FILE)
    return sizes


def _standing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
