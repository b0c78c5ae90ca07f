"""Clean-up of an object store by the rules of `retrieval.publishing.cleanup`: look, then remove what was found.

    found = survey(store, as_of)       # reads only
    remove(store, found)               # looks at CURRENT again before each thing

Run it while no index job runs (the weekly DAG sees to that). What appears in between is met all the same: a build
that CURRENT names by then stays, and thumbnails stay once any new build or delta is there.
"""

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pyarrow as pa

from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.publishing import cleanup
from retrieval.publishing.cleanup import BUILDS, DELTAS, IMAGES, MODELS, RECEIPTS, Removal
from retrieval.publishing.pointer import read_pointer
from retrieval.store.objects import ObjectStore, StoredEntry, UnfinishedUpload
from schemas.delta import DeltaManifest, delta_key
from schemas.errors import Corrupt, Misconfigured, SchemaTooNew
from schemas.manifest import ITEMS_FILE, Manifest, build_key

log = logging.getLogger("shoplens")

_CLOCK_TOLERANCE = timedelta(minutes=15)
_BATCH = 1000
_LOOKED_AT = (BUILDS, DELTAS, MODELS, cleanup.STAGING, cleanup.DOCTOR, cleanup.EVALUATIONS, RECEIPTS)


@dataclass(frozen=True)
class Survey:
    """What may go. `notes` say what was left alone and why; `whole` are the builds and deltas that were there."""

    removals: list[Removal]
    thumbnails: list[StoredEntry]
    uploads: list[UnfinishedUpload]
    whole: frozenset[tuple[str, str]]
    notes: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(removal.bytes for removal in self.removals) + sum(entry.bytes for entry in self.thumbnails)

    def counts(self) -> Counter[str]:
        """How many things may go, by kind."""
        counted = Counter[str](removal.kind for removal in self.removals)
        counted["thumbnail"] = len(self.thumbnails)
        counted["unfinished upload"] = len(self.uploads)
        return +counted


def survey(store: ObjectStore, as_of: datetime) -> Survey:
    """What may go, as of a moment that the store's own clock has reached.

    Raises Misconfigured where it has not, Corrupt or SchemaTooNew where CURRENT cannot be read, StoreUnavailable.
    """
    if as_of - datetime.min.replace(tzinfo=UTC) < 2 * cleanup.RECEIPTS_KEPT:
        raise Misconfigured(f"{as_of.isoformat()} is before anything was stored: give --as-of a later moment")
    if as_of > store.clock() + _CLOCK_TOLERANCE:
        raise Misconfigured(
            f"{as_of.isoformat()} has not come yet by the clock of {store.uri}: everything would look old. "
            "Set this machine's clock, or give --as-of"
        )
    found = read_pointer(store)
    pointer = found[0] if found else None
    listed = [entry for prefix in _LOOKED_AT for entry in store.entries(prefix)]
    notes = [] if pointer else [f"{store.uri} has no CURRENT: builds, deltas, models and thumbnails are left alone"]
    manifests = _Manifests(store)
    protected = _protected(store, listed, as_of, manifests) if pointer else frozenset()
    removals = cleanup.plan_removals(pointer, listed, as_of, protected)
    goes = {key.rsplit("/", 1)[0] for removal in removals for key in removal.keys}
    whole = frozenset(_whole(listed))
    kept = [(prefix, name) for prefix, name in sorted(whole) if prefix + name not in goes]
    thumbnails: list[StoredEntry] = []
    if pointer and cleanup.has_upload_at_work(listed, as_of):
        notes.append("thumbnails are left alone: a young build or delta has no manifest yet")
    elif pointer:
        try:
            thumbnails = _unnamed_thumbnails(store, kept, manifests, as_of)
        except (Corrupt, SchemaTooNew) as error:
            notes.append(f"thumbnails are left alone: {error}")
    uploads = cleanup.removable_uploads(store.unfinished(""), as_of)
    return Survey(removals, thumbnails, uploads, whole, notes)


def remove(store: ObjectStore, found: Survey) -> Counter[str]:
    """Remove what a survey found; how many things went, by kind. What CURRENT has come to name meanwhile stays."""
    removed: Counter[str] = Counter()
    for removal in found.removals:
        if removal.kind in ("build", "delta", "model") and _is_named_now(store, removal.name):
            log.warning("%s %s stays: CURRENT names it now, or is gone", removal.kind, removal.name)
            continue
        store.delete_all(removal.keys)
        removed[removal.kind] += 1
    remaining = iter(found.thumbnails)
    while batch := list(islice(remaining, _BATCH)):
        if not frozenset(_whole_now(store)) <= found.whole:
            log.warning("the other thumbnails stay: a build or delta was made meanwhile")
            break
        store.delete_all([entry.key for entry in batch])
        removed["thumbnail"] += len(batch)
    for upload in found.uploads:
        store.discard(upload)
        removed["unfinished upload"] += 1
    return removed


class _Manifests:
    """Manifests of builds and deltas, each read once."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._read: dict[tuple[str, str], Manifest | DeltaManifest | None] = {}

    def of(self, prefix: str, name: str) -> Manifest | DeltaManifest | None:
        """Of a build or delta. Raises Corrupt, SchemaTooNew."""
        if (prefix, name) not in self._read:
            find = DELTA_FOLDERS.find if prefix == DELTAS else BUILD_FOLDERS.find
            self._read[prefix, name] = find(self._store, name)
        return self._read[prefix, name]


def _protected(store: ObjectStore, listed: list[StoredEntry], as_of: datetime, manifests: _Manifests) -> frozenset[str]:
    """Ids that something young still needs: a receipt names them, or they are the base or model of what stays."""
    pointer = read_pointer(store)
    old = {
        removal.name
        for removal in cleanup.plan_removals(pointer[0] if pointer else None, listed, as_of)
        if removal.kind in ("build", "delta", "model")
    }
    protected = _named_in_receipts(store, listed, as_of, old)
    for prefix, name in _whole(listed):  # deltas first: they protect their bases
        if name in old - protected:
            continue
        try:
            manifest = manifests.of(prefix, name)
        except (Corrupt, SchemaTooNew) as error:
            log.warning("what %s needs is not known: %s", name, error)
            continue
        if manifest:
            protected.add(manifest.model_id)
        if isinstance(manifest, DeltaManifest):
            protected.add(manifest.base_build_id)
    return frozenset(protected)


def _named_in_receipts(store: ObjectStore, listed: list[StoredEntry], as_of: datetime, ids: set[str]) -> set[str]:
    """Which of the ids stand in a young receipt: a run that reuses an old build has not published it yet."""
    named: set[str] = set()
    for entry in listed:
        if not entry.key.startswith(RECEIPTS) or cleanup.is_old([entry], as_of) or named == ids:
            continue
        receipt = store.get(entry.key)
        text = receipt.data.decode("utf-8", "replace") if receipt else ""
        named |= {one for one in ids - named if one in text}
    return named


def _unnamed_thumbnails(
    store: ObjectStore, kept: list[tuple[str, str]], manifests: _Manifests, as_of: datetime
) -> list[StoredEntry]:
    """Old thumbnails that none of the kept builds and deltas names; every kept item table is read, one at a time."""
    candidates = cleanup.removable_thumbnails(store.entries(IMAGES), as_of)
    for prefix, name in kept:
        if not candidates:
            break
        manifest = manifests.of(prefix, name)
        if manifest and ITEMS_FILE in manifest.files:
            key = delta_key if isinstance(manifest, DeltaManifest) else build_key
            for image_id in _photos_of(store, key(name, ITEMS_FILE)):
                candidates.pop(image_id, None)
    return sorted(candidates.values(), key=lambda entry: entry.key)


def _photos_of(store: ObjectStore, key: str) -> Iterator[str]:
    """The photos that an item table names. Raises Corrupt."""
    with tempfile.TemporaryDirectory(prefix="shoplens-clean-") as scratch:
        path = Path(scratch) / ITEMS_FILE
        if not store.download(key, path):
            raise Corrupt(key, "an item table", "nothing")
        try:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as table:
                for number in range(table.num_record_batches):
                    yield from table.get_batch(number).column("image_id").to_pylist()
        except (pa.ArrowInvalid, KeyError) as error:
            raise Corrupt(key, "an item table", str(error)) from error


def _whole(listed: list[StoredEntry]) -> list[tuple[str, str]]:
    """(prefix, id) of the deltas and builds that have a manifest."""
    return [(prefix, name) for prefix in (DELTAS, BUILDS) for name in cleanup.whole_folders(listed, prefix)]


def _whole_now(store: ObjectStore) -> list[tuple[str, str]]:
    return _whole([entry for prefix in (BUILDS, DELTAS) for entry in store.entries(prefix)])


def _is_named_now(store: ObjectStore, name: str) -> bool:
    """Whether CURRENT names it; without CURRENT everything counts as named."""
    found = read_pointer(store)
    return found is None or name in cleanup.named_ids(found[0])
