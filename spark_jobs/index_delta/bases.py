"""Base builds on this host's disk: fetched once, opened for every delta until another base takes their place."""

import os
import shutil
from pathlib import Path

from retrieval.encoders.bundles import default_cache_folder
from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.search.segments import Segment, open_build
from retrieval.store.objects import ObjectStore
from schemas.errors import Misconfigured

KEPT = 4
"""Folders that stay: the bases that CURRENT names, and one to spare."""


def base_cache_folder() -> Path:
    return default_cache_folder().parent / "bases"


_verified: set[Path] = set()
"""Folders whose every byte this process has compared: the gate need not do it again after the delta was made."""


def open_base(store: ObjectStore, build_id: str, cache_folder: Path | None = None) -> Segment:
    """The build, verified. Raises BadData where the store has none, Corrupt, StoreUnavailable, Misconfigured where no copy
    can be kept here."""
    cache = cache_folder or base_cache_folder()
    folder = cache / build_id
    try:
        if folder not in _verified or not folder.exists():
            folder = BUILD_FOLDERS.fetch(store, build_id, cache)
            _verified.add(folder)
        os.utime(folder)
    except OSError as error:
        raise Misconfigured(
            f"cannot keep a copy of build {build_id} in {cache} ({error.strerror or error}): "
            "free space there or fix its permissions, or name another folder (SHOPLENS_CACHE)"
        ) from error
    return open_build(folder, verify=False)


def remove_unused_bases(cache_folder: Path | None = None, kept: int = KEPT) -> None:
    """Keep those that were used last."""
    folder = cache_folder or base_cache_folder()
    bases = [path for path in folder.glob("*") if path.is_dir() and not path.name.startswith(".")]
    for path in sorted(bases, key=lambda base: base.stat().st_mtime_ns, reverse=True)[kept:]:
        shutil.rmtree(path, ignore_errors=True)
