"""The photos for tiles: small JPEGs under images/, named by content, written once each by the executors."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retrieval.photos.decoding import decode_photo, encode_thumbnail
from retrieval.store.objects import ObjectStore, open_store
from schemas.manifest import thumbnail_key
from spark_jobs.lake.few_photos import take_photos

_PARTITIONS_MAX = 64
_LISTED_AT_ONCE = 8
_ASKED_FOR_MAX = 8_192
"""Up to so many are asked for one by one, some 32 a folder: to list what a shop of millions has takes longer."""


def write_thumbnails(image_ids: DataFrame, images: DataFrame, store: ObjectStore) -> tuple[int, int]:
    """Write the thumbnails that the store lacks of the photos `image_id`. Returns how many were written and kept.

    Names are compared before any photo is read, so a night without new photos reads none.
    """
    wanted = image_ids.select(F.col("image_id").alias("content_sha256")).distinct()
    total = wanted.count()
    # Each task lists whole folders (the first two digits) where that spares it asking for every object.
    grouped = wanted.repartition(_partitions(image_ids), F.substring("content_sha256", 1, 2))
    looks = _not_listed if total > _ASKED_FOR_MAX else _not_found
    absent = grouped.mapInArrow(_absent_from(store.uri, looks), "content_sha256 STRING").persist()
    try:
        missing = absent.count()
        if missing:
            # The bytes of the others are neither read nor shuffled.
            stored = take_photos(images, absent, missing)
            written = (
                stored.select("content_sha256", "stored")
                .mapInArrow(_writer(store.uri), "written BIGINT")
                .agg(F.sum("written"))
                .collect()[0][0]
            )
            return int(written or 0), total - missing
        return 0, total
    finally:
        absent.unpersist()


def has_thumbnails(contents: Iterable[str], store: ObjectStore) -> bool:
    """Whether the store has the thumbnail of every photo, without Spark: whole folders are listed, some at once."""
    folders: dict[str, set[str]] = {}
    for content in contents:
        folders.setdefault(content[:2], set()).add(content)

    def is_whole(digits: str) -> bool:
        is_absent = _not_listed(store)
        return not any(map(is_absent, folders[digits]))

    with ThreadPoolExecutor(_LISTED_AT_ONCE) as pool:
        return all(pool.map(is_whole, folders))


def _partitions(rows: DataFrame) -> int:
    return min(_PARTITIONS_MAX, 2 * rows.sparkSession.sparkContext.defaultParallelism)


def _absent_from(store_uri: str, looks: Callable[[ObjectStore], Callable[[str], bool]]):  # type: ignore[no-untyped-def]
    def absent(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        is_absent = looks(open_store(store_uri))
        for batch in batches:
            missing = [content for content in batch.column("content_sha256").to_pylist() if is_absent(content)]
            yield pa.record_batch({"content_sha256": pa.array(missing, pa.string())})

    return absent


def _not_found(store: ObjectStore) -> Callable[[str], bool]:
    return lambda content: store.size(thumbnail_key(content)) is None


def _not_listed(store: ObjectStore) -> Callable[[str], bool]:
    listed: dict[str, set[str]] = {}

    def is_absent(content: str) -> bool:
        digits = content[:2]
        if digits not in listed:
            listed[digits] = set(store.keys(f"images/{digits}/"))
        return thumbnail_key(content) not in listed[digits]

    return is_absent


def _writer(store_uri: str):  # type: ignore[no-untyped-def]
    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        store = open_store(store_uri)
        for batch in batches:
            photos = zip(batch.column("content_sha256").to_pylist(), batch.column("stored").to_pylist(), strict=True)
            for content, stored in photos:
                store.put(thumbnail_key(content), encode_thumbnail(decode_photo(stored)))
            yield pa.record_batch({"written": pa.array([batch.num_rows], pa.int64())})

    return write
