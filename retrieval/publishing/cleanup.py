"""What may go from the object store: a pure function of CURRENT, a listing with ages, and a moment.

Kept whatever its age: each build, delta and model that CURRENT names as live, candidate, previous or in its history,
and what `protected` names. Kept whatever its name: anything with an object younger than seven days, for it may be in
the making. Without CURRENT nothing says what is needed, and only receipts and scratch go. Keys that are not ours are
never looked at.

A folder goes with its manifest first: a run that dies half-way leaves an orphan for the next, never half a build.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal

from retrieval.store.objects import StoredEntry, UnfinishedUpload
from schemas.bundle import BUNDLE_FILE
from schemas.manifest import MANIFEST_FILE
from schemas.pointer import POINTER_KEY, Pointer, Served

YOUNG = timedelta(days=7)
RECEIPTS_KEPT = timedelta(days=90)

BUILDS, DELTAS, MODELS, IMAGES = "builds/", "deltas/", "models/", "images/"
EVALUATIONS, RECEIPTS, STAGING, DOCTOR = "evaluations/", "runs/", "staging/", "doctor/"
FOLDERS = (BUILDS, DELTAS, MODELS)
"""Prefixes with a folder an id, whole once its manifest is there."""
SCRATCH = (STAGING, DOCTOR)
"""Prefixes that a job or command empties itself unless it dies."""
OURS = (*FOLDERS, *SCRATCH, IMAGES, EVALUATIONS, RECEIPTS)

Kind = Literal["build", "delta", "model", "evaluation", "receipt", "scratch", "thumbnail", "unfinished upload"]
_KINDS: dict[str, Kind] = {BUILDS: "build", DELTAS: "delta", MODELS: "model", STAGING: "scratch", DOCTOR: "scratch"}


@dataclass(frozen=True)
class Removal:
    """One thing that may go: its keys in the order in which they go, its size, and why."""

    kind: Kind
    name: str
    keys: tuple[str, ...]
    bytes: int
    reason: str


def named_ids(pointer: Pointer | None) -> frozenset[str]:
    """The ids of all builds, deltas and models that CURRENT names, its history included."""
    if pointer is None:
        return frozenset()
    served: list[Served | None] = [pointer.live, pointer.candidate, pointer.previous]
    served += [line.live for line in pointer.history]
    return frozenset(
        named for one in served if one for named in (one.build_id, one.model_id, one.delta_id) if named is not None
    )


def plan_removals(
    pointer: Pointer | None, entries: Iterable[StoredEntry], as_of: datetime, protected: Collection[str] = ()
) -> list[Removal]:
    """What may go of a store's `entries`, thumbnails and unfinished uploads aside; by kind and name.

    `protected` are further ids to keep.
    """
    listed = sorted(entries, key=lambda entry: entry.key)
    kept_ids = named_ids(pointer) | frozenset(protected)
    removals = list(_old_receipts(listed, as_of))
    for folder, objects in _by_folder(listed):
        prefix, folder_id = folder
        if prefix in FOLDERS and (pointer is None or folder_id in kept_ids):
            continue
        if is_old(objects, as_of):
            removals.append(_folder_removal(prefix, folder_id, objects))
    gone = {removal.name for removal in removals if removal.kind == "build"}
    removals += _evaluations(listed, kept_ids, gone, as_of) if pointer else ()
    return removals


def removable_thumbnails(entries: Iterable[StoredEntry], as_of: datetime) -> dict[str, StoredEntry]:
    """Thumbnails that are old enough to go, by the SHA-256 of their photo; whether any build needs them is not said."""
    return {
        entry.key.rsplit("/", 1)[1].removesuffix(".jpg"): entry
        for entry in entries
        if entry.key.startswith(IMAGES) and entry.key.endswith(".jpg") and is_old([entry], as_of)
    }


def removable_uploads(unfinished: Iterable[UnfinishedUpload], as_of: datetime) -> list[UnfinishedUpload]:
    """Uploads of our objects that nobody can still be at."""
    return [
        upload
        for upload in unfinished
        if (upload.key == POINTER_KEY or upload.key.startswith(OURS)) and upload.started_at < as_of - YOUNG
    ]


def has_upload_at_work(entries: Iterable[StoredEntry], as_of: datetime) -> bool:
    """Whether a build or delta without a manifest is young: nobody can say yet which photos it names."""
    return any(
        prefix in (BUILDS, DELTAS) and not _is_whole(prefix, objects) and not is_old(objects, as_of)
        for (prefix, _), objects in _by_folder(sorted(entries, key=lambda entry: entry.key))
    )


def is_old(objects: Iterable[StoredEntry], as_of: datetime, age: timedelta = YOUNG) -> bool:
    """Whether all of the objects are older than `age`."""
    return all(entry.modified_at < as_of - age for entry in objects)


def whole_folders(entries: Iterable[StoredEntry], prefix: str) -> list[str]:
    """The ids of the folders under a prefix that have a manifest."""
    listed = sorted(entries, key=lambda entry: entry.key)
    return [name for (found, name), objects in _by_folder(listed) if found == prefix and _is_whole(prefix, objects)]


def _by_folder(listed: list[StoredEntry]) -> Iterator[tuple[tuple[str, str], list[StoredEntry]]]:
    """(prefix, id) and the objects of each folder under builds/, deltas/, models/, staging/ and doctor/."""
    inside = [entry for entry in listed if entry.key.startswith((*FOLDERS, *SCRATCH)) and entry.key.count("/") >= 2]

    def folder_of(entry: StoredEntry) -> tuple[str, str]:
        prefix, name, _ = entry.key.split("/", 2)
        return f"{prefix}/", name

    for folder, objects in groupby(inside, folder_of):
        yield folder, list(objects)


def _manifest_key(prefix: str, name: str) -> str:
    return f"{prefix}{name}/{BUNDLE_FILE if prefix == MODELS else MANIFEST_FILE}"


def _is_whole(prefix: str, objects: list[StoredEntry]) -> bool:
    name = objects[0].key.split("/")[1]
    return any(entry.key == _manifest_key(prefix, name) for entry in objects)


def _folder_removal(prefix: str, name: str, objects: list[StoredEntry]) -> Removal:
    manifest = _manifest_key(prefix, name)
    keys = sorted((entry.key for entry in objects), key=lambda key: (key != manifest, key))
    if prefix in SCRATCH:
        reason = "left by a run that died"
    else:
        reason = "no generation names it" if _is_whole(prefix, objects) else "its upload never ended"
    return Removal(_KINDS[prefix], name, tuple(keys), sum(entry.bytes for entry in objects), reason)


def _evaluations(
    listed: list[StoredEntry], kept_ids: frozenset[str], gone: set[str], as_of: datetime
) -> Iterator[Removal]:
    """Figures of builds that are gone or go now."""
    standing = {name for (prefix, name), _ in _by_folder(listed) if prefix in (BUILDS, DELTAS)} - gone
    for entry in listed:
        if not entry.key.startswith(EVALUATIONS):
            continue
        name = entry.key.removeprefix(EVALUATIONS).removesuffix(".json")
        if name not in kept_ids | standing and is_old([entry], as_of):
            yield Removal("evaluation", name, (entry.key,), entry.bytes, "its build is gone")


def _old_receipts(listed: list[StoredEntry], as_of: datetime) -> Iterator[Removal]:
    for entry in listed:
        if entry.key.startswith(RECEIPTS) and entry.key.count("/") >= 3 and is_old([entry], as_of, RECEIPTS_KEPT):
            reason = f"older than {RECEIPTS_KEPT.days} days"
            yield Removal("receipt", entry.key.removeprefix(RECEIPTS), (entry.key,), entry.bytes, reason)
