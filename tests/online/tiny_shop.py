"""A shop of plain colours: an encoder that sees the mean colour, and builds made with retrieval's own code."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from PIL import Image

from retrieval.encoders.contract import Pixels, Vectors, unit_rows
from retrieval.folders.files import describe_file
from retrieval.folders.kinds import DELTA_FOLDERS
from retrieval.items.table import conform_items, write_items
from retrieval.search.segments import open_build
from retrieval.store.objects import FolderStore, ObjectStore
from schemas.bundle import Bundle, BundleFile, Preprocessing, TextInput, model_key
from schemas.delta import DeltaManifest
from schemas.errors import ModelUnavailable
from schemas.manifest import (
    INDEX_FILE,
    ITEMS_FILE,
    MANIFEST_FILE,
    VECTORS_FILE,
    Manifest,
    SearchParameters,
    build_key,
    thumbnail_key,
)  # fmt: skip
from schemas.pointer import POINTER_KEY, Pointer, Served
from spark_jobs.index_delta.assemble import assemble_delta

FINGERPRINT = hashlib.sha256(b"mean colour").hexdigest()
MODEL_ID = f"mean-colour-{FINGERPRINT[:12]}"
COLOURS = {
    "red": (220, 20, 20), "green": (20, 200, 40), "blue": (30, 60, 220), "yellow": (230, 220, 30),
    "white": (250, 250, 250), "black": (15, 15, 15),
}  # fmt: skip


@dataclass
class MeanColourEncoder:
    """Implements the encoder contract: a photo is its mean colour, a text the colour that it names."""

    model_id: str = MODEL_ID
    fingerprint: str = FINGERPRINT
    dimension: int = 4
    runtime: str = "tiny"
    batch_photos: int = 8
    reads_text: bool = True

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        return unit_rows(np.hstack([pixels.mean(axis=(2, 3)) - 0.5, np.full((len(pixels), 1), 0.1)]))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        if not self.reads_text:
            raise ModelUnavailable("no text tower")
        named = [next((word for word in text.lower().split() if word in COLOURS), "white") for text in texts]
        return np.vstack([vector_of(COLOURS[name]) for name in named])


@dataclass(frozen=True)
class Item:
    """One photo of one product, in one colour."""

    product_id: str
    rgb: tuple[int, int, int]
    group_id: str | None = None
    columns: dict[str, Any] = field(default_factory=dict)

    @property
    def image_id(self) -> str:
        return hashlib.sha256(repr((self.product_id, self.rgb)).encode()).hexdigest()


SHOP = (
    Item("shirt-red", COLOURS["red"], "shirt", {"title": "Shirt, red", "price": 19.5, "currency": "EUR"}),
    Item("shirt-red", (200, 40, 40), "shirt", {"title": "Shirt, red", "price": 19.5, "currency": "EUR"}),
    Item("shirt-blue", COLOURS["blue"], "shirt", {"title": "Shirt, blue", "price": 19.5, "currency": "EUR"}),
    Item("sock-green", COLOURS["green"], None, {"title": "Sock", "attributes": {"material": "wool"}}),
    Item("hat-yellow", COLOURS["yellow"], None, {"title": "Hat", "in_stock": False, "category": "hats"}),
    Item("coat-black", COLOURS["black"], None, {"title": "Coat", "brand": "Nord"}),
)


def vector_of(rgb: tuple[int, int, int]) -> Vectors:
    """(1, 4) float32, as the encoder sees a photo of that colour."""
    return MeanColourEncoder().encode_pixels(np.full((1, 3, 2, 2), 1, np.float32) * np.reshape(rgb, (1, 3, 1, 1)) / 255)


def photo_of(rgb: tuple[int, int, int], file_format: str = "PNG", size: tuple[int, int] = (64, 48)) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", size, rgb).save(sink, file_format)
    return sink.getvalue()


def put_model(store: ObjectStore, fingerprint: str = FINGERPRINT, dimension: int = 4) -> str:
    """A bundle of one small file; returns the model id."""
    model_id = f"mean-colour-{fingerprint[:12]}"
    tower = b"the mean"
    bundle = Bundle(
        name="mean-colour", model_id=model_id, fingerprint=fingerprint, dimension=dimension,
        preprocessing=Preprocessing(16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), text_input=TextInput(8),
        files={"image.onnx": BundleFile(len(tower), hashlib.sha256(tower).hexdigest())}, metrics={},
    )  # fmt: skip
    store.put(model_key(model_id, "image.onnx"), tower)
    store.put(model_key(model_id), bundle.to_json())
    return model_id


def items_table(items: Sequence[Item]) -> Any:
    """Their item columns, one row a photo; `created_at` may be given as text."""
    lines = [
        {"product_id": item.product_id, "image_id": item.image_id, "group_id": item.group_id, **item.columns}
        for item in items
    ]
    lines = [{**line, "attributes": list(line.get("attributes", {}).items())} for line in lines]
    names = sorted({name for line in lines for name in line} | {"product_id", "image_id"})
    types = {"attributes": pa.map_(pa.string(), pa.string())}
    table = pa.table({name: pa.array([line.get(name) for line in lines], types.get(name)) for name in names})
    if "created_at" in names:
        created = table.column("created_at").cast(pa.timestamp("us"))
        table = table.set_column(names.index("created_at"), "created_at", created)
    return conform_items(table)


def put_build(
    store: ObjectStore, scratch: Path, items: Sequence[Item] = SHOP, *, build_id: str = "b1",
    fingerprint: str = FINGERPRINT, model_id: str = MODEL_ID, thumbnails: bool = True,
    calibration: dict[str, Any] | None = None,
) -> Manifest:  # fmt: skip
    """An exact build of the items, with thumbnails."""
    folder = scratch / build_id
    folder.mkdir(parents=True)
    vectors = np.vstack([vector_of(item.rgb) for item in items]).astype(np.float16)
    (folder / VECTORS_FILE).write_bytes(vectors.tobytes())
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors.astype(np.float32))
    faiss.write_index(index, str(folder / INDEX_FILE))
    write_items(items_table(items), folder / ITEMS_FILE)
    manifest = Manifest(
        build_id=build_id, model_id=model_id, model_fingerprint=fingerprint, dimension=vectors.shape[1], rows=len(items),
        products=len({item.product_id for item in items}), index_kind="exact", factory="Flat",
        photo_search=SearchParameters(), text_search=SearchParameters(), source_versions={},
        interval_end="2026-01-02T02:00:00+00:00",
        files={name: describe_file(folder / name) for name in (INDEX_FILE, VECTORS_FILE, ITEMS_FILE)},
        calibration=calibration or {},
    )  # fmt: skip
    for name in manifest.files:
        store.upload(folder / name, build_key(build_id, name))
    store.put(build_key(build_id, MANIFEST_FILE), manifest.to_json())
    for item in items if thumbnails else ():
        store.put(thumbnail_key(item.image_id), photo_of(item.rgb, "JPEG"))
    return manifest


def put_delta(store: FolderStore, scratch: Path, items: Sequence[Item], build_id: str = "b1") -> DeltaManifest:
    """What turns a build of the store into the items, with thumbnails."""
    base = open_build(store.root / "builds" / build_id)
    vectors = np.vstack([np.empty((0, 4), np.float32), *(vector_of(item.rgb) for item in items)])
    manifest = assemble_delta(base, vectors, items_table(items), out_folder=scratch)
    DELTA_FOLDERS.upload(store, scratch / manifest.delta_id)
    for item in items:
        store.put(thumbnail_key(item.image_id), photo_of(item.rgb, "JPEG"))
    return manifest


def point_at(
    store: ObjectStore, build_id: str, generation: int, model_id: str = MODEL_ID, delta_id: str | None = None
) -> Pointer:
    """Write CURRENT, as a publisher would."""
    pointer = Pointer(
        generation=generation, interval_end="2026-01-02T02:00:00+00:00", source_versions={},
        live=Served(build_id, model_id, delta_id),
    )  # fmt: skip
    store.put(POINTER_KEY, pointer.to_json())
    return pointer
