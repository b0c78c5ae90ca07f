"""Thresholds of a poor match: fitted on some products, checked on others."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from retrieval.search.segments import Segment
from schemas.calibration import Calibration
from spark_jobs.index_build.calibration import calibrate
from spark_jobs.index_build.match_thresholds import part_pairs
from tests.spark_jobs.index_build.small_rows import small_rows, unit
from tests.spark_jobs.index_build.test_calibration import build, replaced

DIMENSION = 32


def pair_up(names: list[str], apart: list[float], folder: Path) -> Segment:
    """Two photos of each product, so far from one another; `names` are the products' categories."""
    rng = np.random.default_rng(1)
    first = unit(rng.standard_normal((len(names), DIMENSION)))
    second = unit(first + np.array(apart)[:, np.newaxis] * unit(rng.standard_normal(first.shape)))
    vectors = np.stack([first, second], axis=1).reshape(-1, DIMENSION)
    _, items = small_rows(len(vectors))
    return build(folder, vectors, replaced(items, "category", [name for name in names for _ in range(2)]))


def measure(segment: Segment) -> Calibration:
    return calibrate(segment, 1)


def kept_back(products: int) -> list[bool]:
    """Whether each product of `small_rows` is kept back to check on."""
    _, items = small_rows(2 * products)
    rows = np.arange(0, 2 * products, 2)
    _, checked = part_pairs(items, np.stack([rows, rows + 1], axis=1))
    return np.isin(rows, checked[:, 0]).tolist()


def test_each_category_has_its_own_threshold_where_it_has_enough_pairs(tmp_path: Path) -> None:
    """Photos of one dress are alike, those of one hat are not; there are too few bags."""
    far = {"dress": 0.1, "hat": 1.5, "bag": 0.1}
    names = ["dress"] * 80 + ["hat"] * 80 + ["bag"] * 10
    match = measure(pair_up(names, [far[name] for name in names], tmp_path)).photo_match
    assert set(match.by_category) == {"dress", "hat"}
    assert match.by_category["hat"] < 0.6 < 0.98 < match.by_category["dress"]
    assert match.by_category["hat"] < match.overall < match.by_category["dress"]


def test_as_many_unseen_pairs_are_rejected_as_of_those_that_were_fitted(tmp_path: Path) -> None:
    names = ["dress"] * 1_000 + ["hat"] * 1_000
    spread = np.random.default_rng(2).uniform(0.1, 1.0, len(names)).tolist()
    rejects = measure(pair_up(names, spread, tmp_path)).photo_match_false_rejects
    assert set(rejects.by_category) == {"dress", "hat"}
    assert [rejects.overall, *rejects.by_category.values()] == pytest.approx([0.05] * 3, abs=0.03)


def test_thresholds_are_fitted_without_the_products_that_they_are_checked_on(tmp_path: Path) -> None:
    """Photos of products that are kept back are far apart: no threshold knows, and the share says so."""
    apart = [1.5 if checked else 0.1 for checked in kept_back(400)]
    measured = measure(pair_up(["dress"] * 400, apart, tmp_path))
    assert measured.photo_match.by_category["dress"] > 0.98
    assert (measured.photo_match_false_rejects.overall, measured.photo_match_false_rejects.by_category["dress"]) == (
        1,
        1,
    )


def test_a_category_with_too_few_pairs_to_fit_on_is_checked_by_the_threshold_of_all(tmp_path: Path) -> None:
    """Only hats that are kept back are a category with enough pairs, and all of them are far apart."""
    checked = kept_back(400)
    names = ["hat" if each and number % 4 == 0 else "dress" for number, each in enumerate(checked)]
    measured = measure(pair_up(names, [2.0 if name == "hat" else 0.1 for name in names], tmp_path))
    assert set(measured.photo_match.by_category) == {"dress"}
    assert measured.photo_match_false_rejects.by_category["hat"] == 1
    assert measured.photo_match_false_rejects.by_category["dress"] < 0.2


def test_variants_of_one_design_are_never_in_both_parts() -> None:
    _, items = small_rows(400)
    items = replaced(items, "group_id", [None if row < 200 else f"design {row // 8}" for row in range(400)])
    rows = np.arange(0, 400, 2)
    fitted, checked = part_pairs(items, np.stack([rows, rows + 1], axis=1))
    groups = pa.compute.coalesce(items.column("group_id"), items.column("product_id"))
    names = [set(groups.take(pa.array(part[:, 0])).to_pylist()) for part in (fitted, checked)]
    assert not names[0] & names[1]
    assert len(fitted) + len(checked) == 200
    assert 70 < len(checked) < 130


def test_a_catalog_with_one_photo_a_product_has_no_threshold(tmp_path: Path) -> None:
    vectors, items = small_rows(100)
    one_each = replaced(items, "product_id", [f"p{row}" for row in range(100)])
    measured = measure(build(tmp_path, vectors, one_each))
    assert (measured.photo_match.overall, measured.photo_match_false_rejects.overall) == (None, None)
