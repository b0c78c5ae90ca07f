"""An hour's delta through Spark: what the feeds narrow, what is compared, judged and published."""

import shutil
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pyspark.sql import SparkSession

from retrieval.publishing.rollback import rollback
from retrieval.store.objects import FolderStore
from schemas.errors import BadData, GateFailed
from schemas.manifest import thumbnail_key
from spark_jobs import build_delta, evaluate_delta, publish_deltas
from spark_jobs import publish as publish_base_job
from spark_jobs.index_build.gate import Findings
from spark_jobs.index_delta import make, verdict
from spark_jobs.index_delta.current_rows import read_new_vectors
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.index_delta.as_rebuilt import assert_as_rebuilt, rebuild
from tests.spark_jobs.index_delta.edited_shop import Shop, edit_at_random
from tests.spark_jobs.shop_lake import HOUR, ShopLake

pytestmark = pytest.mark.full

SHOP = Shop.of(10)
HOURS = [HOUR + timedelta(hours=number) for number in range(8)]


@pytest.fixture(scope="module")
def template(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> ShopLake:
    """The shop's tables with a published base, made once: tests take copies."""
    folder = tmp_path_factory.mktemp("shop")
    made = ShopLake(Lake(spark, str(folder / "lake")), FolderStore(folder / "store"))
    made.write(SHOP)
    made.publish_base(SHOP, folder / "made")
    return made


@pytest.fixture
def shop_lake(template: ShopLake, tmp_path: Path) -> ShopLake:
    return template.copy(tmp_path)


def run_hour(shop_lake: ShopLake, number: int) -> list[int]:
    hour = HOURS[number]
    shop_lake.write_receipts(hour)
    return [job.main(shop_lake.arguments(hour)) for job in (build_delta, evaluate_delta, publish_deltas)]


def test_random_histories_of_hours_end_as_a_rebuild(shop_lake: ShopLake, tmp_path: Path) -> None:
    shop, base = SHOP, shop_lake.pointer().live.build_id
    for number, edits in enumerate(((1, 2), (3,))):
        for seed in edits:  # two commits in the first hour: what was changed twice is in the feed twice
            shop = edit_at_random(shop, seed, 8)
            shop_lake.write(shop)
        assert run_hour(shop_lake, number) == [0, 0, 0]
        pointer = shop_lake.pointer()
        assert (pointer.live.build_id, pointer.generation) == (base, number + 2)
        assert pointer.source_versions == shop_lake.versions
        assert_as_rebuilt(shop_lake.view(pointer.live, tmp_path / "searcher"), rebuild(shop, tmp_path / str(number)))
        built = shop_lake.receipt("build_delta", HOURS[number])
        assert built.facts["compared"] == "what the change feeds name"
        assert 0 < built.counts["products_compared"] < len(shop.products)
    assert built.facts["wants_rebuild"] is True
    new = shop_lake.view(pointer.live, tmp_path / "searcher").new
    assert new is not None
    assert all(shop_lake.store.size(thumbnail_key(photo)) for photo in new.items.column("image_id").to_pylist())


def test_photos_that_change_where_no_product_does_are_noticed(shop_lake: ShopLake, tmp_path: Path) -> None:
    edited = SHOP.copy()
    for seed, kind in ((1, "replace_photo"), (3, "give_up"), (9, "reject")):
        edited.edit(kind, Random(seed))
    shop_lake.write(edited)
    assert run_hour(shop_lake, 0) == [0, 0, 0]
    assert shop_lake.receipt("build_delta").counts["products_compared"] == 3
    view = shop_lake.view(shop_lake.pointer().live, tmp_path / "searcher")
    assert_as_rebuilt(view, rebuild(edited, tmp_path / "rebuilt"))


def test_a_price_needs_no_vector_and_an_hour_without_changes_no_spark(
    shop_lake: ShopLake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    edited = SHOP.copy()
    edited.edit("price", Random(7))
    edited.edit("stock", Random(8))
    shop_lake.write(edited)
    asked: list[int] = []

    def read(new, *arguments):  # type: ignore[no-untyped-def]
        asked.append(new.num_rows)
        return read_new_vectors(new, *arguments)

    monkeypatch.setattr(make, "read_new_vectors", read)
    assert run_hour(shop_lake, 0) == [0, 0, 0]
    assert asked == [0]
    assert shop_lake.receipt("build_delta").counts["changed"] == 4
    standing = shop_lake.pointer().live
    assert_as_rebuilt(shop_lake.view(standing, tmp_path / "searcher"), rebuild(edited, tmp_path / "rebuilt"))

    monkeypatch.setattr(make, "open_session", lambda *_, **__: pytest.fail("Spark was asked"))
    assert run_hour(shop_lake, 1) == [0, 0, 0]
    assert shop_lake.pointer().live == standing
    built = shop_lake.receipt("build_delta", HOURS[1])
    assert (built.facts["unchanged"], built.facts["deltas"]) == (True, {standing.build_id: standing.delta_id})


def test_where_the_feed_has_a_hole_all_products_are_compared(
    shop_lake: ShopLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = edit_at_random(SHOP, 4, 8)
    shop_lake.write(edited)
    for path in Path(shop_lake.lake.root, "products", "_change_data").glob("*.parquet"):
        path.unlink()  # as VACUUM does
    monkeypatch.setattr("spark_jobs.index_delta.current_rows.PART_PRODUCTS", 4)  # in several parts
    assert run_hour(shop_lake, 0) == [0, 0, 0]
    built = shop_lake.receipt("build_delta")
    assert (built.facts["compared"], "products_compared" in built.counts) == ("all products", False)
    view = shop_lake.view(shop_lake.pointer().live, tmp_path / "searcher")
    assert_as_rebuilt(view, rebuild(edited, tmp_path / "rebuilt"))


def test_every_base_that_current_names_gets_a_delta_at_the_same_versions(shop_lake: ShopLake, tmp_path: Path) -> None:
    first = shop_lake.pointer().live.build_id
    edited = edit_at_random(SHOP, 5, 8)
    shop_lake.write(edited)
    second = shop_lake.publish_base(edited, tmp_path / "made", "20260131T023000Z")
    later = edited.copy()
    later.edit("delete", Random(3))
    shop_lake.write(later)
    assert run_hour(shop_lake, 0) == [0, 0, 0]
    pointer = shop_lake.pointer()
    assert pointer.previous is not None
    assert (pointer.live.build_id, pointer.previous.build_id) == (second, first)
    rebuilt = rebuild(later, tmp_path / "rebuilt")
    for served in (pointer.live, pointer.previous):
        assert_as_rebuilt(shop_lake.view(served, tmp_path / "searcher"), rebuilt)


def test_a_delta_that_fails_for_the_way_back_keeps_no_news_from_the_live_base(
    shop_lake: ShopLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shop_lake.pointer().live.build_id
    edited = edit_at_random(SHOP, 5, 8)
    shop_lake.write(edited)
    shop_lake.publish_base(edited, tmp_path / "made", "20260131T023000Z")
    before = shop_lake.pointer()
    edited.edit("delete", Random(3))
    shop_lake.write(edited)
    judge = verdict.evaluate_delta

    def fail_the_first(maker: make.DeltaMaker, build_id: str, delta_id: str, **options: Any) -> Findings:
        if build_id == first:
            raise GateFailed(build_id, ["its rows are damaged"])
        return judge(maker, build_id, delta_id, **options)

    monkeypatch.setattr(evaluate_delta, "evaluate_delta", fail_the_first)
    assert run_hour(shop_lake, 0) == [0, 0, 0]
    pointer = shop_lake.pointer()
    assert_as_rebuilt(shop_lake.view(pointer.live, tmp_path / "searcher"), rebuild(edited, tmp_path / "rebuilt"))
    assert pointer.previous == before.previous
    with pytest.raises(BadData, match="does not show what was deleted since"):
        rollback(shop_lake.store, by="ann")


def test_a_base_built_before_the_hour_goes_live_caught_up_and_the_way_back_stays_open(
    shop_lake: ShopLake, tmp_path: Path
) -> None:
    night = HOUR - timedelta(minutes=30)
    edited = edit_at_random(SHOP, 6, 8)
    shop_lake.write(edited)
    built = shop_lake.build_base(edited, tmp_path / "made", "20260131T023000Z")
    shop_lake.build_passed(built, night)
    later = edited.copy()
    for seed in (3, 4):
        later.edit("delete", Random(seed))
    shop_lake.write(later)
    assert run_hour(shop_lake, 0) == [0, 0, 0]
    covered = shop_lake.pointer()
    assert publish_base_job.main(shop_lake.arguments(night)) == 0
    pointer, rebuilt = shop_lake.pointer(), rebuild(later, tmp_path / "rebuilt")
    assert (pointer.live.build_id, pointer.interval_end) == (built, covered.interval_end)
    assert pointer.source_versions == covered.source_versions
    assert_as_rebuilt(shop_lake.view(pointer.live, tmp_path / "searcher"), rebuilt)
    back = rollback(shop_lake.store, by="ann")
    assert back.live.build_id == covered.live.build_id
    assert_as_rebuilt(shop_lake.view(back.live, tmp_path / "searcher"), rebuilt)


def test_a_delta_with_a_row_too_few_does_not_pass_the_gate(
    shop_lake: ShopLake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edited = SHOP.copy()
    edited.edit("add", Random(1))
    edited.edit("delete", Random(1))
    shop_lake.write(edited)
    monkeypatch.setattr(make, "changed_products", lambda *_: set())
    standing = shop_lake.pointer()
    assert run_hour(shop_lake, 0)[:2] == [0, 65]
    assert "deleted products would be found" in capsys.readouterr().err
    assert shop_lake.pointer() == standing


def test_a_lake_made_anew_that_has_more_versions_is_refused_and_no_price_is_taken_for_unchanged(
    spark: SparkSession, shop_lake: ShopLake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_hour(shop_lake, 0) == [0, 0, 0]
    standing = shop_lake.pointer()
    shutil.rmtree(shop_lake.lake.root)
    anew, dearer = ShopLake(Lake(spark, shop_lake.lake.root), shop_lake.store), SHOP.copy()
    dearer.products["p0001"]["price"] += 100  # in the new lake's first version, of which the base's feed knows nothing
    anew.write(dearer)
    for seed in range(3):
        dearer.edit("stock", Random(seed))
        anew.write(dearer)
    anew.write_receipts(HOURS[1])
    assert build_delta.main(anew.arguments(HOURS[1])) == 78
    assert "is not the lake that CURRENT covers" in capsys.readouterr().err
    assert anew.pointer() == standing


def test_before_the_first_publish_the_hour_says_what_comes_first(spark: SparkSession, tmp_path: Path) -> None:
    empty = ShopLake(Lake(spark, str(tmp_path / "lake")), FolderStore(tmp_path / "empty"))
    empty.write_receipts()
    jobs = (build_delta, evaluate_delta, publish_deltas)
    assert [job.main(empty.arguments()) for job in jobs] == [0, 0, 0]
    assert {empty.receipt(job.JOB).facts["skipped"] for job in jobs} == {build_delta.NOTHING_PUBLISHED}
