"""A few photos of many, with their bytes or vectors, read from just the files of the table that hold them.

Bytes are nearly all of `images`, as vectors are of `embeddings`, and a join reads those of every photo before it drops
the ones that nobody asked for: at a million photos of 30 KB that is 30 GB each hour, for what a few hundred new products
show. Keys are little. So the keys say which files the photos are in, and only these are read; new photos lie together in
the files of the run that fetched them.
"""

import logging
from collections.abc import Collection
from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.running.session import BROADCAST_ROWS_MAX

log = logging.getLogger("shoplens")
KEY = "content_sha256"


def take_photos(images: DataFrame, keys: DataFrame, count: int) -> DataFrame:
    """The rows of `images`, or of `embeddings`, as `Lake.read` gives them, whose key is among the `count` rows of `keys`."""
    if count > BROADCAST_ROWS_MAX:  # they are all over the table, or nearly are the table
        return images.join(keys, KEY, "left_semi")
    few = F.broadcast(keys.select(KEY))
    names = images.select(KEY, F.col("_metadata.file_name").alias("file")).join(few, KEY, "left_semi")
    files = {row["file"] for row in names.select("file").distinct().collect()}
    return only_files(images, files).join(few, KEY, "left_semi")


def only_files(table: DataFrame, names: Collection[str]) -> DataFrame:
    """The rows of a Delta table, at the version that it was read at, that lie in the files of these names.

    Delta has no public way to say so, and does not skip files by a filter on their names. Where its inside differs from
    4.0's, all rows are given: nothing is lost but time.
    """
    try:
        return _read_files(table, names)
    except (Py4JError, AttributeError, TypeError) as error:
        log.warning("all files of a table are read, since this Delta cannot be told which: %s", type(error).__name__)
        return table


def _read_files(table: DataFrame, names: Collection[str]) -> DataFrame:
    jvm: Any = table.sparkSession._jvm
    location = table._jdf.queryExecution().analyzed().collectLeaves().head().relation().location()
    snapshot, wanted = location.getSnapshot(), jvm.java.util.ArrayList()
    for file in snapshot.allFiles().collectAsList():
        if str(file.path()).rsplit("/", 1)[-1] in names:
            wanted.add(file)
    files = jvm.scala.jdk.javaapi.CollectionConverters.asScala(wanted).toSeq()
    none = getattr(jvm.scala, "None$").__getattr__("MODULE$")
    read = DataFrame(location.deltaLog().createDataFrame(snapshot, files, False, none), table.sparkSession)
    return read.select(*table.columns)
