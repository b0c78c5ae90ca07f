"""What keeps a delta from being published."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import faiss
import pytest

from retrieval.search.deltas import open_delta
from retrieval.search.segments import Segment
from retrieval.search.view import View
from spark_jobs.index_build.golden import GoldenQuery, read_golden
from spark_jobs.index_delta.assemble import assemble_delta
from spark_jobs.index_delta.gate import check_golden, check_recall, check_view, live_rows, touched_products
from tests.spark_jobs.index_delta.as_rebuilt import rebuild
from tests.spark_jobs.index_delta.edited_shop import DIMENSION, Shop

SHOP = Shop.of(10)
ViewOf = Callable[[Shop], View]


@pytest.fixture
def base(tmp_path: Path) -> Segment:
    return rebuild(SHOP, tmp_path / "base")


@pytest.fixture
def view_of(base: Segment, tmp_path: Path) -> ViewOf:
    def view(shop: Shop) -> View:
        vectors, items = shop.rows()
        made = assemble_delta(base, vectors, items, out_folder=tmp_path)
        return View.of(base, open_delta(tmp_path / made.delta_id, base.manifest))

    return view


@pytest.fixture
def edited() -> Shop:
    """The first product is deleted, one is new."""
    shop = SHOP.copy()
    shop.products["p0001"]["deleted"] = True
    shop.add_product()
    return shop


def test_rows_are_those_of_the_base_without_the_dead_and_with_the_new(view_of: ViewOf, edited: Shop) -> None:
    view = view_of(edited)
    assert len(live_rows(view)) == 20 - 2 + 2
    assert check_view(view, {"rows": 20, "products": 10}, ["p0001"]).failures == []


def test_a_row_that_the_tables_have_and_the_delta_lacks_is_noticed(view_of: ViewOf, edited: Shop) -> None:
    failures = check_view(view_of(edited), {"rows": 21, "products": 11}, []).failures
    assert failures == [
        "20 rows with the delta, but 21 in the source tables", "10 products with the delta, but 11 in the source tables",
    ]  # fmt: skip


def test_a_delta_that_leaves_no_row_is_not_taken_for_a_closed_shop(base: Segment, tmp_path: Path) -> None:
    vectors, items = SHOP.rows()
    made = assemble_delta(base, vectors[:0], items.slice(0, 0), out_folder=tmp_path)
    view = View.of(base, open_delta(tmp_path / made.delta_id, base.manifest))
    (failure,) = check_view(view, {"rows": 0, "products": 0}, []).failures
    assert "no row would be left" in failure


def test_a_live_row_of_a_deleted_product_is_noticed_where_the_numbers_add_up(view_of: ViewOf, edited: Shop) -> None:
    failures = check_view(view_of(edited), {"rows": 20, "products": 10}, ["p0001", "p0004"]).failures
    assert failures == ["1 deleted products would be found, such as p0004"]


def test_a_new_row_that_the_base_has_already_is_noticed(base: Segment, view_of: ViewOf, edited: Shop) -> None:
    view = view_of(edited)
    assert view.delta is not None
    revived = View.of(base, replace(view.delta, tombstones=view.delta.tombstones[:0]))
    assert revived.new is not None
    assert check_view(revived, {"rows": 22, "products": 11}, []).failures == []
    twice = replace(revived.new, items=base.items.slice(0, 2))
    doubled = View.of(base, replace(view.delta, segment=twice, tombstones=view.delta.tombstones[:0]))
    assert "2 rows stand twice" in check_view(doubled, {"rows": 22, "products": 10}, []).failures


def test_golden_queries_answer_but_those_whose_products_the_delta_touches(
    base: Segment, view_of: ViewOf, edited: Shop, tmp_path: Path
) -> None:
    view = view_of(edited)
    golden = read_golden(tmp_path / "base" / base.manifest.build_id, base)
    findings = check_golden(view, golden)
    assert findings.failures == []
    untouched = [query for query in golden if not touched_products(view) & set(query.product_ids)]
    assert findings.figures["golden_queries"] == len(untouched)
    assert 0 < len(untouched) < len(golden)
    astray = GoldenQuery("photo", "row 9", -untouched[0].unit_vector, untouched[0].product_ids)
    assert "1 of 1 golden queries fail, such as photo row 9" in check_golden(view, [astray]).failures[0]


def test_recall_is_asked_of_all_rows_and_of_the_newest(base: Segment, view_of: ViewOf, edited: Shop) -> None:
    view = view_of(edited)
    findings = check_recall(view, 0.99)
    assert findings.figures == {"recall_delta_photo": 1.0, "recall_delta_newest": 1.0}
    assert view.delta is not None
    assert view.delta.segment is not None
    empty = faiss.IndexScalarQuantizer(DIMENSION, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    lost = replace(view.delta.segment, index=empty)
    blind = View.of(base, replace(view.delta, segment=lost))  # new rows are there, and their index finds none of them
    assert any("recall@10 of delta_newest queries" in failure for failure in check_recall(blind, 0.99).failures)
