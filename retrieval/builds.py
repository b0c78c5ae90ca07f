"""Builds in the object store: sent files first and manifest last, fetched whole or not at all."""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from retrieval.build_folder import check_file, read_verified_manifest
from retrieval.objects import ObjectStore
from schemas.errors import BadData, Corrupt, PreconditionFailed
from schemas.manifest import MANIFEST_FILE, Manifest, build_key

log = logging.getLogger("shoplens")


@dataclass(frozen=True)
class StoredBuild:
    """What `builds/<id>/` holds: a manifest, or what is wrong (no manifest: the upload did not finish)."""

    build_id: str
    manifest: Manifest | None
    problem: str | None = None


def find_build(store: ObjectStore, build_id: str) -> Manifest | None:
    """The manifest of a build whose files are all in the store with the right sizes; None where it has no manifest.

    Raises Corrupt where a file is missing or cut short, SchemaTooNew.
    """
    key = build_key(build_id)
    found = store.get(key)
    if found is None:
        return None
    manifest = Manifest.from_json(found.data, key)
    for name, entry in manifest.files.items():
        size = store.size(build_key(build_id, name))
        if size != entry.bytes:
            raise Corrupt(
                build_key(build_id, name), f"{entry.bytes} bytes", "nothing" if size is None else f"{size} bytes"
            )
    return manifest


def upload_build(store: ObjectStore, folder: Path) -> Manifest:
    """Send a verified folder and return the manifest that stands in the store.

    A build that is there already stands: its id names the same rows and parameters. Only its lineage (source versions
    and interval) may differ, for a later night may find the same rows. A build whose files went missing is sent again.
    Raises Corrupt where the folder is damaged, StoreNotWritable, StoreUnavailable.
    """
    manifest = read_verified_manifest(folder)
    if standing := _standing(store, manifest.build_id):
        _compare(standing, manifest)
        return standing
    for name in sorted(manifest.files):
        store.upload(folder / name, build_key(manifest.build_id, name))
    key = build_key(manifest.build_id)
    try:
        store.put(key, manifest.to_json(), if_none_match=True)
    except PreconditionFailed:
        found = store.get(key)
        if found is None:
            raise
        standing = Manifest.from_json(found.data, key)
        _compare(standing, manifest)
        return standing
    return manifest


def fetch_build(store: ObjectStore, build_id: str, cache_folder: Path) -> Path:
    """The build's folder under `cache_folder`, downloaded and verified by checksum if it is not there.

    It appears by one rename; processes that share the cache wait for one download. What a killed download left is
    removed. Raises BadData where the store has no such build, Corrupt, StoreUnavailable.
    """
    folder = cache_folder / build_id
    cache_folder.mkdir(parents=True, exist_ok=True)
    with _locked(cache_folder / f".{build_id}.lock"):
        for leftover in cache_folder.glob(f".{build_id}.*.partial"):
            shutil.rmtree(leftover)
        if folder.exists():
            try:
                read_verified_manifest(folder)
                return folder
            except Corrupt as error:
                log.warning("the cached build is fetched again: %s", error)
                shutil.rmtree(folder)
        partial = cache_folder / f".{build_id}.{os.getpid()}.partial"
        partial.mkdir()
        try:
            _download(store, build_id, partial)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def verify_build(store: ObjectStore, build_id: str) -> Iterator[tuple[str, int]]:
    """Read every file of a stored build and yield its name and bytes as each proves right.

    Raises Corrupt on the first that does not, BadData where there is no such build.
    """
    manifest = _manifest(store, build_id)
    with tempfile.TemporaryDirectory(prefix="shoplens-verify-") as scratch:
        for name, entry in sorted(manifest.files.items()):
            path = Path(scratch) / "file"
            if not store.download(build_key(build_id, name), path):
                raise Corrupt(build_key(build_id, name), f"{entry.bytes} bytes", "nothing")
            try:
                check_file(path, entry)
            except Corrupt as error:
                raise Corrupt(build_key(build_id, name), error.expected, error.actual) from None
            yield name, entry.bytes


def list_builds(store: ObjectStore) -> list[StoredBuild]:
    """Every build in the store, by id; one without a readable manifest says why."""
    ids = sorted({key.split("/")[1] for key in store.keys("builds/") if key.count("/") >= 2})
    return [_describe(store, build_id) for build_id in ids]


def same_build(left: Manifest, right: Manifest) -> bool:
    """Whether two manifests name the same bytes; lineage may differ."""
    return replace(left, source_versions={}, interval_end="") == replace(right, source_versions={}, interval_end="")


def _standing(store: ObjectStore, build_id: str) -> Manifest | None:
    try:
        return find_build(store, build_id)
    except Corrupt as error:
        log.warning("a build in the store is damaged and is sent again: %s", error)
        store.delete(build_key(build_id))
        return None


def _compare(standing: Manifest, made: Manifest) -> None:
    if not same_build(standing, made):
        log.warning(
            "build %s is in the store with other bytes (another CPU kind or lock file): it stands", made.build_id
        )


def _manifest(store: ObjectStore, build_id: str) -> Manifest:
    key = build_key(build_id)
    found = store.get(key)
    if found is None:
        raise BadData(f"there is no build {build_id} in {store.uri}: see `shoplens index list`")
    return Manifest.from_json(found.data, key)


def _download(store: ObjectStore, build_id: str, folder: Path) -> None:
    manifest = _manifest(store, build_id)
    for name, entry in manifest.files.items():
        if "/" in name or name.startswith("."):
            raise Corrupt(build_key(build_id), "plain file names", repr(name))
        if not store.download(build_key(build_id, name), folder / name):
            raise Corrupt(build_key(build_id, name), f"{entry.bytes} bytes", "nothing")
    (folder / MANIFEST_FILE).write_bytes(manifest.to_json())
    read_verified_manifest(folder)


def _describe(store: ObjectStore, build_id: str) -> StoredBuild:
    try:
        found = find_build(store, build_id)
    except BadData as error:
        return StoredBuild(build_id, None, str(error))
    return StoredBuild(build_id, found, None if found else "no manifest: its upload did not finish")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
