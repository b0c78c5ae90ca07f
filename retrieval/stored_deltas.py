"""Deltas in the object store, under deltas/<id>/: sent, found, fetched and verified as `retrieval.stored_folders` does.

The files of a delta never change. Its manifest's lineage (source versions and interval) moves forward where a later run
finds the same difference at later versions: an operator who rolls back must know what it covers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from retrieval.delta_folder import read_verified_delta
from retrieval.objects import ObjectStore
from retrieval.stored_folders import FolderKind
from schemas.delta import DeltaManifest, delta_key
from schemas.errors import PreconditionFailed

_LINEAGE_ATTEMPTS = 4
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

    Raises Corrupt where a file is missing or cut short, SchemaTooNew.
    """
    return _DELTAS.find(store, delta_id)


def upload_delta(store: ObjectStore, folder: Path) -> DeltaManifest:
    """Send a verified folder and return the manifest that stands in the store.

    One that is there already stands, and says from now on that it covers what the folder's manifest covers.
    Raises Corrupt where the folder is damaged, StoreNotWritable, StoreUnavailable.
    """
    made = read_verified_delta(folder)
    standing = _DELTAS.upload(store, folder)
    for _ in range(_LINEAGE_ATTEMPTS):
        found = store.get(delta_key(standing.delta_id))
        if found is None or not _is_later(made, standing):
            break
        later = replace(standing, source_versions=made.source_versions, interval_end=made.interval_end)
        try:
            store.put(delta_key(standing.delta_id), later.to_json(), if_match=found.etag)
            return later
        except PreconditionFailed:  # another run moved it: perhaps further than we would
            standing = _DELTAS.find(store, standing.delta_id) or standing
    return standing


def _is_later(made: DeltaManifest, standing: DeltaManifest) -> bool:
    """Whether the lineage goes forward in some table or the interval, and back in none."""
    tables = made.source_versions.keys() | standing.source_versions.keys()
    ahead = [made.source_versions.get(table, -1) - standing.source_versions.get(table, -1) for table in tables]
    is_newer = max(ahead, default=0) > 0 or made.interval_end > standing.interval_end
    return is_newer and min(ahead, default=0) >= 0 and made.interval_end >= standing.interval_end


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
