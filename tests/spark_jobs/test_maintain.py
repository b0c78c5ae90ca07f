"""The weekly job on a small lake whose commits are as old as the test says."""

import json
import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from retrieval.store.objects import FolderStore
from schemas.manifest import Manifest, SearchParameters, build_key
from schemas.pointer import POINTER_KEY, Pointer, Served
from schemas.receipts import Receipt
from schemas.tables import PRODUCT_MENTIONS, PRODUCTS
from spark_jobs import maintain
from spark_jobs.lake.tables import REMEMBERED_PROPERTY, Lake
from spark_jobs.maintain import needed_versions

pytestmark = pytest.mark.full

CANNOT_READ = (PySparkException, Py4JError)

NOW = datetime.now(UTC).replace(microsecond=0)
AGES_DAYS = (60, 50, 40, 20, 10, 1)
"""Of the versions of products: empty, then p0, p1 in its place, p2 beside it, p3 in their place, p4 in its place."""
BASE_VERSION = 3


@pytest.fixture(scope="module")
def tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with six versions of products; the newest has two small files."""
    folder = tmp_path_factory.mktemp("tables")
    lake = Lake(spark, str(folder))
    lake.ensure(PRODUCTS)
    modes = ("append", "overwrite", "append", "overwrite", "overwrite")
    for number, mode in enumerate(modes):
        rows = spark.createDataFrame([(f"p{number}", False)] * 8, "product_id STRING, deleted BOOLEAN")
        files = rows.repartition(2) if number == len(modes) - 1 else rows.coalesce(1)
        files.write.format("delta").mode(mode).save(lake.path(PRODUCTS))
    return folder


@pytest.fixture
def lake(spark: SparkSession, tables: Path, tmp_path: Path) -> Lake:
    shutil.copytree(tables, tmp_path / "lake")
    age_commits(tmp_path / "lake" / PRODUCTS.path, AGES_DAYS)
    return Lake(spark, str(tmp_path / "lake"))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A live build from version 3 of products, and one that nobody names any more."""
    made = FolderStore(tmp_path / "store")
    put_build(made, "live", BASE_VERSION)
    put_build(made, "gone", 1)
    made.put(POINTER_KEY, Pointer(1, "20260101T000000Z", {}, Served("live", "m")).to_json())
    for key in made.keys("builds/"):
        age_file(made.root / key, 30)
    return made


def put_build(store: FolderStore, build_id: str, products_version: int) -> None:
    manifest = Manifest(
        build_id=build_id, model_id="m", model_fingerprint="f", dimension=2, rows=0, products=0, index_kind="exact",
        factory="SQfp16", photo_search=SearchParameters(), text_search=SearchParameters(),
        source_versions={PRODUCTS.path: products_version}, interval_end="20260101T000000Z", files={},
    )  # fmt: skip
    store.put(build_key(build_id), manifest.to_json())


def age_commits(table: Path, ages_days: tuple[int, ...]) -> None:
    """Let the versions of a Delta table be so old: their commits, the files these wrote, and when they removed others."""
    for checksum in table.rglob(".*.crc"):
        checksum.unlink()
    for version, days in enumerate(ages_days):
        commit = table / f"_delta_log/{version:020d}.json"
        then_ms = int((NOW - timedelta(days=days)).timestamp() * 1000)
        commit.write_text(re.sub(r'("deletionTimestamp"):\d+', rf"\1:{then_ms}", commit.read_text()))
        for action in map(json.loads, commit.read_text().splitlines()):
            if "add" in action:
                age_file(table / action["add"]["path"], days)
        age_file(commit, days)


def age_file(path: Path, days: float) -> None:
    moment = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))


def run(lake: Lake, store: FolderStore, *arguments: str) -> Receipt:
    week = ["--interval-start", (NOW - timedelta(days=7)).isoformat(), "--interval-end", NOW.isoformat()]
    where = ["--lake", lake.root, "--store", str(store.root), "--dag", "tests"]
    assert maintain.main([*where, *week, *arguments]) == 0
    (key,) = (key for key in store.keys("runs/tests/") if key.endswith("maintain.json"))
    found = store.get(key)
    assert found is not None
    return Receipt.from_json(found.data)


def products_at(lake: Lake, version: int) -> set[str]:
    return {row["product_id"] for row in lake.read(PRODUCTS, version).collect()}


def changed_since(lake: Lake, version: int) -> set[str]:
    feed = lake.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", version + 1)
    return {row["product_id"] for row in feed.load(lake.path(PRODUCTS)).collect()}


def test_what_may_go_goes_and_what_a_base_was_built_from_can_still_be_read(lake: Lake, store: FolderStore) -> None:
    dry = run(lake, store, "--dry-run")
    assert dry.counts == {"builds": 1, "files_to_free": 1}
    assert dry.table_versions == {PRODUCTS.path: 5}
    assert len(list(store.keys("builds/"))) == 2

    done = run(lake, store)
    assert done.counts == {"builds": 1, "files_merged": 2}
    assert list(store.keys("builds/")) == [build_key("live")]
    assert products_at(lake, BASE_VERSION) == {"p1", "p2"}
    assert changed_since(lake, BASE_VERSION) == {"p1", "p2", "p3", "p4"}
    assert lake.read(PRODUCTS).count() == 8
    with pytest.raises(CANNOT_READ):
        products_at(lake, 1)

    again = run(lake, store)
    assert again.counts == {"files_merged": 0}
    assert again.table_versions == done.table_versions


def test_a_lake_may_lie_in_a_folder_of_any_name(
    spark: SparkSession, tables: Path, store: FolderStore, tmp_path: Path
) -> None:
    folder = tmp_path / "o`neil's lake"
    shutil.copytree(tables, folder)
    age_commits(folder / PRODUCTS.path, AGES_DAYS)
    lake = Lake(spark, str(folder))
    lake.ensure(PRODUCT_MENTIONS)
    spark.sql(
        f"ALTER TABLE {lake.sql_name(PRODUCTS)} UNSET TBLPROPERTIES ('{REMEMBERED_PROPERTY}')"
    )  # as an earlier release
    assert run(lake, store, "--dry-run").counts["files_to_free"] > 0
    done = run(lake, store)
    assert done.counts["files_merged"] == 2
    assert done.table_versions[PRODUCTS.path] == 8  # without, with it again, and the merged file
    assert lake.read(PRODUCTS).count() == 8


def test_what_no_base_needs_any_more_is_freed_after_seven_days(lake: Lake, store: FolderStore) -> None:
    put_build(store, "live", 5)
    run(lake, store)
    assert products_at(lake, 4) == {"p3"}, "removed a day ago"
    with pytest.raises(CANNOT_READ):
        products_at(lake, BASE_VERSION)


def test_a_damaged_base_leaves_unknown_what_is_needed(store: FolderStore) -> None:
    assert needed_versions(store) == {PRODUCTS.path: {BASE_VERSION}}
    store.put(build_key("live"), b"{")
    assert needed_versions(store) is None
    store.delete(build_key("live"))
    assert needed_versions(store) is None
