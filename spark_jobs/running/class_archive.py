"""An archive of the classes that a local job loads, so that its JVM maps them instead of reading 300 JARs anew.

    python -m spark_jobs.running.class_archive

Made once, after the JARs, by a small session that does what jobs do. A JVM that finds the archive made by another Java
or for other JARs does without it. Source: "Application Class-Data Sharing", JDK 17 tool guide, section 4.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from spark_jobs.running.jars import jar_folder

_RECORDING = "SHOPLENS_RECORD_CLASSES"
# Whatever the JVM has to say of an archive that does not fit is of no use to someone who waits for a job.
_QUIET = "-Xshare:auto -Xlog:disable -Xlog:all=error:stderr"


def archive_path() -> Path:
    return jar_folder() / "local" / "classes.jsa"


def archive_options() -> str:
    """JVM options for a driver that uses the archive, or records it; nothing where there is none."""
    if recorded := os.environ.get(_RECORDING):
        return f"-XX:ArchiveClassesAtExit={recorded} {_QUIET}"
    return f"-XX:SharedArchiveFile={archive_path()} {_QUIET}" if archive_path().exists() else ""


def record_archive() -> str | None:
    """Make the archive anew. Returns why this Java made none, which costs every job some seconds and nothing else."""
    archive_path().unlink(missing_ok=True)  # one of another Java must not pass for this one's
    with tempfile.TemporaryDirectory(dir=jar_folder() / "local") as scratch:
        recorded = Path(scratch) / "classes.jsa"
        environment = {name: value for name, value in os.environ.items() if name != "SPARK_CONF_DIR"}
        done = subprocess.run(
            [sys.executable, "-m", "spark_jobs.running.class_archive", "--exercise", scratch],
            env={**environment, _RECORDING: str(recorded)}, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if not recorded.exists():
            return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        recorded.replace(archive_path())
    return None


def _exercise(scratch: str) -> None:
    """What jobs do with Spark and Delta, on two rows: read files, join, merge, write, call Python."""
    from delta.tables import DeltaTable
    from pyspark.sql import functions as F

    from spark_jobs.running.session import open_session

    spark = open_session("class archive")
    rows = spark.createDataFrame([("a", 1, ["x"]), ("b", 2, ["y", "z"])], "id string, number int, links array<string>")
    table, plain = f"{scratch}/table", f"{scratch}/plain"
    made = DeltaTable.createIfNotExists(spark).location(table).addColumns(rows.schema)
    made.property("delta.enableChangeDataFeed", "true").property("delta.enableDeletionVectors", "true").execute()
    DeltaTable.isDeltaTable(spark, table)
    for _ in range(2):
        changed = rows.withColumn("number", F.col("number") + 1).localCheckpoint()
        DeltaTable.forPath(spark, table).alias("held").merge(
            changed.alias("new"), "held.id = new.id"
        ).whenMatchedUpdate("new.number > 2", set={"number": "new.number"}).whenNotMatchedInsertAll().execute()
    rows.write.format("delta").mode("append").save(table)
    held = spark.read.format("delta").option("versionAsOf", 1).load(table)
    spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1).load(table).collect()
    links = held.select("id", F.posexplode("links").alias("position", "link")).withColumn("key", F.sha2("link", 256))
    first = links.groupBy("id").agg(F.min(F.struct("position", "link")).alias("first"), F.countDistinct("link"))
    joined = held.join(first, "id", "left").join(F.broadcast(rows.select("id")), "id", "full").persist()
    joined.where(F.col("number").isNotNull()).dropDuplicates(["id"]).count()
    joined.select("id", "number").mapInArrow(lambda batches: batches, "id string, number int").collect()
    joined.select("id", "number").repartition(2, "id").sortWithinPartitions("id").write.parquet(plain)
    spark.read.parquet(plain).toArrow()
    held.select("id", "number").write.option("header", True).csv(f"{scratch}/csv")
    spark.read.option("header", True).csv(f"{scratch}/csv").unionByName(
        held.select("id", "number")
    ).distinct().collect()
    held.write.json(f"{scratch}/json")
    spark.read.text(f"{scratch}/json").select(F.from_json("value", "id string, number int")).collect()
    joined.unpersist()
    spark.stop()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exercise", metavar="FOLDER", help="only do what is recorded, in a scratch folder")
    if folder := parser.parse_args(argv).exercise:
        _exercise(folder)
    elif why := record_archive():
        print(f"class_archive: this Java made no archive of classes, so jobs start more slowly: {why}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
