"""A pointer moved day by day, between builds and deltas without content."""

from retrieval.folders.evaluations import write_evaluation
from retrieval.publishing.pointer import Published, read_pointer
from retrieval.publishing.publish import publish
from retrieval.store.objects import ObjectStore
from schemas.delta import DeltaEvaluation, DeltaManifest, delta_key
from schemas.manifest import Manifest, SearchParameters, build_key
from schemas.pointer import Pointer, Served

DAYS = tuple(f"202601{day:02d}T020000Z" for day in range(1, 29))


def put_build(store: ObjectStore, build_id: str) -> Served:
    manifest = Manifest(
        build_id=build_id, model_id="m", model_fingerprint="f", dimension=2, rows=0, products=0, index_kind="exact",
        factory="SQfp16", photo_search=SearchParameters(), text_search=SearchParameters(), source_versions={},
        interval_end=DAYS[0], files={},
    )  # fmt: skip
    store.put(build_key(build_id), manifest.to_json())
    return Served(build_id, "m")


def put_delta(
    store: ObjectStore,
    build_id: str,
    delta_id: str,
    versions: dict[str, int],
    *,
    passed: bool = True,
    lake_id: str = "",
) -> str:
    manifest = DeltaManifest(
        delta_id=delta_id, base_build_id=build_id, model_id="m", model_fingerprint="f", dimension=2, base_rows=0,
        rows=0, tombstones=0, changed=0, index_kind="exact", source_versions=versions, interval_end=DAYS[0], files={},
    )  # fmt: skip
    store.put(delta_key(delta_id), manifest.to_json())
    write_evaluation(store, DeltaEvaluation(delta_id, build_id, passed, versions, DAYS[0], lake_id=lake_id))
    return delta_id


def publish_day(
    store: ObjectStore, build_id: str, day: int, version: int | None = None, by: str = "nightly"
) -> Published:
    versions = {"products": day if version is None else version}
    return publish(store, put_build(store, build_id), DAYS[day], versions, f"{by}/{day}/{build_id}")


def current(store: ObjectStore) -> Pointer:
    found = read_pointer(store)
    assert found is not None
    return found[0]
