"""Folders that never change: sent with the manifest last, fetched whole or not at all, and checked before they are read.

FAISS and Arrow do not notice damage: a flipped bit gives other answers without an error. So nothing reads a byte of
such a folder before `FolderKind.read_verified` has compared every file's size and SHA-256.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from retrieval.folders.files import check_file
from retrieval.store.objects import ObjectStore
from schemas.delta import DeltaManifest
from schemas.errors import BadData, Corrupt, PreconditionFailed
from schemas.manifest import MANIFEST_FILE, Manifest

log = logging.getLogger("shoplens")

AnyManifest = TypeVar("AnyManifest", Manifest, DeltaManifest)


@dataclass(frozen=True)
class StoredFolder(Generic[AnyManifest]):
    """What a folder in the store holds: a manifest, or what is wrong (no manifest: the upload did not finish)."""

    folder_id: str
    manifest: AnyManifest | None
    problem: str | None = None


@dataclass(frozen=True)
class FolderKind(Generic[AnyManifest]):
    """One kind of folder: a `noun` is `<noun>s/<id>/` in the store, and has at least the files that `files_of` names.

    `hint` says what to do where one is looked for in vain.
    """

    noun: str
    parse: Callable[[bytes, str], AnyManifest]
    files_of: Callable[[AnyManifest], Sequence[str]]
    id_of: Callable[[AnyManifest], str]
    hint: str

    def key(self, folder_id: str, file_name: str = MANIFEST_FILE) -> str:
        return f"{self.noun}s/{folder_id}/{file_name}"

    def read_verified(self, folder: Path, *, checksums: bool = True) -> AnyManifest:
        """The manifest of a folder whose files are all there, of the right size and (unless told otherwise) SHA-256.

        Raises Corrupt, SchemaTooNew.
        """
        path = folder / MANIFEST_FILE
        try:
            manifest = self.parse(path.read_bytes(), str(path))
        except OSError as error:
            raise Corrupt(str(path), f"the manifest of a {self.noun}", error.strerror or "nothing") from error
        if missing := [name for name in self.files_of(manifest) if name not in manifest.files]:
            raise Corrupt(str(path), f"an entry for {missing[0]}", "none")
        for name, entry in manifest.files.items():
            check_file(folder / name, entry, checksum=checksums)
        return manifest

    def find(self, store: ObjectStore, folder_id: str) -> AnyManifest | None:
        """The manifest where all files are in the store with the right sizes; None where there is no manifest.

        Raises Corrupt where a file is missing or cut short, SchemaTooNew.
        """
        found = store.get(self.key(folder_id))
        if found is None:
            return None
        manifest = self.parse(found.data, self.key(folder_id))
        for name, entry in manifest.files.items():
            size = store.size(self.key(folder_id, name))
            if size != entry.bytes:
                actual = "nothing" if size is None else f"{size} bytes"
                raise Corrupt(self.key(folder_id, name), f"{entry.bytes} bytes", actual)
        return manifest

    def upload(self, store: ObjectStore, folder: Path) -> AnyManifest:
        """Send a verified folder and return the manifest that stands in the store.

        One that is there already stands: its id names its content. Only its lineage (source versions and interval) may
        differ, for a later run may find the same rows. One whose files went missing is sent again.
        Raises Corrupt where the folder is damaged, StoreNotWritable, StoreUnavailable.
        """
        manifest = self.read_verified(folder)
        folder_id = self.id_of(manifest)
        if standing := self._standing(store, folder_id):
            self._compare(standing, manifest)
            return standing
        for name in sorted(manifest.files):
            store.upload(folder / name, self.key(folder_id, name))
        try:
            store.put(self.key(folder_id), manifest.to_json(), if_none_match=True)
        except PreconditionFailed:
            found = store.get(self.key(folder_id))
            if found is None:
                raise
            standing = self.parse(found.data, self.key(folder_id))
            self._compare(standing, manifest)
            return standing
        return manifest

    def fetch(self, store: ObjectStore, folder_id: str, cache_folder: Path) -> Path:
        """The folder under `cache_folder`, downloaded and verified by checksum if it is not there.

        It appears by one rename; processes that share the cache wait for one download. What a killed download left is
        removed. Raises BadData where the store has no such folder, Corrupt, StoreUnavailable.
        """
        folder = cache_folder / folder_id
        cache_folder.mkdir(parents=True, exist_ok=True)
        with _locked(cache_folder / f".{folder_id}.lock"):
            for leftover in cache_folder.glob(f".{folder_id}.*.partial"):
                shutil.rmtree(leftover)
            if folder.exists():
                try:
                    self.read_verified(folder)
                    return folder
                except Corrupt as error:
                    log.warning("the cached %s is fetched again: %s", self.noun, error)
                    shutil.rmtree(folder)
            partial = cache_folder / f".{folder_id}.{os.getpid()}.partial"
            partial.mkdir()
            try:
                self._download(store, folder_id, partial)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return folder

    def verify(self, store: ObjectStore, folder_id: str) -> Iterator[tuple[str, int]]:
        """Read every file and yield its name and bytes as each proves right.

        Raises Corrupt on the first that does not, BadData where there is no such folder.
        """
        manifest = self._manifest(store, folder_id)
        with tempfile.TemporaryDirectory(prefix="shoplens-verify-") as scratch:
            for name, entry in sorted(manifest.files.items()):
                path = Path(scratch) / "file"
                if not store.download(self.key(folder_id, name), path):
                    raise Corrupt(self.key(folder_id, name), f"{entry.bytes} bytes", "nothing")
                try:
                    check_file(path, entry)
                except Corrupt as error:
                    raise Corrupt(self.key(folder_id, name), error.expected, error.actual) from None
                yield name, entry.bytes

    def list_all(self, store: ObjectStore) -> list[StoredFolder[AnyManifest]]:
        """Every folder of this kind in the store, by id; one without a readable manifest says why."""
        ids = sorted({key.split("/")[1] for key in store.keys(f"{self.noun}s/") if key.count("/") >= 2})
        return [self._describe(store, folder_id) for folder_id in ids]

    def _standing(self, store: ObjectStore, folder_id: str) -> AnyManifest | None:
        try:
            return self.find(store, folder_id)
        except Corrupt as error:
            log.warning("a %s in the store is damaged and is sent again: %s", self.noun, error)
            store.delete(self.key(folder_id))
            return None

    def _compare(self, standing: AnyManifest, made: AnyManifest) -> None:
        if not same_content(standing, made):
            log.warning(
                "%s %s is in the store with other bytes (another CPU kind or lock file): it stands",
                self.noun, self.id_of(made),
            )  # fmt: skip

    def _manifest(self, store: ObjectStore, folder_id: str) -> AnyManifest:
        found = store.get(self.key(folder_id))
        if found is None:
            raise BadData(f"there is no {self.noun} {folder_id} in {store.uri}: {self.hint}")
        return self.parse(found.data, self.key(folder_id))

    def _download(self, store: ObjectStore, folder_id: str, folder: Path) -> None:
        manifest = self._manifest(store, folder_id)
        for name, entry in manifest.files.items():
            if "/" in name or name.startswith("."):
                raise Corrupt(self.key(folder_id), "plain file names", repr(name))
            if not store.download(self.key(folder_id, name), folder / name):
                raise Corrupt(self.key(folder_id, name), f"{entry.bytes} bytes", "nothing")
        (folder / MANIFEST_FILE).write_bytes(manifest.to_json())
        self.read_verified(folder)

    def _describe(self, store: ObjectStore, folder_id: str) -> StoredFolder[AnyManifest]:
        try:
            found = self.find(store, folder_id)
        except BadData as error:
            return StoredFolder(folder_id, None, str(error))
        return StoredFolder(folder_id, found, None if found else "no manifest: its upload did not finish")


def same_content(left: AnyManifest, right: AnyManifest) -> bool:
    """Whether two manifests name the same bytes; lineage may differ."""
    return replace(left, source_versions={}, interval_end="") == replace(right, source_versions={}, interval_end="")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
