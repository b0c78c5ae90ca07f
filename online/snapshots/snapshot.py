"""A snapshot: everything that answers a search, made beside the live one and never changed afterwards."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from online.snapshots.catalog import Catalog, count_products
from online.snapshots.golden import GoldenQueries, ask_golden_queries, check_text_vectors
from online.snapshots.host_cache import Copies, HostCache
from online.snapshots.rank_features import RankFeatures
from retrieval.encoders.bundles import read_bundle
from retrieval.encoders.contract import Encoder
from retrieval.items.columns import ItemColumns
from retrieval.photos.decoding import decode_photo, encode_thumbnail
from retrieval.photos.preprocess import to_pixels
from retrieval.search.deltas import Delta, open_delta
from retrieval.search.segments import Segment, open_build
from retrieval.search.view import View
from schemas.api.fields import RESULTS_MAX
from schemas.bundle import Bundle, Preprocessing
from schemas.calibration import Calibration
from schemas.errors import EncoderMismatch, ModelUnavailable
from schemas.intervals import parse_time
from schemas.manifest import Manifest
from schemas.pointer import Pointer

EncoderLoader = Callable[[Path], Encoder]
WorkAside = Callable[[], contextlib.AbstractContextManager[None]]
"""Entered while a snapshot is made beside the requests of the same process."""

WARM_CANDIDATES = 500
DAY_S = 86_400


@dataclass(frozen=True)
class Base:
    """One verified build made ready for serving, as it is without any delta: each delta is laid over the same one."""

    segment: Segment
    catalog: Catalog
    features: RankFeatures
    golden: GoldenQueries

    @classmethod
    def of(cls, segment: Segment, golden: GoldenQueries) -> "Base":
        catalog = Catalog.of(segment.items)
        features = RankFeatures.of(catalog.columns, Calibration.from_json(segment.manifest.calibration))
        return cls(segment, catalog, features, golden)


@dataclass(frozen=True)
class Snapshot:
    """One base with its delta, verified and warmed, and the model that made its vectors. Many threads may search it.

    `view`, `catalog` and `features` show the base as the delta changed it; `products` counts what is left and new.
    """

    pointer: Pointer
    encoder: Encoder
    preprocessing: Preprocessing
    base: Base
    view: View
    catalog: Catalog
    features: RankFeatures
    products: int

    @classmethod
    def of(
        cls, pointer: Pointer, encoder: Encoder, preprocessing: Preprocessing, base: Base, delta: Delta | None
    ) -> "Snapshot":
        """Lay the delta over the base, by patching copies of what searches read."""
        view, catalog, features = View.of(base.segment, delta), base.catalog, base.features
        products = base.segment.manifest.products
        if delta is not None:
            layer = ItemColumns.of(view.items.layer)
            catalog, features = catalog.under(view.items, layer, view.live_mask), features.under(view.items, layer)
            products = count_products(products, view.items, delta.tombstones)
            pa.default_memory_pool().release_unused()
        return cls(pointer, encoder, preprocessing, base, view, catalog, features, products)

    @property
    def interval_day(self) -> float | None:
        """The end of the data interval in days since 1970; None where CURRENT gives no time."""
        text = self.pointer.interval_end
        return parse_time(text).timestamp() / DAY_S if text else None


class SnapshotLoader:
    """Makes the snapshot that a pointer names."""

    def __init__(
        self, cache: HostCache, load_encoder: EncoderLoader, work_aside: WorkAside = contextlib.nullcontext
    ) -> None:
        self._cache, self._load_encoder, self._work_aside = cache, load_encoder, work_aside

    def load(self, pointer: Pointer, live: Snapshot | None = None) -> Snapshot:
        """Download, verify, open and warm. What did not change is taken over from `live`: its base, when only the delta
        is another.

        Raises EncoderMismatch where the model is not the one that made the vectors, Corrupt where a file is damaged or
        a delta is of another base, ModelUnavailable, SchemaTooNew, StoreNotWritable, StoreUnavailable.
        """
        if live is not None and live.pointer.live == pointer.live:
            snapshot = replace(live, pointer=pointer)
        elif live is not None and replace(live.pointer.live, delta_id=pointer.live.delta_id) == pointer.live:
            snapshot = self._load_delta(pointer, live)
        else:
            snapshot = self._load_base(pointer, live)
        with self._cache.locked():
            self._cache.remember(pointer)
            self._cache.remove_old()
        return snapshot

    def _load_delta(self, pointer: Pointer, live: Snapshot) -> Snapshot:
        """Another delta over the base that is open, with the encoder that is loaded. One worker of a host at a time, so
        that the others have time for requests."""
        with self._cache.locked(), self._work_aside():
            delta = self._open_delta(pointer, live.base.segment.manifest)
            snapshot = Snapshot.of(pointer, live.encoder, live.preprocessing, live.base, delta)
            ask_golden_queries(snapshot.base.golden, snapshot.view, snapshot.catalog)
        return snapshot

    def _load_base(self, pointer: Pointer, live: Snapshot | None) -> Snapshot:
        with self._cache.locked():
            copies = self._cache.copies(pointer.live)
            opened = _open(copies)
        return self._make(pointer, copies.model, *opened, live)

    def _make(
        self, pointer: Pointer, model_folder: Path, segment: Segment, delta: Delta | None, golden: GoldenQueries,
        live: Snapshot | None,
    ) -> Snapshot:  # fmt: skip
        """A snapshot of open files, with an encoder: the live one's, where the model is the same."""
        bundle = read_bundle(model_folder)
        check_model(bundle, segment.manifest)
        with self._work_aside():
            if live is not None and live.encoder.fingerprint == bundle.fingerprint:
                encoder = live.encoder
            else:
                encoder = self._load_encoder(model_folder)
            check_text_vectors(encoder, golden.text)
            base = Base.of(segment, golden)
            snapshot = Snapshot.of(pointer, encoder, bundle.preprocessing, base, delta)
            warm(snapshot)
            ask_golden_queries(golden, snapshot.view, snapshot.catalog)
        return snapshot

    def _open_delta(self, pointer: Pointer, base: Manifest) -> Delta | None:
        """Hold the lock."""
        if pointer.live.delta_id is None:
            return None
        return open_delta(self._cache.delta_folder(pointer.live.delta_id), base, verify=False)

    def load_last_good(self) -> Snapshot | None:
        """What this host served last, from its own disk if need be; None where there was nothing. Raises as `load`.

        Where all of it is there nothing is written: the disk may be why CURRENT cannot be loaded.
        """
        pointer = self._cache.recall()
        if pointer is None:
            return None
        return self._load_kept(pointer) or self.load(pointer)

    def load_meanwhile(self, coming: Pointer) -> Snapshot | None:
        """What this host served before `coming`, where that must be fetched first: opened from its disk at once, also
        while another worker fetches.

        None where there is nothing to be fetched, or where what is here is not what other hosts may serve still: the
        generation before. Raises as `load`.
        """
        pointer = self._cache.recall()
        if pointer is None or pointer.generation < coming.generation - 1 or self._cache.kept(coming.live):
            return None
        return self._load_kept(pointer)

    def load_kept(self) -> Snapshot | None:
        """What this host served last, where all of it is on its disk: asks nothing of the store, and waits for nobody.
        Raises as `load`."""
        pointer = self._cache.recall()
        return None if pointer is None else self._load_kept(pointer)

    def _load_kept(self, pointer: Pointer) -> Snapshot | None:
        copies = self._cache.kept(pointer.live)
        if copies is None:
            return None
        return self._make(pointer, copies.model, *_open(copies), None)


def _open(copies: Copies) -> tuple[Segment, Delta | None, GoldenQueries]:
    segment = open_build(copies.build, verify=False)
    delta = None if copies.delta is None else open_delta(copies.delta, segment.manifest, verify=False)
    return segment, delta, GoldenQueries.read(copies.build, segment.manifest)


def check_model(bundle: Bundle, manifest: Manifest) -> None:
    """Vectors of another model give answers that look right and are not. Raises EncoderMismatch."""
    found = (bundle.fingerprint, bundle.dimension)
    if found != (manifest.model_fingerprint, manifest.dimension):
        raise EncoderMismatch(
            f"model {bundle.model_id} has fingerprint {bundle.fingerprint[:12]} and dimension {bundle.dimension}, "
            f"build {manifest.build_id} was made with {manifest.model_fingerprint[:12]} and {manifest.dimension}: "
            "publish a build made with this model, or put the right model in the store"
        )


def warm(snapshot: Snapshot) -> None:
    """Pay the first query's costs before the first shopper does: the decoder, thread pools, pages of the index."""
    photo = encode_thumbnail(Image.new("RGB", (64, 64), "grey"))
    pixels = to_pixels(decode_photo(photo), snapshot.preprocessing)[np.newaxis]
    candidates = min(WARM_CANDIDATES, snapshot.view.rows)
    _, rows = snapshot.view.search(snapshot.encoder.encode_pixels(pixels), candidates, "photo")
    snapshot.catalog.tiles(rows[rows >= 0][:RESULTS_MAX])
    with contextlib.suppress(ModelUnavailable):  # a model without a text tower still serves photos
        snapshot.view.search(snapshot.encoder.encode_texts(["warm"]), candidates, "text")
