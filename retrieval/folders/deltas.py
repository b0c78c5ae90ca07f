"""Deltas in the object store, under deltas/<id>/: sent, found, fetched and verified as `retrieval.folders.stored` does.

A delta never changes, and its manifest names the versions of the first run that found this difference. At which later ones
it was found again, and passed the gate, its evaluation says: rolling back must know.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from retrieval.folders.delta import read_verified_delta
from retrieval.folders.stored import FolderKind
from retrieval.store.objects import ObjectStore
from schemas.delta import DeltaEvaluation, DeltaManifest, delta_evaluation_key

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
    """Send a verified folder and return the manifest that stands in the store: one that is there already stands.

    Raises Corrupt where the folder is damaged, StoreNotWritable, StoreUnavailable.
    """
    return _DELTAS.upload(store, folder)


def write_evaluation(store: ObjectStore, evaluation: DeltaEvaluation) -> None:
    """Note what the gate said. What passed once stays passed: at older versions the difference was right."""
    known = read_evaluation(store, evaluation.delta_id)
    if evaluation.passed or known is None or not known.passed:
        store.put(delta_evaluation_key(evaluation.delta_id), evaluation.to_json())


def read_evaluation(store: ObjectStore, delta_id: str) -> DeltaEvaluation | None:
    """What the gate said of a delta last; None where it was not asked. Raises Corrupt."""
    found = store.get(delta_evaluation_key(delta_id))
    return DeltaEvaluation.from_json(found.data, delta_evaluation_key(delta_id)) if found else None


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
