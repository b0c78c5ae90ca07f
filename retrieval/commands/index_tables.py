"""What `shoplens index` shows: builds with their deltas, and CURRENT, as plain values and as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from retrieval.folders.stored import StoredFolder
from schemas.delta import DeltaManifest
from schemas.manifest import FileEntry, Manifest
from schemas.pointer import Pointer, Served

_BUILD_COLUMNS = ("build_id", "state", "interval_end", "rows", "products", "index", "recall", "mb")
_DELTA_COLUMNS = ("delta_id", "build_id", "state", "interval_end", "new", "changed", "deleted", "mb")
_IN_HISTORY = "in history"


def summarise_store(
    builds: Sequence[StoredFolder[Manifest]], deltas: Sequence[StoredFolder[DeltaManifest]], pointer: Pointer | None
) -> list[dict[str, Any]]:
    """One entry for each build, with its `deltas`; those that belong to none stand in an entry of their own, last."""
    roles = {} if pointer is None else _roles(pointer)
    summaries = [{**_summarise_build(build, roles), "deltas": []} for build in builds]
    by_id = {summary["build_id"]: summary["deltas"] for summary in summaries}
    orphans: list[dict[str, Any]] = []
    for delta in deltas:
        by_id.get(delta.manifest.base_build_id if delta.manifest else None, orphans).append(
            _summarise_delta(delta, roles)
        )
    return [*summaries, *([{"build_id": None, "state": "without their build", "deltas": orphans}] if orphans else [])]


def tables_of(summaries: Sequence[Mapping[str, Any]]) -> list[Table]:
    """One table of builds and one of deltas, as far as there are any."""
    deltas = [{**delta, "build_id": summary["build_id"]} for summary in summaries for delta in summary["deltas"]]
    builds = [summary for summary in summaries if summary["build_id"]]
    tables = []
    if builds:
        headings = ("build", "state", "interval end", "rows", "products", "index", "recall@10", "MB")
        tables.append(_table(headings, _BUILD_COLUMNS, builds))
    if deltas:
        headings = ("delta", "of build", "state", "interval end", "new", "changed", "deleted", "MB")
        tables.append(_table(headings, _DELTA_COLUMNS, deltas))
    return tables


def describe_pointer(pointer: Pointer) -> Table:
    table = Table("CURRENT", f"generation {pointer.generation}")
    held = f"{pointer.hold.reason} (by {pointer.hold.by})" if pointer.hold else "no"
    lines = {
        "live": name_of(pointer.live), "model": pointer.live.model_id,
        "previous": name_of(pointer.previous) if pointer.previous else "", "interval end": pointer.interval_end,
        "on hold": held, "covers": ", ".join(f"{t} @{v}" for t, v in sorted(pointer.source_versions.items())),
    }  # fmt: skip
    for name, value in lines.items():
        table.add_row(name, value)
    return table


def history_of(pointer: Pointer) -> Table:
    table = Table("generation", "build", "delta", "interval end", "publish id")
    for line in pointer.history:
        live = line.live
        table.add_row(str(line.generation), live.build_id, live.delta_id or "", line.interval_end, line.publish_id)
    return table


def name_of(served: Served) -> str:
    """A build, and the delta over it."""
    return served.build_id if served.delta_id is None else f"{served.build_id} with delta {served.delta_id}"


def _summarise_build(build: StoredFolder[Manifest], roles: Mapping[str, str]) -> dict[str, Any]:
    manifest = build.manifest
    if manifest is None:
        return {"build_id": build.folder_id, "state": f"broken: {build.problem}"}
    return {
        "build_id": build.folder_id, "state": roles.get(build.folder_id, ""), "interval_end": manifest.interval_end,
        "rows": manifest.rows, "products": manifest.products, "index": manifest.factory,
        "recall": manifest.recall.get("photo"), "mb": _mb(manifest.files), "model_id": manifest.model_id,
    }  # fmt: skip


def _summarise_delta(delta: StoredFolder[DeltaManifest], roles: Mapping[str, str]) -> dict[str, Any]:
    manifest = delta.manifest
    if manifest is None:
        return {"delta_id": delta.folder_id, "state": f"broken: {delta.problem}"}
    return {
        "delta_id": delta.folder_id, "state": roles.get(delta.folder_id, ""), "interval_end": manifest.interval_end,
        "new": manifest.rows, "changed": manifest.changed, "deleted": manifest.tombstones, "mb": _mb(manifest.files),
    }  # fmt: skip


def _roles(pointer: Pointer) -> dict[str, str]:
    """By the ids of builds and of deltas."""
    served = [(_IN_HISTORY, line.live) for line in pointer.history]
    named = (("candidate", pointer.candidate), ("previous", pointer.previous), ("live", pointer.live))
    roles: dict[str, str] = {}
    for role, each in (*served, *named):
        if each is not None:
            roles[each.build_id] = role
            if each.delta_id is not None:
                roles[each.delta_id] = role
    return roles


def _table(headings: Sequence[str], columns: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(*headings)
    for line in lines:
        table.add_row(*("" if line.get(name) is None else str(line[name]) for name in columns))
    return table


def _mb(files: Mapping[str, FileEntry]) -> float:
    return round(sum(entry.bytes for entry in files.values()) / 1e6, 1)
