"""An IVF build through Spark: train on a sample here, give lists and fill shards on the executors, merge here."""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retrieval.store.objects import ObjectStore, open_store
from schemas.manifest import ITEMS_FILE, VECTORS_FILE
from spark_jobs.index_build.assemble import in_digest_order
from spark_jobs.index_build.coarse import assign_lists, train_centroids
from spark_jobs.index_build.merge import merge_shards
from spark_jobs.index_build.parameters import BuildParameters
from spark_jobs.index_build.rows import sample_limit
from spark_jobs.index_build.shards import CODES_FILE, LISTS_FILE, ShardRows, write_shard
from spark_jobs.index_build.source_rows import DESCRIBED, items_of, vectors_of

log = logging.getLogger("shoplens")

SHARD_ROWS = 250_000
_SHARD_FILES = (VECTORS_FILE, ITEMS_FILE, LISTS_FILE, CODES_FILE)


def fill_build(described: DataFrame, rows: int, parameters: BuildParameters, store: ObjectStore, folder: Path) -> None:
    """Write vectors, items and index of an IVF build to `folder`; shards pass through `staging/` in the store.

    The bytes do not depend on the partitions of `described` nor on the number of shards.
    """
    centroids = train_centroids(_sample(described, rows, parameters), parameters)
    listed = described.mapInArrow(_give_lists(centroids), DESCRIBED + ", list INT").persist()
    staging = f"staging/{parameters.kind}-{folder.name}"
    try:
        shard_of_list = _split_lists(listed, parameters.nlist, rows)
        numbered = listed.withColumn("shard", F.element_at(F.lit(shard_of_list.tolist()), F.col("list") + 1))
        writer = _shard_writer(store.uri, staging, parameters, centroids)
        written = numbered.groupBy("shard").applyInArrow(writer, "shard INT, rows BIGINT").collect()
        log.info("%d rows in %d shards", sum(row["rows"] for row in written), len(written))
        with tempfile.TemporaryDirectory(prefix="shoplens-shards-") as scratch:
            shards = [_fetch_shard(store, staging, row["shard"], Path(scratch)) for row in sorted(written)]
            merge_shards(shards, folder, parameters, centroids)
    finally:
        listed.unpersist()
        for key in list(store.keys(staging + "/")):
            store.delete(key)


def _sample(described: DataFrame, rows: int, parameters: BuildParameters) -> np.ndarray:
    limit = sample_limit(parameters.sample_rows, rows)
    # As `in_sample`: the second eight digits, for the first name the digest's bucket.
    drawn = F.conv(F.substring("digest", 9, 8), 16, 10).cast("long") < F.lit(limit)
    table = described.where(drawn).select("digest", "vector").toArrow()
    return in_digest_order(table.column("digest").to_pylist(), vectors_of(table.column("vector")))


def _give_lists(centroids: np.ndarray) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def give(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            lists = assign_lists(vectors_of(table.column("vector")), centroids)
            yield from table.append_column("list", pa.array(lists, pa.int32())).to_batches()

    return give


def _split_lists(listed: DataFrame, nlist: int, rows: int) -> np.ndarray:
    """The shard of each list: spans of neighbouring lists with about as many rows each."""
    sizes = np.zeros(nlist, np.int64)
    for row in listed.groupBy("list").count().collect():
        sizes[row["list"]] = row["count"]
    return ((np.cumsum(sizes) - sizes) // SHARD_ROWS).astype(int)


def _shard_writer(
    store_uri: str, staging: str, parameters: BuildParameters, centroids: np.ndarray
) -> Callable[[pa.Table], pa.Table]:
    def write(table: pa.Table) -> pa.Table:
        number = table.column("shard")[0].as_py()
        lists = table.column("list").to_numpy().astype(np.int32)
        shard = ShardRows(items_of(table), vectors_of(table.column("vector")), lists)
        store = open_store(store_uri)
        with tempfile.TemporaryDirectory(prefix="shoplens-shard-") as scratch:
            write_shard(shard, Path(scratch), parameters, centroids)
            for path in Path(scratch).iterdir():
                store.upload(path, f"{staging}/{number:05d}/{path.name}")
        return pa.table({"shard": pa.array([number], pa.int32()), "rows": pa.array([table.num_rows], pa.int64())})

    return write


def _fetch_shard(store: ObjectStore, staging: str, number: int, scratch: Path) -> Path:
    folder = scratch / f"{number:05d}"
    folder.mkdir()
    for name in _SHARD_FILES:
        if not store.download(f"{staging}/{number:05d}/{name}", folder / name) and name != CODES_FILE:
            raise FileNotFoundError(f"{staging}/{number:05d}/{name}")
    return folder
