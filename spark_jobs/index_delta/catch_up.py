"""Publishing a base without going back: with a delta, in the same swap, that covers at least what CURRENT covers.

What was live stays one rollback away, so it gets a delta of the same versions too. Spark is started only where some table
is newer than what a base shows.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.publishing.pointer import Published, read_pointer
from retrieval.publishing.publish import publish
from schemas.errors import BadData, Misconfigured, PointerMoved
from schemas.pointer import Pointer, Served
from spark_jobs.index_delta.make import DeltaMaker
from spark_jobs.index_delta.verdict import evaluate_delta
from spark_jobs.running.job import JobContext

CATCH_UPS = 4

log = logging.getLogger("shoplens")


@dataclass(frozen=True)
class BuiltBase:
    """A build of this run, the versions whose rows it holds, and the lake whose versions they are (empty: not known)."""

    build_id: str
    model_id: str
    versions: Mapping[str, int]
    lake_id: str = ""

    @property
    def served(self) -> Served:
        return Served(self.build_id, self.model_id)


def publish_caught_up(context: JobContext, built: BuiltBase, publish_id: str, *, new_lake: bool = False) -> Published:
    """Make the build live, caught up with CURRENT; again where CURRENT moved on while its delta was made.

    Raises PointerMoved where it moved on every time, GateFailed where the delta does not pass, Misconfigured where the
    lake is not the one that CURRENT covers, and what `retrieval.publishing.publish.publish` raises.
    """
    for _ in range(CATCH_UPS):
        found = read_pointer(context.store)
        standing = found[0] if found else None
        anew = new_lake and standing is not None and not standing.is_of(built.lake_id)
        if anew:
            _refuse_older_lakes_build(context, built)
        if standing is None or anew or _has_its_answer(context, standing, publish_id):
            return publish(
                context.store, built.served, context.interval.key, dict(built.versions), publish_id,
                new_lake=anew, lake_id=built.lake_id,
            )  # fmt: skip
        outcome = _publish_beside(context, standing, built, publish_id)
        made_before = any(line.publish_id == publish_id for line in outcome.pointer.history)
        if outcome.moved or made_before or outcome.pointer.generation == standing.generation:
            return outcome
        log.info("CURRENT moved on to generation %d: catching up again", outcome.pointer.generation)
    raise PointerMoved(f"CURRENT moved on {CATCH_UPS} times while a delta was made: run publish again")


def _refuse_older_lakes_build(context: JobContext, built: BuiltBase) -> None:
    """Equal rows give an equal build, which stands with the versions that it was first made from. Where these are the
    lake's before, the hours would look for changes since versions that this one reaches only much later.
    """
    standing = BUILD_FOLDERS.find(context.store, built.build_id)
    if standing and any(standing.source_versions.get(table, 0) > version for table, version in built.versions.items()):
        raise Misconfigured(
            f"build {built.build_id} was made from the lake before, of which it has the versions: run build_index with "
            "another --seed and evaluate_index, then publish again"
        )


def _has_its_answer(context: JobContext, standing: Pointer, publish_id: str) -> bool:
    """Whether no delta is needed to know what becomes of this publish: it was made before, is on hold, or is too old."""
    if standing.hold or any(line.publish_id == publish_id for line in standing.history):
        return True
    try:
        live = BUILD_FOLDERS.find(context.store, standing.live.build_id)
    except BadData:
        return False
    # Hours move the interval on. A night older than the one that made the live base is of no use, caught up or not.
    return live is not None and context.interval.key < live.interval_end


def _publish_beside(context: JobContext, standing: Pointer, built: BuiltBase, publish_id: str) -> Published:
    """One try: deltas at the newer of the build's and CURRENT's versions, the gate, the swap."""
    covered = standing.source_versions
    versions = {table: max(version, covered.get(table, version)) for table, version in built.versions.items()}
    interval_end = max(context.interval.key, standing.interval_end)
    maker = DeltaMaker(context, versions, interval_end, built.lake_id)
    maker.refuse_another_lake(built.versions, standing)
    delta_id = maker.make(built.served, standing, shown_at=built.versions)
    if built.build_id in maker.deltas.made and delta_id:
        log.info("the build catches up with %s by delta %s", standing.interval_end, delta_id)
        evaluate_delta(maker, built.build_id, delta_id, thoroughly=True)
    same_base = standing.live.build_id == built.build_id
    kept = [served for served in (standing.previous if same_base else standing.live, standing.candidate) if served]
    others = {served.build_id: _delta_of(maker, served, standing) for served in kept}
    return publish(
        context.store, replace(built.served, delta_id=delta_id), interval_end, maker.deltas.versions, publish_id,
        deltas=others, lake_id=built.lake_id,
    )  # fmt: skip


def _delta_of(maker: DeltaMaker, served: Served, standing: Pointer) -> str | None:
    """A base that is kept for a rollback must not keep a new one from going live: without a delta, rolling back says so."""
    try:
        delta_id = maker.make(served, standing)
        if served.build_id in maker.deltas.made and delta_id:
            evaluate_delta(maker, served.build_id, delta_id, thoroughly=False)
        return delta_id
    except BadData as error:
        log.warning("build %s keeps the delta that it had: %s", served.build_id, error)
        return served.delta_id
