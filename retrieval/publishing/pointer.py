"""The pointer's writers: publish, publish_deltas, rollback, release. Each is a compare-and-swap on CURRENT that changes its
own section.

A writer reads CURRENT with its ETag, makes the next pointer, and writes it on condition that nothing changed. After a
lost race, or an answer that never came, it reads again: where its publish id stands in the history it has won.
"""

import logging
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.publishing.coverage import with_covering_delta
from retrieval.store.objects import ObjectStore
from schemas.errors import BadData, PointerMoved, PreconditionFailed, PublishingHeld, StoreUnavailable
from schemas.pointer import POINTER_KEY, Generation, Hold, Pointer, Served

log = logging.getLogger("shoplens")

_ATTEMPTS = 10
_PAUSE_S = 0.05
_NOTHING_CHANGED = "nothing changed"


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


def publish(
    store: ObjectStore,
    served: Served,
    interval_end: str,
    source_versions: dict[str, int],
    publish_id: str,
    *,
    new_lake: bool = False,
    deltas: Mapping[str, str | None] | None = None,
) -> Published:
    """Make `served` live for a data interval (its end as in keys, so that text order is time order).

    `deltas` are those, by build id, that the other bases of CURRENT get in the same swap: what was live becomes
    previous, and only with a delta of these versions can one roll back to it. The pointer does not move, and says so, where `publish_id` was published before, where nothing would change, or
    where the interval or any table's version is older than what CURRENT covers; `new_lake` leaves out the versions,
    for a lake that was made anew. Raises PublishingHeld after a rollback, PointerMoved when others won every time,
    BadData where the build or a delta is not whole in the store, StoreNotWritable, StoreUnavailable.
    """
    given = deltas or {}
    _require_build(store, served.build_id)
    for build_id, delta_id in {**given, served.build_id: served.delta_id}.items():
        _require_delta(store, build_id, delta_id)

    def next_pointer(standing: Pointer | None) -> Pointer | Published:
        line = Generation(
            generation=1 if standing is None else standing.generation + 1,
            publish_id=publish_id, live=served, interval_end=interval_end, source_versions=source_versions,
        )  # fmt: skip
        if standing is None:
            return Pointer(line.generation, interval_end, source_versions, served).with_history(line)
        if reason := _reason_to_stay(standing, line, new_lake):
            return Published(standing, moved=False, reason=reason)
        _refuse_hold(standing)
        same_base = standing.live.build_id == served.build_id
        return replace(
            standing, generation=line.generation, interval_end=interval_end, source_versions=source_versions,
            live=served, previous=_with_delta(standing.previous if same_base else standing.live, given),
            candidate=_with_delta(standing.candidate, given),
        ).with_history(line)  # fmt: skip

    return _swap(store, publish_id, next_pointer)


def publish_deltas(
    store: ObjectStore,
    deltas: Mapping[str, str | None],
    interval_end: str,
    source_versions: dict[str, int],
    publish_id: str,
) -> Published:
    """Lay deltas, by build id (None: the base is as the tables are), over the bases that CURRENT names.

    Only the deltas, the interval and the versions change: no base moves, and neither interval nor any version goes
    back. The pointer does not move, and says so, where `publish_id` was published before, where nothing would change,
    or where a table's version is older than what CURRENT covers. Raises PointerMoved where CURRENT names a base
    without a delta here (another base was published meanwhile) or others won every time, PublishingHeld after a
    rollback, BadData before the first publish or where a delta is not whole in the store, StoreNotWritable,
    StoreUnavailable.
    """
    for build_id, delta_id in deltas.items():
        _require_delta(store, build_id, delta_id)

    def next_pointer(standing: Pointer | None) -> Pointer | Published:
        if standing is None:
            raise BadData(f"{store.uri} has no CURRENT: nothing was published yet")
        line = Generation(
            generation=standing.generation + 1, publish_id=publish_id,
            live=replace(standing.live, delta_id=deltas.get(standing.live.build_id)),
            interval_end=max(interval_end, standing.interval_end),
            source_versions={**standing.source_versions, **source_versions},
        )  # fmt: skip
        wanted = replace(
            standing, generation=line.generation, interval_end=line.interval_end, source_versions=line.source_versions,
            live=line.live, previous=_with_delta(standing.previous, deltas),
            candidate=_with_delta(standing.candidate, deltas),
        )  # fmt: skip
        if reason := _made_before(standing, publish_id) or _older_table(standing, source_versions):
            return Published(standing, moved=False, reason=reason)
        if replace(wanted, generation=standing.generation) == standing:
            return Published(standing, moved=False, reason=_NOTHING_CHANGED)
        _refuse_hold(standing)
        if without := [served.build_id for served in named_bases(standing) if served.build_id not in deltas]:
            raise PointerMoved(
                f"CURRENT names base {without[0]}, published meanwhile: run build_delta again, then publish"
            )
        return wanted.with_history(line)

    return _swap(store, publish_id, next_pointer)


def named_bases(pointer: Pointer) -> list[Served]:
    """Live, previous and candidate, as far as there are any, each base once."""
    named = [served for served in (pointer.live, pointer.previous, pointer.candidate) if served]
    return list({served.build_id: served for served in reversed(named)}.values())[::-1]


def rollback(store: ObjectStore, to: str | int | None = None, *, by: str, reason: str = "rolled back") -> Pointer:
    """Make the previous base live again, or the build or generation named by `to`, and hold publishing.

    It goes live with its newest delta, so deleted products stay deleted: the interval and versions that CURRENT covers
    stay. Raises BadData where there is nothing to go back to, its build is gone, or no delta of it reaches that far.
    """
    publish_id = f"rollback-{uuid.uuid4().hex[:12]}"

    def next_pointer(standing: Pointer | None) -> Pointer | Published:
        if standing is None:
            raise BadData(f"{store.uri} has no CURRENT: nothing was published yet")
        named = _rollback_target(standing, to)
        _require_build(store, named.build_id)
        target = with_covering_delta(store, named, standing)
        if target is None:
            raise BadData(
                f"build {named.build_id} does not show what was deleted since: run `python -m spark_jobs.build_delta "
                f"--base {named.build_id} --lake … --store {store.uri}`, then roll back again"
            )
        line = Generation(
            standing.generation + 1, publish_id, target, standing.interval_end, standing.source_versions
        )  # fmt: skip
        same_base = standing.live.build_id == target.build_id
        return replace(
            standing, generation=line.generation, live=target,
            previous=standing.previous if same_base else standing.live, hold=Hold(reason, by),
        ).with_history(line)  # fmt: skip

    return _swap(store, publish_id, next_pointer).pointer


def release(store: ObjectStore) -> Pointer:
    """Let publishing go on after a rollback. Raises BadData before the first publish."""

    def next_pointer(standing: Pointer | None) -> Pointer | Published:
        if standing is None:
            raise BadData(f"{store.uri} has no CURRENT: nothing was published yet")
        if standing.hold is None:
            return Published(standing, moved=False, reason="it is not on hold")
        return replace(standing, hold=None)

    return _swap(store, None, next_pointer).pointer


def _swap(
    store: ObjectStore, publish_id: str | None, next_pointer: Callable[[Pointer | None], Pointer | Published]
) -> Published:
    """Read, decide, write on condition; again until it is settled."""
    wrote = False
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
            wrote = True
            log.info("publishing, attempt %d: %s", attempt + 1, error)
            # Publishers that lost together must not come back together.
            time.sleep(random.uniform(0, _PAUSE_S) * 2**attempt)
    raise PointerMoved(f"{POINTER_KEY} in {store.uri} kept changing over {_ATTEMPTS} attempts: run publish again")


def _lists(pointer: Pointer, publish_id: str | None) -> bool:
    return publish_id is not None and any(line.publish_id == publish_id for line in pointer.history)


def _reason_to_stay(standing: Pointer, line: Generation, new_lake: bool) -> str | None:
    if reason := _made_before(standing, line.publish_id):
        return reason
    if line.interval_end < standing.interval_end:
        return f"interval {line.interval_end} is older than {standing.interval_end}, which CURRENT covers"
    if not new_lake and (reason := _older_table(standing, line.source_versions)):
        return f"{reason} (--new-lake, if the lake was made anew)"
    unchanged = (line.live, line.interval_end, line.source_versions) == (
        standing.live, standing.interval_end, standing.source_versions,
    )  # fmt: skip
    return _NOTHING_CHANGED if unchanged else None


def _made_before(standing: Pointer, publish_id: str) -> str | None:
    made = (line.generation for line in standing.history if line.publish_id == publish_id)
    return next((f"this publish made generation {generation} before" for generation in made), None)


def _older_table(standing: Pointer, source_versions: Mapping[str, int]) -> str | None:
    for table, version in sorted(source_versions.items()):
        covered = standing.source_versions.get(table, version)
        if version < covered:
            return f"{table} at version {version} is older than {covered}, which CURRENT covers"
    return None


def _refuse_hold(standing: Pointer) -> None:
    if standing.hold:
        raise PublishingHeld(
            f"CURRENT is on hold ({standing.hold.reason}, by {standing.hold.by}): "
            "run `shoplens index release` to let publishing go on"
        )


def _with_delta(served: Served | None, deltas: Mapping[str, str | None]) -> Served | None:
    if served is None or served.build_id not in deltas:
        return served
    return replace(served, delta_id=deltas[served.build_id])


def _rollback_target(standing: Pointer, to: str | int | None) -> Served:
    if to is None:
        if standing.previous is None:
            raise BadData("CURRENT names no previous build to go back to: name one with --to")
        return standing.previous
    named = [served for served in (standing.previous, standing.live, standing.candidate) if served]
    for served in named:
        if served.build_id == to:
            return served
    for line in standing.history:
        if to in (line.generation, str(line.generation), line.live.build_id):
            return line.live
    raise BadData(f"CURRENT knows no build or generation {to}: see `shoplens index show`")


def _require_build(store: ObjectStore, build_id: str) -> None:
    if BUILD_FOLDERS.find(store, build_id) is None:
        raise BadData(f"there is no whole build {build_id} in {store.uri}: run build_index first")


def _require_delta(store: ObjectStore, build_id: str, delta_id: str | None) -> None:
    if delta_id is None:
        return
    found = DELTA_FOLDERS.find(store, delta_id)
    if found is None or found.base_build_id != build_id:
        raise BadData(f"there is no whole delta {delta_id} of build {build_id} in {store.uri}: run build_delta first")
