"""What makes a build or a delta live: `publish` and `publish_deltas`. Neither ever moves CURRENT back in time."""

from collections.abc import Mapping
from dataclasses import replace

from retrieval.publishing.pointer import Published, named_bases, require_build, require_delta, require_pointer, swap
from retrieval.store.objects import ObjectStore
from schemas.errors import PointerMoved, PublishingHeld
from schemas.pointer import Generation, Pointer, Served

_NOTHING_CHANGED = "nothing changed"


def publish(
    store: ObjectStore,
    served: Served,
    interval_end: str,
    source_versions: dict[str, int],
    publish_id: str,
    *,
    new_lake: bool = False,
    lake_id: str = "",
    deltas: Mapping[str, str | None] | None = None,
) -> Published:
    """Make `served` live for a data interval (its end as in keys, so that text order is time order).

    `deltas` are those, by build id, that the other bases of CURRENT get in the same swap: what was live becomes
    previous, and only with a delta of these versions can one roll back to it. The pointer does not move, and says so,
    where `publish_id` was published before, where nothing would change, or where the interval or any table's version
    is older than what CURRENT covers. `lake_id` tells whose versions they are. `new_lake` is for one that was made anew:
    versions are not compared, and CURRENT forgets the bases of the lake before, whose versions say nothing of this one:
    neither a delta nor a rollback could be trusted to leave out what is deleted here.
    Raises PublishingHeld after a rollback, PointerMoved when others won every time, BadData where the build or a delta
    is not whole in the store, StoreNotWritable, StoreUnavailable.
    """
    given = deltas or {}
    require_build(store, served.build_id)
    for build_id, delta_id in {**given, served.build_id: served.delta_id}.items():
        require_delta(store, build_id, delta_id)

    def next_pointer(standing: Pointer | None) -> Pointer | Published:
        line = Generation(
            generation=1 if standing is None else standing.generation + 1,
            publish_id=publish_id, live=served, interval_end=interval_end, source_versions=source_versions,
        )  # fmt: skip
        if standing is None:
            return Pointer(
                line.generation, interval_end, source_versions, served, lake_id=lake_id
            ).with_history(line)  # fmt: skip
        if reason := _reason_to_stay(standing, line, new_lake):
            return Published(standing, moved=False, reason=reason)
        _refuse_hold(standing)
        if new_lake:
            standing = replace(standing, previous=None, candidate=None, history=())
        same_base = new_lake or standing.live.build_id == served.build_id
        return replace(
            standing, generation=line.generation, interval_end=interval_end, source_versions=source_versions,
            live=served, previous=_with_delta(standing.previous if same_base else standing.live, given),
            candidate=_with_delta(standing.candidate, given), lake_id=lake_id or standing.lake_id,
        ).with_history(line)  # fmt: skip

    return swap(store, publish_id, next_pointer)


def publish_deltas(
    store: ObjectStore,
    deltas: Mapping[str, str | None],
    interval_end: str,
    source_versions: dict[str, int],
    publish_id: str,
    lake_id: str = "",
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
        require_delta(store, build_id, delta_id)

    def next_pointer(found: Pointer | None) -> Pointer | Published:
        standing = require_pointer(store, found)
        line = Generation(
            generation=standing.generation + 1, publish_id=publish_id,
            live=replace(standing.live, delta_id=deltas.get(standing.live.build_id)),
            interval_end=max(interval_end, standing.interval_end),
            source_versions={**standing.source_versions, **source_versions},
        )  # fmt: skip
        wanted = replace(
            standing, generation=line.generation, interval_end=line.interval_end, source_versions=line.source_versions,
            live=line.live, previous=_with_delta(standing.previous, deltas),
            candidate=_with_delta(standing.candidate, deltas), lake_id=lake_id or standing.lake_id,
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

    return swap(store, publish_id, next_pointer)


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
