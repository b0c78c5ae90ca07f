"""Going back: `rollback` makes an earlier build live again and holds publishing, until `release`."""

import uuid
from dataclasses import replace

from retrieval.publishing.coverage import with_covering_delta
from retrieval.publishing.pointer import Published, require_build, require_pointer, swap
from retrieval.store.objects import ObjectStore
from schemas.errors import BadData
from schemas.pointer import Generation, Hold, Pointer, Served


def rollback(store: ObjectStore, to: str | int | None = None, *, by: str, reason: str = "rolled back") -> Pointer:
    """Make the previous base live again, or the build or generation named by `to`, and hold publishing.

    It goes live with its newest delta, so deleted products stay deleted: the interval and versions that CURRENT covers
    stay. Raises BadData where there is nothing to go back to, its build is gone, or no delta of it reaches that far.
    """
    publish_id = f"rollback-{uuid.uuid4().hex[:12]}"

    def next_pointer(found: Pointer | None) -> Pointer | Published:
        standing = require_pointer(store, found)
        named = _rollback_target(standing, to)
        require_build(store, named.build_id)
        target = with_covering_delta(store, named, standing)
        if target is None:
            raise BadData(
                f"build {named.build_id} does not show what was deleted since: run `python -m spark_jobs.build_delta "
                f"--base {named.build_id} --lake … --store {store.uri} --interval-start … --interval-end …`, "
                "then roll back again"
            )
        line = Generation(
            standing.generation + 1, publish_id, target, standing.interval_end, standing.source_versions
        )  # fmt: skip
        same_base = standing.live.build_id == target.build_id
        return replace(
            standing, generation=line.generation, live=target,
            previous=standing.previous if same_base else standing.live, hold=Hold(reason, by),
        ).with_history(line)  # fmt: skip

    return swap(store, publish_id, next_pointer).pointer


def release(store: ObjectStore) -> Pointer:
    """Let publishing go on after a rollback. Raises BadData before the first publish."""

    def next_pointer(found: Pointer | None) -> Pointer | Published:
        standing = require_pointer(store, found)
        if standing.hold is None:
            return Published(standing, moved=False, reason="it is not on hold")
        return replace(standing, hold=None)

    return swap(store, None, next_pointer).pointer


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
