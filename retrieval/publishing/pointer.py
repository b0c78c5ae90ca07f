"""CURRENT, the pointer: read, and swapped by its writers (`publish`, `rollback`), each of which changes its own section.

A writer reads CURRENT with its ETag, makes the next pointer, and writes it on condition that nothing changed. After a
lost race, or an answer that never came, it reads again: where its publish id stands in the history it has won.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.store.objects import ObjectStore
from schemas.errors import BadData, PointerMoved, PreconditionFailed, StoreUnavailable
from schemas.pointer import POINTER_KEY, Pointer, Served

log = logging.getLogger("shoplens")

_ATTEMPTS = 10
_PAUSE_S = 0.05


@dataclass(frozen=True)
class Published:
    """The pointer that stands after a publish. Where it did not move, `reason` says why."""

    pointer: Pointer
    moved: bool
    reason: str | None = None


def read_pointer(store: ObjectStore) -> tuple[Pointer, str] | None:
    """CURRENT and its ETag; None before the first publish. Raises Corrupt, SchemaTooNew, StoreUnavailable."""
    found = store.get(POINTER_KEY)
    return None if found is None else (Pointer.from_json(found.data), found.etag)


def require_pointer(store: ObjectStore, standing: Pointer | None) -> Pointer:
    """Raises BadData before the first publish."""
    if standing is None:
        raise BadData(f"{store.uri} has no CURRENT: nothing was published yet")
    return standing


def swap(
    store: ObjectStore, publish_id: str | None, next_pointer: Callable[[Pointer | None], Pointer | Published]
) -> Published:
    """Read, decide, write on condition; again until it is settled.

    `next_pointer` gives the pointer to write, or, where nothing is to change, what stands. `publish_id` is the one that
    it lists. Raises PointerMoved when others won every time, StoreUnavailable where the store failed to the last,
    StoreNotWritable, and what `next_pointer` raises.
    """
    wrote = False
    silence: StoreUnavailable | None = None
    for attempt in range(_ATTEMPTS):
        found = read_pointer(store)
        standing, etag = found if found else (None, None)
        if wrote and standing and _lists(standing, publish_id):
            return Published(standing, moved=True)  # the write arrived though its answer did not
        wanted = next_pointer(standing)
        if isinstance(wanted, Published):
            return wanted
        try:
            store.put(POINTER_KEY, wanted.to_json(), if_match=etag, if_none_match=etag is None)
            return Published(wanted, moved=True)
        except (PreconditionFailed, StoreUnavailable) as error:
            wrote, silence = True, error if isinstance(error, StoreUnavailable) else None
            log.info("publishing, attempt %d: %s", attempt + 1, error)
            # Publishers that lost together must not come back together.
            time.sleep(random.uniform(0, _PAUSE_S) * 2**attempt)
    if silence:
        raise silence
    raise PointerMoved(f"{POINTER_KEY} in {store.uri} kept changing over {_ATTEMPTS} attempts: run publish again")


def named_bases(pointer: Pointer) -> list[Served]:
    """Live, previous and candidate, as far as there are any, each base once."""
    named = [served for served in (pointer.live, pointer.previous, pointer.candidate) if served]
    return list({served.build_id: served for served in reversed(named)}.values())[::-1]


def require_build(store: ObjectStore, build_id: str) -> None:
    """Raises BadData where no whole build of this id is in the store."""
    if BUILD_FOLDERS.find(store, build_id) is None:
        raise BadData(f"there is no whole build {build_id} in {store.uri}: run build_index first")


def require_delta(store: ObjectStore, build_id: str, delta_id: str | None) -> None:
    """Raises BadData where no whole delta of this id and base is in the store. None is no delta, and is there."""
    if delta_id is None:
        return
    found = DELTA_FOLDERS.find(store, delta_id)
    if found is None or found.base_build_id != build_id:
        raise BadData(f"there is no whole delta {delta_id} of build {build_id} in {store.uri}: run build_delta first")


def _lists(pointer: Pointer, publish_id: str | None) -> bool:
    return publish_id is not None and any(line.publish_id == publish_id for line in pointer.history)
