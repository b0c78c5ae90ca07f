import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from retrieval.publishing.pointer import read_pointer
from retrieval.publishing.rollback import release, rollback
from retrieval.search.segments import Segment
from schemas.manifest import build_key, thumbnail_key
from schemas.pointer import Pointer
from schemas.tables import BUILDS, IMAGE_FETCHES, PRODUCTS
from spark_jobs import build_index, evaluate_index, publish
from spark_jobs.index_build import difference, gate
from spark_jobs.index_build.gate import Findings
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.index_build.small_rows import encode_words
from tests.spark_jobs.small_lake import DAY, TABLES, SmallLake

pytestmark = pytest.mark.full
NEXT_DAY = DAY + timedelta(days=1)


@pytest.fixture(scope="module")
def small_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    return SmallLake(Lake(spark, str(tmp_path_factory.mktemp("gate") / "lake")))


@pytest.fixture
def shop(small_lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallLake:
    for module in (build_index, evaluate_index):
        monkeypatch.setattr(module, "load_text_encoder", lambda context, pinned: encode_words)
    made = small_lake.with_store(tmp_path / "store")
    made.write_receipts()
    return made


def current(shop: SmallLake) -> Pointer:
    found = read_pointer(shop.store)
    assert found is not None
    return found[0]


def run_night(shop: SmallLake, day: datetime = DAY, **receipts: bool) -> tuple[int, int, int]:
    shop.write_receipts(day, **receipts)
    arguments = shop.arguments(day)
    return build_index.main(arguments), evaluate_index.main(arguments), publish.main(arguments)


def test_a_good_build_passes_goes_live_and_is_recorded(shop: SmallLake) -> None:
    assert run_night(shop) == (0, 0, 0)
    build_id = shop.receipt("build_index").facts["build_id"]
    evaluated = shop.receipt("evaluate_index")
    assert evaluated.facts == {"build_id": build_id, "passed": True}
    assert {"recall_photo", "recall_text", "recall_filtered", "recall_rare_categories", "recall_newest_items"} <= set(
        evaluated.figures
    )
    pointer = current(shop)
    assert (pointer.generation, pointer.live.build_id) == (1, build_id)
    assert pointer.source_versions == shop.receipt("build_index").table_versions
    recorded = shop.lake.read(BUILDS).where(f"build_id = '{build_id}'").collect()
    assert [(row["rows"], row["passed"]) for row in recorded] == [(60, True)]


def test_a_night_without_changes_moves_the_interval_and_keeps_the_build(shop: SmallLake) -> None:
    run_night(shop)
    first = current(shop)
    version = shop.lake.version(BUILDS)
    assert run_night(shop, NEXT_DAY) == (0, 0, 0)
    second = current(shop)
    assert second.live == first.live
    assert (second.generation, second.interval_end > first.interval_end) == (2, True)
    assert shop.lake.version(BUILDS) == version


def run_same_night(shop: SmallLake) -> tuple[int, int, int]:
    """The night after, which finds what the one before found."""
    shop.write_receipts(NEXT_DAY, shown_since=shop.versions[IMAGE_FETCHES.path])
    arguments = shop.arguments(NEXT_DAY, after=DAY)
    return build_index.main(arguments), evaluate_index.main(arguments), publish.main(arguments)


def test_a_build_that_stands_is_asked_again_but_its_rows_are_not_counted_again(
    shop: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_night(shop)
    asked: list[Segment] = []

    def note(segment: Segment, *more: Any) -> Findings:
        asked.append(segment)
        return gate.check_recall(segment, *more)

    monkeypatch.setattr(evaluate_index, "check_recall", note)
    monkeypatch.delattr(evaluate_index, "open_session")
    assert run_same_night(shop) == (0, 0, 0)
    assert len(asked) == 1
    first, second = (shop.receipt("evaluate_index", day) for day in (DAY, NEXT_DAY))
    assert (second.facts, second.counts, second.files) == (first.facts, first.counts, first.files)
    assert current(shop).interval_end == "20260201T020000Z"


def test_a_build_that_stands_and_fails_the_gate_now_is_not_published_and_that_is_noted(
    shop: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_night(shop)
    standing = current(shop)
    monkeypatch.setattr(gate, "recall", lambda segment, question: 0.5)
    assert run_same_night(shop) == (0, 65, 78)
    assert current(shop) == standing
    noted = shop.lake.read(BUILDS).where(f"build_id = '{standing.live.build_id}'").collect()
    assert [row["passed"] for row in noted] == [False]


def test_a_build_that_never_passed_has_its_rows_counted(shop: SmallLake) -> None:
    build_index.main(shop.arguments())
    assert run_same_night(shop) == (0, 0, 0)
    assert shop.receipt("build_index", NEXT_DAY).facts["same_as_before"] is True
    build_id = current(shop).live.build_id
    assert shop.lake.read(BUILDS).where(f"build_id = '{build_id}'").count() == 1


def test_a_backfill_of_an_old_date_never_moves_current_back(shop: SmallLake) -> None:
    run_night(shop, NEXT_DAY)
    standing = current(shop)
    assert run_night(shop, DAY) == (0, 0, 0)
    assert current(shop) == standing
    assert shop.receipt("publish").facts["moved"] is False
    assert "older" in shop.receipt("publish").facts["reason"]
    assert run_night(shop, DAY - timedelta(days=1), newest=False) == (0, 0, 0)
    assert shop.receipt("publish", DAY - timedelta(days=1)).facts == {"skipped": "an older interval"}


def test_a_build_that_fails_the_gate_is_not_published_but_its_figures_are_kept(
    shop: SmallLake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate, "recall", lambda segment, question: 0.5)
    built, evaluated, published = run_night(shop)
    assert (built, evaluated, published) == (0, 65, 78)
    build_id = shop.receipt("build_index").facts["build_id"]
    assert f"evaluate_index: build {build_id} did not pass the gate: recall@10" in capsys.readouterr().err
    kept = shop.store.get(evaluate_index.evaluation_key(build_id))
    assert kept is not None
    assert json.loads(kept.data)["passed"] is False
    assert read_pointer(shop.store) is None


def test_a_missing_tile_or_a_damaged_file_fails_the_gate(shop: SmallLake, capsys: pytest.CaptureFixture[str]) -> None:
    build_index.main(shop.arguments())
    for row in shop.rows:
        shop.store.delete(thumbnail_key(row["image_id"]))
    assert evaluate_index.main(shop.arguments()) == 65
    assert "photos have no images/" in capsys.readouterr().err
    build_id = shop.receipt("build_index").facts["build_id"]
    vectors = build_key(build_id, "vectors.f16")
    data = bytearray(shop.store.get(vectors).data)  # type: ignore[union-attr]
    data[100] ^= 1
    shop.store.put(vectors, bytes(data))
    assert evaluate_index.main(shop.arguments()) == 65
    assert "vectors.f16 is damaged" in capsys.readouterr().err


def test_changed_products_explain_changed_results_and_swapped_vectors_do_not(
    shop: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_night(shop)
    seen: list[Findings] = []

    def keep(*arguments, **named) -> Findings:  # type: ignore[no-untyped-def]
        seen.append(check(*arguments, **named))
        return seen[-1]

    check = difference.check_difference
    monkeypatch.setattr("spark_jobs.evaluate_index.check_difference", keep)
    for row in shop.rows[:20]:
        row["deleted"] = True
    shop.write(PRODUCTS)
    assert run_night(shop, NEXT_DAY) == (0, 0, 0)
    assert seen[0].figures["first_result_changed"] > 0
    assert seen[0].figures["changed_without_a_changed_row"] == 0
    assert current(shop).live.build_id == shop.receipt("build_index", NEXT_DAY).facts["build_id"]
    assert current(shop).previous is not None


def test_after_a_rollback_a_night_ends_well_and_publishes_nothing_until_release(shop: SmallLake) -> None:
    run_night(shop)
    first = current(shop).live
    shop.vectors = np.roll(shop.vectors, 2, axis=0)
    for number, row in enumerate(shop.rows):
        row["image_id"] = f"{number:04d}{row['image_id'][4:]}"
    shop.write(*TABLES)
    assert run_night(shop, NEXT_DAY) == (0, 0, 0)
    standing = rollback(shop.store, by="tests").live
    assert standing.build_id == first.build_id
    assert standing.delta_id
    third_day = NEXT_DAY + timedelta(days=1)
    assert run_night(shop, third_day) == (0, 0, 0)
    assert shop.receipt("publish", third_day).facts["held"] == "rolled back"
    assert current(shop).live == standing
    release(shop.store)
    assert publish.main(shop.arguments(third_day)) == 0
    assert current(shop).live.build_id == shop.receipt("build_index", third_day).facts["build_id"]
