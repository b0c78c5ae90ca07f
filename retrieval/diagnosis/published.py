"""Whether what CURRENT names is there, whole, and belongs together."""

from collections.abc import Iterator

from retrieval.diagnosis.findings import Finding, State, found_by, ok, raised, warning, wrong
from retrieval.encoders.bundles import find_bundle
from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.publishing.coverage import passed_at
from retrieval.publishing.pointer import read_pointer
from retrieval.store.objects import ObjectStore
from schemas.errors import ShopLensError
from schemas.manifest import Manifest
from schemas.pointer import Pointer, Served


def check_published(store: ObjectStore) -> list[Finding]:
    """Findings about CURRENT, and about the builds, deltas and models that it names now."""
    try:
        found = read_pointer(store)
    except ShopLensError as error:
        return [raised("CURRENT", error)]
    if found is None:
        return [warning("CURRENT", "nothing is published yet", "run the nightly DAG, or `make demo`")]
    pointer = found[0]
    return [_describe(pointer), *_check_roles(store, pointer)]


def _describe(pointer: Pointer) -> Finding:
    says = f"generation {pointer.generation}, of data until {pointer.interval_end}"
    if pointer.hold:
        held = f"{says}; on hold: {pointer.hold.reason} (by {pointer.hold.by})"
        return warning("CURRENT", held, "`shoplens index release` lets publishing go on")
    return ok("CURRENT", says)


def _check_roles(store: ObjectStore, pointer: Pointer) -> Iterator[Finding]:
    models: set[str] = set()
    for role in ("live", "candidate", "previous"):
        served: Served | None = getattr(pointer, role)
        if served is None:
            continue
        findings = [found_by(f"{role} build", _check_build, store, served, role)]
        if served.delta_id:
            findings.append(found_by(f"{role} delta", _check_delta, store, served, role, pointer))
        if served.model_id not in models:
            findings.append(found_by(f"{role} model", _check_model, store, served, role))
        models.add(served.model_id)
        yield from (_milder(finding) if role == "previous" else finding for finding in findings)


def _milder(finding: Finding) -> Finding:
    """What is wrong with the way back harms nobody today."""
    if finding.state is not State.WRONG:
        return finding
    return warning(finding.check, finding.says, finding.remedy or "a rollback to it would fail: name another with --to")


def _check_build(store: ObjectStore, served: Served, role: str) -> Finding:
    check = f"{role} build"
    manifest = BUILD_FOLDERS.find(store, served.build_id)
    if manifest is None:
        back = "roll back with `shoplens index rollback`, or run the nightly DAG again"
        remedy = back if role == "live" else ""
        return wrong(check, f"{served.build_id} is not in {store.uri}", remedy)
    says = f"{served.build_id}: {manifest.rows} rows, {_megabytes(manifest)}, every file there in full size"
    return ok(check, says)


def _check_delta(store: ObjectStore, served: Served, role: str, pointer: Pointer) -> Finding:
    check = f"{role} delta"
    assert served.delta_id is not None
    delta = DELTA_FOLDERS.find(store, served.delta_id)
    if delta is None:
        return wrong(check, f"{served.delta_id} is not in {store.uri}", "run the hourly DAG again")
    if delta.base_build_id != served.build_id:
        says = f"{served.delta_id} is of build {delta.base_build_id}, not of {served.build_id}"
        return wrong(check, says, "run the hourly DAG again")
    # The manifest names the first hour that found this difference, the gate's word the last.
    made, passed = delta.source_versions, passed_at(store, served.delta_id)
    covered = pointer.source_versions.items()
    behind = [table for table, version in covered if max(made.get(table, version), passed.get(table, -1)) < version]
    if behind:
        says = f"{served.delta_id} lacks changes that CURRENT covers: {', '.join(sorted(behind))}"
        return wrong(check, says, "run the hourly DAG again")
    says = f"{served.delta_id}: {delta.rows} new, {delta.tombstones} gone, {delta.changed} changed rows"
    if delta.wants_rebuild:
        return warning(check, f"{says}: more than a tenth of the base", "the next nightly run makes a new base")
    return ok(check, says)


def _check_model(store: ObjectStore, served: Served, role: str) -> Finding:
    check = f"{role} model"
    bundle = find_bundle(store, served.model_id)
    manifest = BUILD_FOLDERS.find(store, served.build_id)
    if manifest and bundle.fingerprint != manifest.model_fingerprint:
        says = f"{served.model_id} is not the model that made the vectors of {served.build_id}"
        return wrong(check, says, "upload the model again that made them: `shoplens model export --store`")
    return ok(check, f"{served.model_id}: every file there in full size, its fingerprint is the build's")


def _megabytes(manifest: Manifest) -> str:
    return f"{sum(entry.bytes for entry in manifest.files.values()) / 1e6:.1f} MB"
