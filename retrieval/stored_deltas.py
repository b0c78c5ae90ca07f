"""Deltas in the object store, under deltas/<id>/: sent, found, fetched and verified as `retrieval.stored_folders` does."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from retrieval.deltas import read_verified_delta
from retrieval.objects import ObjectStore
from retrieval.stored_folders import FolderKind
from schemas.delta import DeltaManifest

_DELTAS = FolderKind(
    noun="delta",
    prefix="deltas",
    parse=DeltaManifest.from_json,
    read_verified=read_verified_delta,
    id_of=lambda manifest: manifest.delta_id,
    hint="run build_delta again",
)


@dataclass(frozen=True)
class StoredDelta:
    """What `deltas/<id>/` holds: a manifest, or what is wrong (no manifest: the upload did not finish)."""

    delta_id: str
    manifest: DeltaManifest | None
    problem: str | None = None


def find_delta(store: ObjectStore, delta_id: str) -> DeltaManifest | None:
    """The manifest of a delta whose files are all in the store with the right sizes; None where it has no manifest.

    Its lineage is that of the first run that found this difference: CURRENT says what it covers since.
    Raises Corrupt where a file is missing or cut short, SchemaTooNew.
    """
    return _DELTAS.find(store, delta_id)


def upload_delta(store: ObjectStore, folder: Path) -> DeltaManifest:
    """Send a verified folder and return the manifest that stands in the store: one that is there already stands.

    Raises Corrupt where the folder is damaged, StoreNotWritable, StoreUnavailable.
    """
    return _DELTAS.upload(store, folder)


def fetch_delta(store: ObjectStore, delta_id: str, cache_folder: Path) -> Path:
    """The delta's folder under `cache_folder`, downloaded and verified by checksum if it is not there.

    Raises BadData where the store has no such delta, Corrupt, StoreUnavailable.
    """
    return _DELTAS.fetch(store, delta_id, cache_folder)


def verify_delta(store: ObjectStore, delta_id: str) -> Iterator[tuple[str, int]]:
    """Read every file of a stored delta and yield its name and bytes as each proves right.

    Raises Corrupt on the first that does not, BadData where there is no such delta.
    """
    return _DELTAS.verify(store, delta_id)


def list_deltas(store: ObjectStore) -> list[StoredDelta]:
    """Every delta in the store, by id; one without a readable manifest says why."""
    return [StoredDelta(found.folder_id, found.manifest, found.problem) for found in _DELTAS.list_all(store)]
