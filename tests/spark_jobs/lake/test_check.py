import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retrieval.diagnosis.findings import State, exit_code_of
from retrieval.store.objects import FolderStore
from schemas.manifest import Manifest, SearchParameters, build_key
from schemas.pointer import POINTER_KEY, Pointer, Served
from schemas.tables import LAKE_VERSION, PRODUCTS
from spark_jobs.lake.check import Published, check_lake, check_table, check_writes
from spark_jobs.lake.tables import Lake

pytestmark = pytest.mark.full

NOTHING = Published({}, {})


@pytest.fixture(scope="module")
def tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Products in two versions with rows: 1, and 2 in its place."""
    folder = tmp_path_factory.mktemp("tables")
    lake = Lake(spark, str(folder))
    lake.ensure(PRODUCTS)
    for number in (1, 2):
        rows = spark.createDataFrame([(f"p{number}", False)], "product_id STRING, deleted BOOLEAN").coalesce(1)
        rows.write.format("delta").mode("overwrite").save(lake.path(PRODUCTS))
    return folder


@pytest.fixture
def lake(spark: SparkSession, tables: Path, tmp_path: Path) -> Lake:
    shutil.copytree(tables, tmp_path / "lake")
    return Lake(spark, str(tmp_path / "lake"))


def alter(lake: Lake, setting: str) -> None:
    lake.spark.sql(f"ALTER TABLE delta.`{lake.path(PRODUCTS)}` SET TBLPROPERTIES ({setting})")


def look(lake: Lake, published: Published = NOTHING) -> tuple[State, str]:
    finding = check_table(lake, PRODUCTS, published)
    return finding.state, finding.says


def test_a_lake_is_compared_with_what_is_published(lake: Lake, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    store.put(POINTER_KEY, Pointer(1, "20260101T000000Z", {PRODUCTS.path: 3}, Served("b", "m")).to_json())
    manifest = Manifest(
        build_id="b", model_id="m", model_fingerprint="f", dimension=2, rows=0, products=0, index_kind="exact",
        factory="", photo_search=SearchParameters(), text_search=SearchParameters(),
        source_versions={PRODUCTS.path: 1}, interval_end="20260101T000000Z", files={},
    )  # fmt: skip
    store.put(build_key("b"), manifest.to_json())
    findings = list(check_lake(lake.root, store))
    assert [(finding.check, finding.state) for finding in findings] == [
        ("lake", State.OK), ("lake: products", State.WRONG),
    ]  # fmt: skip
    assert "version 2, but CURRENT covers 3" in findings[1].says
    assert exit_code_of(findings) == 78


def test_a_lake_made_anew_is_told_by_its_id_whatever_its_version(lake: Lake) -> None:
    assert look(lake, Published({PRODUCTS.path: 1}, {}, lake.lake_id()))[0] is State.OK
    state, says = look(lake, Published({PRODUCTS.path: 1}, {}, "the lake before"))
    assert (state, "this is another lake, or it was made anew" in says) == (State.WRONG, True)


def test_a_lake_that_takes_no_writes_is_wrong_and_nothing_is_left_of_trying(lake: Lake) -> None:
    assert check_writes(lake).state is State.OK
    assert [path.name for path in Path(lake.root).iterdir()] == [PRODUCTS.path]
    (Path(lake.root) / "_doctor" / "in the way").mkdir(parents=True)
    found = check_writes(lake)
    assert (found.state, "cannot be written" in found.says, "\n" in found.says) == (State.WRONG, True, False)


def test_a_lake_on_a_full_disk_is_wrong(lake: Lake) -> None:
    found = check_writes(Lake(lake.spark, "file:///dev/full"))
    assert found.state is State.WRONG


def test_an_empty_folder_has_no_products_yet(spark: SparkSession, tmp_path: Path) -> None:
    (finding,) = check_lake(str(tmp_path / "lake"), FolderStore(tmp_path / "store"))
    assert (finding.state, "has no products yet" in finding.says) == (State.WARNING, True)
    assert not (tmp_path / "lake").exists()


def test_a_readable_table_with_its_feed_is_ok(lake: Lake) -> None:
    assert look(lake) == (State.OK, "version 2, readable, change feed on")
    assert look(lake, Published({PRODUCTS.path: 2}, {PRODUCTS.path: 1}))[0] is State.OK


def test_changes_that_are_gone_are_a_warning(lake: Lake) -> None:
    data_files(lake)[0].unlink()
    assert look(lake, Published({}, {PRODUCTS.path: 1})) == (
        State.WARNING, "version 2, its changes since 1, of which the live build is, are gone",
    )  # fmt: skip


def test_a_feed_that_is_off_is_a_warning(lake: Lake) -> None:
    alter(lake, "'delta.enableChangeDataFeed' = 'false'")
    assert look(lake)[0] is State.WARNING


def test_a_table_of_a_later_release_is_wrong(lake: Lake) -> None:
    alter(lake, f"'shoplens.schema' = '{LAKE_VERSION + 1}'")
    state, says = look(lake)
    assert (state, "upgrade ShopLens" in says) == (State.WRONG, True)


def test_a_table_that_lost_a_file_is_wrong(lake: Lake) -> None:
    data_files(lake)[1].unlink()
    state, says = look(lake)
    assert (state, "cannot be read" in says, "\n" in says) == (State.WRONG, True, False), says


def data_files(lake: Lake) -> list[Path]:
    """The oldest first."""
    return sorted(Path(lake.path(PRODUCTS)).glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
