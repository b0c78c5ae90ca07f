"""Which versions of the tables a base with its delta is known to show: what rolling back and publishing ask.

The gate notes the versions at which it passed a delta, a build's manifest names those it was made at, and CURRENT's history
those at which either was live. A delta that the gate did not pass covers nothing. Vectors are only ever added, so whether deleted products stay deleted does not hang on them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from retrieval.folders.evaluations import read_evaluation
from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.folders.stored import StoredFolder
from retrieval.store.objects import ObjectStore
from schemas.delta import DeltaEvaluation, DeltaManifest
from schemas.errors import BadData
from schemas.pointer import Pointer, Served

EMBEDDINGS = "embeddings/"


def covers(store: ObjectStore, served: Served, versions: Mapping[str, int], pointer: Pointer) -> bool:
    """Whether `served` is known to show the tables at these versions (by table path) or newer ones."""
    return any(reaches(known, versions) for known in _known_versions(store, served, pointer))


def is_at(store: ObjectStore, served: Served, versions: Mapping[str, int], pointer: Pointer) -> bool:
    """Whether `served` is known to show the tables at just these versions, vectors too."""
    return any(
        all(known.get(table) == version for table, version in versions.items())
        for known in _known_versions(store, served, pointer)
    )


def reaches(known: Mapping[str, int], versions: Mapping[str, int]) -> bool:
    """Whether no table but those of vectors is older in `known` than in `versions`."""
    tables = [table for table in versions if not table.startswith(EMBEDDINGS)]
    return all(known.get(table, -1) >= versions[table] for table in tables)


def passed_at(store: ObjectStore, delta_id: str) -> Mapping[str, int]:
    """The newest versions at which the gate passed a delta; of none where it did not, or what it said is damaged."""
    evaluation = _passed(store, delta_id)
    return evaluation.source_versions if evaluation else {}


def with_covering_delta(store: ObjectStore, served: Served, pointer: Pointer) -> Served | None:
    """`served` with a whole delta that reaches what CURRENT covers: its own, else the newest such one; or None."""
    if is_there(store, served.delta_id) and covers(store, served, pointer.source_versions, pointer):
        return served
    ids = [found.folder_id for found in DELTA_FOLDERS.list_all(store) if _is_of(found, served.build_id)]
    passed = [evaluation for delta_id in ids if (evaluation := _passed(store, delta_id, pointer.lake_id))]
    fitting = [found for found in passed if reaches(found.source_versions, pointer.source_versions)]
    newest = max(fitting, key=lambda evaluation: evaluation.interval_end, default=None)
    return replace(served, delta_id=newest.delta_id) if newest else None


def is_there(store: ObjectStore, delta_id: str | None) -> bool:
    """Whether a delta is whole in the store. None is no delta, and is there."""
    try:
        return delta_id is None or DELTA_FOLDERS.find(store, delta_id) is not None
    except BadData:
        return False


def _is_of(found: StoredFolder[DeltaManifest], build_id: str) -> bool:
    return found.manifest is not None and found.manifest.base_build_id == build_id


def _passed(store: ObjectStore, delta_id: str, lake_id: str = "") -> DeltaEvaluation | None:
    """Versions of another lake say nothing of this one's, though equal rows gave an equal base and delta."""
    try:
        evaluation = read_evaluation(store, delta_id)
    except BadData:  # damaged: what it says is not known
        return None
    if evaluation is None or (lake_id and evaluation.lake_id and evaluation.lake_id != lake_id):
        return None
    return evaluation if evaluation.passed else None


def _known_versions(store: ObjectStore, served: Served, pointer: Pointer) -> Iterator[Mapping[str, int]]:
    """The cheapest to know first."""
    if served == pointer.live:
        yield pointer.source_versions
    yield from (line.source_versions for line in pointer.history if line.live == served)
    if served.delta_id:
        if evaluation := _passed(store, served.delta_id, pointer.lake_id):
            yield evaluation.source_versions
        return
    try:
        build = BUILD_FOLDERS.find(store, served.build_id)
    except BadData:
        return
    if build is not None:
        yield build.source_versions
