"""A published shop without content: manifests, and files of the right sizes."""

from retrieval.store.objects import ObjectStore
from schemas.bundle import BUNDLE_FILE, IMAGE_TOWER_FILE, WEIGHTS_FILE, Bundle, BundleFile, Preprocessing, model_key
from schemas.delta import DeltaManifest, delta_key
from schemas.manifest import FileEntry, Manifest, SearchParameters, build_key
from schemas.pointer import POINTER_KEY, Hold, Pointer, Served

END = "20260228T020000Z"
VERSIONS = {"products": 7}
LIVE = Served("live", "m", "delta")
PIXELS = Preprocessing(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def publish_whole(store: ObjectStore) -> None:
    """Live build, its delta and model, all whole."""
    put_build(store, "live")
    put_delta(store, "delta", "live")
    put_model(store)
    publish(store)


def publish(store: ObjectStore, live: Served = LIVE, previous: Served | None = None, hold: Hold | None = None) -> None:
    store.put(POINTER_KEY, Pointer(3, END, VERSIONS, live, previous=previous, hold=hold).to_json())


def put_build(store: ObjectStore, build_id: str, fingerprint: str = "f") -> None:
    manifest = Manifest(
        build_id=build_id, model_id="m", model_fingerprint=fingerprint, dimension=2, rows=5, products=5,
        index_kind="exact", factory="SQfp16", photo_search=SearchParameters(), text_search=SearchParameters(),
        source_versions=VERSIONS, interval_end=END, files={"index.faiss": FileEntry(1000, "0" * 64)},
    )  # fmt: skip
    store.put(build_key(build_id, "index.faiss"), b"x" * 1000)
    store.put(build_key(build_id), manifest.to_json())


def put_delta(store: ObjectStore, delta_id: str, base: str, versions: dict[str, int] = VERSIONS, rows: int = 0) -> None:
    manifest = DeltaManifest(
        delta_id=delta_id, base_build_id=base, model_id="m", model_fingerprint="f", dimension=2, base_rows=5, rows=rows,
        tombstones=0, changed=1, index_kind="exact", source_versions=versions, interval_end=END,
        files={"changes.arrow": FileEntry(100, "0" * 64)},
    )  # fmt: skip
    store.put(delta_key(delta_id, "changes.arrow"), b"x" * 100)
    store.put(delta_key(delta_id), manifest.to_json())


def put_model(store: ObjectStore) -> None:
    files = {IMAGE_TOWER_FILE: BundleFile(10, "0" * 64), WEIGHTS_FILE: BundleFile(5000, "0" * 64)}
    bundle = Bundle("m", "m", "f", 2, PIXELS, None, files, {})
    for name, entry in files.items():
        store.put(model_key("m", name), b"x" * entry.bytes)
    store.put(model_key("m", BUNDLE_FILE), bundle.to_json())
