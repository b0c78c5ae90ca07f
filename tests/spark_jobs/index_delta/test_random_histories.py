"""Whatever happens to a shop in an hour, its base with a delta is what a rebuild would be."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.search.deltas import open_delta
from retrieval.search.segments import Segment
from retrieval.search.view import View
from spark_jobs.index_delta.assemble import assemble_delta
from spark_jobs.index_delta.comparison import combine, compare_items
from spark_jobs.index_delta.gate import check_recall, check_view, touched_products
from tests.spark_jobs.index_delta.as_rebuilt import assert_as_rebuilt, rebuild
from tests.spark_jobs.index_delta.edited_shop import EDITS, Shop, edit_at_random

SHOP = Shop.of(12)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Segment:
    return rebuild(SHOP, tmp_path_factory.mktemp("base"))


def view_of(base: Segment, shop: Shop, folder: Path) -> View:
    vectors, items = shop.rows()
    made = assemble_delta(base, vectors, items, out_folder=folder)
    return View.of(base, open_delta(folder / made.delta_id, base.manifest))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), edits=st.integers(1, 30))
def test_a_random_history_ends_as_a_rebuild(base: Segment, seed: int, edits: int) -> None:
    edited = edit_at_random(SHOP, seed, edits)
    with tempfile.TemporaryDirectory() as scratch:
        view = view_of(base, edited, Path(scratch))
        rebuilt = rebuild(edited, Path(scratch) / "rebuilt")
        assert_as_rebuilt(view, rebuilt)
        deleted = [product_id for product_id, product in edited.products.items() if product["deleted"]]
        counted = {"rows": rebuilt.rows, "products": rebuilt.manifest.products}
        findings = check_view(view, counted, deleted)
        findings.add(check_recall(view, 0.99, queries=10))
        assert findings.failures == []


@pytest.mark.parametrize("kind", EDITS)
def test_each_kind_of_edit_ends_as_a_rebuild(base: Segment, tmp_path: Path, kind: str) -> None:
    edited = SHOP.copy()
    edited.edit(kind, random.Random(7))
    assert_as_rebuilt(view_of(base, edited, tmp_path), rebuild(edited, tmp_path / "rebuilt"))


def test_what_was_edited_and_edited_back_is_no_difference(base: Segment, tmp_path: Path) -> None:
    edited = SHOP.copy()
    for kind in ("delete", "add_again", "stock", "stock"):
        edited.edit(kind, random.Random(7))
    assert edited == SHOP
    assert touched_products(view_of(base, edited, tmp_path)) == set()


def test_a_price_alone_brings_no_new_row(base: Segment, tmp_path: Path) -> None:
    edited = SHOP.copy()
    edited.edit("price", random.Random(7))
    view = view_of(base, edited, tmp_path)
    assert (view.new, len(view.living.vectors)) == (None, base.rows)
    assert len(touched_products(view)) == 1


def test_parts_compared_one_by_one_are_the_whole_comparison(base: Segment) -> None:
    _, now = edit_at_random(SHOP, 5, 20).rows()
    whole = compare_items(base.items, now)
    everyone = sorted({*base.items.column("product_id").to_pylist(), *now.column("product_id").to_pylist()})
    parts = []
    for ids in (everyone[::2], everyone[1::2]):
        of_part = now.filter([product_id in ids for product_id in now.column("product_id").to_pylist()])
        parts.append(compare_items(base.items, of_part, ids))
    found = combine(parts)
    assert (found.dead.tolist(), found.changed.tolist()) == (whole.dead.tolist(), whole.changed.tolist())
    assert found.changes.equals(whole.changes)
    assert sorted(found.new.to_pylist(), key=str) == sorted(whole.new.to_pylist(), key=str)
