from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.search.segments import Segment, open_build
from schemas.manifest import INDEX_FILE, ITEMS_FILE, build_key, thumbnail_key
from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCTS
from spark_jobs import build_index
from spark_jobs.index_build import distributed
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.index_build.small_rows import encode_words
from tests.spark_jobs.small_lake import DAY, FINGERPRINT, MODEL_ID, SmallLake

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def small_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    return SmallLake(Lake(spark, str(tmp_path_factory.mktemp("build") / "lake")))


@pytest.fixture
def shop(small_lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallLake:
    monkeypatch.setattr(build_index, "load_text_encoder", lambda context, pinned: encode_words)
    made = small_lake.with_store(tmp_path / "store")
    made.write_receipts()
    return made


def open_built(shop: SmallLake, tmp_path: Path) -> Segment:
    build_id = shop.receipt("build_index").facts["build_id"]
    return open_build(BUILD_FOLDERS.fetch(shop.store, build_id, tmp_path / "cache"))


def test_a_build_has_a_row_for_each_product_and_photo_and_says_where_they_came_from(
    shop: SmallLake, tmp_path: Path
) -> None:
    assert build_index.main(shop.arguments()) == 0
    segment = open_built(shop, tmp_path)
    receipt = shop.receipt("build_index")
    assert (segment.manifest.rows, segment.manifest.products) == (60, 30)
    assert segment.manifest.source_versions == receipt.table_versions
    assert segment.manifest.runtimes == ("tests-fp32",)
    assert receipt.counts["thumbnails_written"] == 60
    assert all(shop.store.size(thumbnail_key(row["image_id"])) for row in shop.rows)
    scores, rows = segment.search(shop.vectors[7:8], 1)
    assert segment.items.column("image_id")[rows[0, 0]].as_py() == shop.rows[7]["image_id"]
    assert scores[0, 0] == pytest.approx(1, abs=1e-3)


def test_deleted_products_and_unusable_photos_are_left_out_and_counted(shop: SmallLake, tmp_path: Path) -> None:
    rows = shop.rows
    rows[0]["deleted"] = rows[1]["deleted"] = True  # product 0
    rows[2]["verdict"] = rows[3]["verdict"] = "rejected"  # both photos of product 1
    rows[4]["status"] = "gave_up"  # one photo of product 2
    rows[6]["status"] = "failed"  # a link that failed tonight keeps its photo
    shop.write(PRODUCTS, IMAGES, IMAGE_FETCHES)
    shop.write_receipts()
    assert build_index.main(shop.arguments()) == 0
    segment = open_built(shop, tmp_path)
    found = {(item["product_id"], item["image_position"]) for item in segment.items.to_pylist()}
    assert found == {(row["product_id"], row["image_position"]) for row in rows[5:]}
    counts = shop.receipt("build_index").counts
    assert (counts["products_live"], counts["products_without_photo"]) == (29, 1)
    assert (counts["photos"], counts["photos_without_vector"]) == (55, 0)


def test_the_same_rows_are_not_built_again(shop: SmallLake) -> None:
    assert build_index.main(shop.arguments()) == 0
    first = shop.receipt("build_index")
    next_day = DAY.replace(day=30)
    shop.write_receipts(next_day)
    assert build_index.main(shop.arguments(next_day)) == 0
    second = shop.receipt("build_index", next_day)
    assert second.facts["build_id"] == first.facts["build_id"]
    assert (first.facts["reused"], second.facts["reused"]) == (False, True)
    assert (second.counts["thumbnails_written"], second.counts["thumbnails_kept"]) == (0, 60)


NIGHT_AFTER = DAY + timedelta(days=1)


@pytest.fixture
def built(shop: SmallLake) -> SmallLake:
    """A shop on the night after a build: links were looked at, and show what they showed."""
    assert build_index.main(shop.arguments()) == 0
    ledger = shop.versions[IMAGE_FETCHES.path]
    shop.write(IMAGE_FETCHES)
    assert shop.versions[IMAGE_FETCHES.path] > ledger
    shop.write_receipts(NIGHT_AFTER, shown_since=ledger)
    return shop


def test_a_night_that_finds_the_same_as_the_one_before_keeps_its_build_without_spark(
    built: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_spark(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(build_index, "open_session", no_spark)
    assert build_index.main(built.arguments(NIGHT_AFTER, after=DAY)) == 0
    first, second = built.receipt("build_index"), built.receipt("build_index", NIGHT_AFTER)
    assert second.facts == {**first.facts, "reused": True, "same_as_before": True}
    assert second.counts == {**first.counts, "thumbnails_written": 0, "thumbnails_kept": 60}
    assert second.table_versions == built.versions


@pytest.mark.parametrize("lost", ["thumbnail", "index", "items"])
def test_what_is_lost_of_a_build_that_would_be_kept_is_looked_for_and_made_again(built: SmallLake, lost: str) -> None:
    build_id = built.receipt("build_index").facts["build_id"]
    name = {"thumbnail": thumbnail_key(built.rows[7]["image_id"]), "index": build_key(build_id, INDEX_FILE)}.get(lost)
    if name:
        built.store.delete(name)
    else:  # a flipped bit in what says which photos there are: the gate will say so
        path = built.store.root / build_key(build_id, ITEMS_FILE)
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert build_index.main(built.arguments(NIGHT_AFTER, after=DAY)) == 0
    second = built.receipt("build_index", NIGHT_AFTER)
    assert (second.facts["same_as_before"], second.facts["build_id"]) == (False, build_id)
    assert second.counts["thumbnails_written"] == (1 if lost == "thumbnail" else 0)
    if name:
        assert built.store.size(name)


@pytest.mark.parametrize("more", [("--recall-goal", "0.9"), ("--kind", "ivf_fp16", "--nlist", "2"), ("--seed", "2")])
def test_other_parameters_make_another_build_of_the_same_rows(built: SmallLake, more: tuple[str, ...]) -> None:
    assert build_index.main(built.arguments(NIGHT_AFTER, *more, after=DAY)) == 0
    second = built.receipt("build_index", NIGHT_AFTER)
    assert second.facts["same_as_before"] is False
    assert second.facts["build_id"] != built.receipt("build_index").facts["build_id"]


def test_a_night_whose_links_show_other_photos_builds_anew(built: SmallLake) -> None:
    built.rows[0]["status"] = "gave_up"
    built.write(IMAGE_FETCHES)
    built.write_receipts(NIGHT_AFTER, shown_since=built.versions[IMAGE_FETCHES.path])
    assert build_index.main(built.arguments(NIGHT_AFTER, after=DAY)) == 0
    second = built.receipt("build_index", NIGHT_AFTER)
    assert (second.facts["same_as_before"], second.counts["rows"]) == (False, 59)


@pytest.mark.parametrize("kind", ["exact", "ivf_fp16", "ivf_rabitq"])
def test_spark_and_memory_make_the_same_bytes(
    shop: SmallLake, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "SHARD_ROWS", 25)
    assert build_index.main(shop.arguments(DAY, "--kind", kind, "--nlist", "4")) == 0
    through_spark = open_built(shop, tmp_path).manifest
    in_memory = assemble_build(
        shop.vectors[::-1], pa.Table.from_pylist(shop.rows[::-1]), model_id=MODEL_ID, fingerprint=FINGERPRINT,
        out_folder=tmp_path / "memory", kind=kind, nlist=4, encode_texts=encode_words,
        source_versions=through_spark.source_versions, interval_end=through_spark.interval_end,
        runtimes=through_spark.runtimes,
    )  # fmt: skip
    assert through_spark == in_memory
    assert list(shop.store.keys("staging/")) == []


def test_an_older_interval_lands_its_rows_and_stops(shop: SmallLake) -> None:
    shop.write_receipts(newest=False)
    assert build_index.main(shop.arguments()) == 0
    assert shop.receipt("build_index").facts == {"skipped": "an older interval"}
    assert list(shop.store.keys("builds/")) == []
    assert build_index.main(shop.arguments(DAY, "--build-old")) == 0
    assert "build_id" in shop.receipt("build_index").facts


def test_a_catalog_without_a_usable_photo_is_bad_data_in_one_line(
    shop: SmallLake, capsys: pytest.CaptureFixture[str]
) -> None:
    for row in shop.rows:
        row["verdict"] = "rejected"
    shop.write(IMAGES)
    shop.write_receipts()
    assert build_index.main(shop.arguments()) == 65
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("build_index: there is nothing to index")
    assert list(shop.store.keys("builds/")) == []
