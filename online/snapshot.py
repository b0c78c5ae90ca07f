"""A snapshot: everything that answers a search, made beside the live one and never changed afterwards."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from online.catalog import Catalog
from online.golden import ask_golden_queries
from online.host_cache import HostCache
from online.rank_features import RankFeatures
from retrieval.bundles import read_bundle
from retrieval.encoder import Encoder
from retrieval.photos import decode_photo, encode_thumbnail
from retrieval.preprocess import to_pixels
from retrieval.segments import Segment, open_build
from schemas.api import RESULTS_MAX
from schemas.bundle import Bundle, Preprocessing
from schemas.calibration import Calibration
from schemas.errors import EncoderMismatch, Misconfigured, ModelUnavailable
from schemas.intervals import parse_time
from schemas.manifest import Manifest
from schemas.pointer import Pointer

EncoderLoader = Callable[[Path], Encoder]
WARM_CANDIDATES = 500
DAY_S = 86_400


@dataclass(frozen=True)
class Snapshot:
    """One verified, warmed build with the model that made its vectors. Many threads may search it at once."""

    pointer: Pointer
    encoder: Encoder
    preprocessing: Preprocessing
    segment: Segment
    catalog: Catalog
    features: RankFeatures

    @property
    def interval_day(self) -> float | None:
        """The end of the data interval in days since 1970; None where CURRENT gives no time."""
        text = self.pointer.interval_end
        return parse_time(text).timestamp() / DAY_S if text else None


class SnapshotLoader:
    """Makes the snapshot that a pointer names."""

    def __init__(self, cache: HostCache, load_encoder: EncoderLoader) -> None:
        self._cache, self._load_encoder = cache, load_encoder

    def load(self, pointer: Pointer, live: Snapshot | None = None) -> Snapshot:
        """Download, verify, open and warm. What did not change is taken over from `live`.

        Raises EncoderMismatch where the model is not the one that made the vectors, Corrupt where a file is damaged,
        ModelUnavailable, SchemaTooNew, Misconfigured, StoreUnavailable.
        """
        served = pointer.live
        if served.delta_id is not None:
            raise Misconfigured(
                f"CURRENT names the delta {served.delta_id}, which this release cannot read: upgrade it"
            )
        if live is not None and live.pointer.live == served:
            with self._cache.locked():
                self._cache.remember(pointer)
            return replace(live, pointer=pointer)
        with self._cache.locked():
            build_folder = self._cache.build_folder(served.build_id)
            model_folder = self._cache.model_folder(served.model_id)
            segment = open_build(build_folder, verify=False)
        bundle = read_bundle(model_folder)
        check_model(bundle, segment.manifest)
        if live is not None and live.encoder.fingerprint == bundle.fingerprint:
            encoder = live.encoder
        else:
            encoder = self._load_encoder(model_folder)
        catalog = Catalog.of(segment.items)
        features = RankFeatures.of(catalog.columns, Calibration.from_json(segment.manifest.calibration))
        snapshot = Snapshot(pointer, encoder, bundle.preprocessing, segment, catalog, features)
        warm(snapshot)
        ask_golden_queries(build_folder, segment, encoder)
        with self._cache.locked():
            self._cache.remember(pointer)
            self._cache.remove_old()
        return snapshot

    def load_last_good(self) -> Snapshot | None:
        """What this host served last, from its own disk if need be; None where there was nothing. Raises as `load`."""
        pointer = self._cache.recall()
        return None if pointer is None else self.load(pointer)


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
    candidates = min(WARM_CANDIDATES, snapshot.segment.manifest.rows)
    _, rows = snapshot.segment.search(snapshot.encoder.encode_pixels(pixels), candidates, "photo")
    snapshot.catalog.tiles(rows[rows >= 0][:RESULTS_MAX])
    with contextlib.suppress(ModelUnavailable):  # a model without a text tower still serves photos
        snapshot.segment.search(snapshot.encoder.encode_texts(["warm"]), candidates, "text")
