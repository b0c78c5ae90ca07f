"""Which versions of the tables a base with its delta is known to show: what rolling back and publishing ask.

A delta or a build says in its manifest which versions it was made at, and CURRENT's history at which later ones it was
found to be as good. Vectors are only ever added, so whether deleted products stay deleted does not hang on them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from retrieval.builds import find_build
from retrieval.objects import ObjectStore
from retrieval.stored_deltas import find_delta, list_deltas
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


def with_covering_delta(store: ObjectStore, served: Served, pointer: Pointer) -> Served | None:
    """`served` with a delta that reaches what CURRENT covers: its own, else the newest such one in the store; or None."""
    if covers(store, served, pointer.source_versions, pointer):
        return served
    whole = [found.manifest for found in list_deltas(store) if found.manifest]
    fitting = [
        manifest
        for manifest in whole
        if manifest.base_build_id == served.build_id and reaches(manifest.source_versions, pointer.source_versions)
    ]
    newest = max(fitting, key=lambda manifest: manifest.interval_end, default=None)
    return replace(served, delta_id=newest.delta_id) if newest else None


def _known_versions(store: ObjectStore, served: Served, pointer: Pointer) -> Iterator[Mapping[str, int]]:
    """The cheapest to know first."""
    if served == pointer.live:
        yield pointer.source_versions
    yield from (line.source_versions for line in pointer.history if line.live == served)
    try:
        made = find_delta(store, served.delta_id) if served.delta_id else find_build(store, served.build_id)
    except BadData:  # damaged: what it says is not known
        return
    if made is not None:
        yield made.source_versions
