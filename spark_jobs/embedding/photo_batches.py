"""What one Python worker does with its share of the photos: decode, prepare, encode, in the model's own batches."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from retrieval.encoders.bundles import fetch_bundle, read_bundle
from retrieval.encoders.contract import Encoder, Pixels, Vectors
from retrieval.encoders.runtimes import load_encoder, needs_weights
from retrieval.photos.decoding import decode_photo
from retrieval.photos.preprocess import to_pixels
from retrieval.store.objects import open_store
from schemas.bundle import Preprocessing
from schemas.errors import PhotoRejected

log = logging.getLogger("shoplens")
Item = TypeVar("Item")

ENCODED_DDL = "content_sha256 STRING, runtime STRING, vector ARRAY<FLOAT>, reason STRING"
"""`vector` is null where the photo could not be decoded; `reason` then says why."""
_COLUMNS = ["content_sha256", "runtime", "vector", "reason"]
_GPU_DECODERS = 8
_ROWS_A_FRAME = 64
"""A model batch may be two photos; a data frame and its way to Spark cost as much as encoding one."""
EncodedRow = tuple[str, str, Vectors | None, str | None]


@dataclass(frozen=True)
class ModelSource:
    """Where a worker finds its model: fetched once for each host, loaded once for each process."""

    store_uri: str
    model_id: str
    runtime: str
    cache_folder: Path

    def open(self) -> tuple[Encoder, Preprocessing]:
        """Raises ModelUnavailable or Corrupt."""
        if self not in _opened:
            _opened.clear()  # a worker that is reused for another model lets go of the one before
            weights = needs_weights(self.runtime)
            folder = fetch_bundle(open_store(self.store_uri), self.model_id, self.cache_folder, weights=weights)
            _opened[self] = (
                load_encoder(folder, self.runtime, threads=1, words=False),
                read_bundle(folder).preprocessing,
            )
        return _opened[self]


_opened: dict[ModelSource, tuple[Encoder, Preprocessing]] = {}
"""One model a worker process: Spark keeps its Python workers from task to task."""


class EncodePhotos:
    """For `DataFrame.mapInPandas`: batches of (content_sha256, stored) to batches of ENCODED_DDL."""

    def __init__(self, source: ModelSource, batch_photos: int | None = None) -> None:
        self.source, self.batch_photos = source, batch_photos

    def __call__(self, batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        encoder, preprocessing = self.source.open()
        rows = (
            (key, stored) for batch in batches for key, stored in zip(batch.content_sha256, batch.stored, strict=True)
        )
        decoders = min(_GPU_DECODERS, os.cpu_count() or 1) if encoder.runtime.startswith("torch") else 1
        with ThreadPoolExecutor(decoders) as pool:
            each = pool.map if decoders > 1 else map
            groups = regroup(rows, self.batch_photos or encoder.batch_photos)
            encoded = (row for group in groups for row in encode_group(group, encoder, preprocessing, each))
            for answers in regroup(encoded, _ROWS_A_FRAME):
                yield pd.DataFrame(answers, columns=_COLUMNS)


def encode_group(
    group: list[tuple[str, bytes]], encoder: Encoder, preprocessing: Preprocessing,
    each: Callable[[Callable[[bytes], Pixels | str], Iterable[bytes]], Iterable[Pixels | str]],
) -> list[EncodedRow]:  # fmt: skip
    """One model batch. A photo that cannot be decoded is a row with its reason, and costs the others nothing."""
    prepared = list(each(lambda stored: prepare(stored, preprocessing), (stored for _, stored in group)))
    good = [pixels for pixels in prepared if not isinstance(pixels, str)]
    vectors = iter(encoder.encode_pixels(np.stack(good))) if good else iter(())
    return [
        (key, encoder.runtime, None, pixels) if isinstance(pixels, str) else (key, encoder.runtime, next(vectors), None)
        for (key, _), pixels in zip(group, prepared, strict=True)
    ]


def prepare(stored: bytes | None, preprocessing: Preprocessing) -> Pixels | str:
    """Pixels (3, S, S) float32, or the reason why there are none."""
    try:
        return to_pixels(decode_photo(bytes(stored or b"")), preprocessing)
    except PhotoRejected as error:
        return str(error.reason)


def regroup(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The same items in the same order, in lists of `size`; the last may be shorter, none is empty."""
    group: list[Item] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
