"""Builds in the object store, under builds/<id>/: sent, found, fetched and verified as `retrieval.folders.stored` does."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from retrieval.folders.build import read_verified_manifest
from retrieval.folders.stored import FolderKind
from retrieval.store.objects import ObjectStore
from schemas.manifest import Manifest

_BUILDS = FolderKind(
    noun="build",
    prefix="builds",
    parse=Manifest.from_json,
    read_verified=read_verified_manifest,
    id_of=lambda manifest: manifest.build_id,
    hint="see `shoplens index list`",
)


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
    return _BUILDS.find(store, build_id)


def upload_build(store: ObjectStore, folder: Path) -> Manifest:
    """Send a verified folder and return the manifest that stands in the store: one that is there already stands.

    Raises Corrupt where the folder is damaged, StoreNotWritable, StoreUnavailable.
    """
    return _BUILDS.upload(store, folder)


def fetch_build(store: ObjectStore, build_id: str, cache_folder: Path) -> Path:
    """The build's folder under `cache_folder`, downloaded and verified by checksum if it is not there.

    Raises BadData where the store has no such build, Corrupt, StoreUnavailable.
    """
    return _BUILDS.fetch(store, build_id, cache_folder)


def verify_build(store: ObjectStore, build_id: str) -> Iterator[tuple[str, int]]:
    """Read every file of a stored build and yield its name and bytes as each proves right.

    Raises Corrupt on the first that does not, BadData where there is no such build.
    """
    return _BUILDS.verify(store, build_id)


def list_builds(store: ObjectStore) -> list[StoredBuild]:
    """Every build in the store, by id; one without a readable manifest says why."""
    return [StoredBuild(found.folder_id, found.manifest, found.problem) for found in _BUILDS.list_all(store)]
