"""Whether a base with its delta is what a rebuild would be: the same rows with the same attributes, found as well."""

from pathlib import Path
from typing import Any

import numpy as np

from retrieval.search.exact import exact_search
from retrieval.search.segments import Segment, open_build
from retrieval.search.view import View
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.index_delta.gate import live_rows
from tests.spark_jobs.index_delta.edited_shop import DIMENSION, Shop

K = 10


def rebuild(shop: Shop, folder: Path) -> Segment:
    vectors, items = shop.rows()
    made = assemble_build(vectors, items, model_id="m", fingerprint="f", out_folder=folder)
    return open_build(folder / made.build_id)


def rows_of(items: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """The item columns of each (product, photo)."""
    rows = items.to_pylist()
    found = {(row["product_id"], row["image_id"]): row for row in rows}
    assert len(found) == len(rows), "a row stands twice"
    return found


def assert_as_rebuilt(view: View, rebuilt: Segment, queries: int = 40) -> None:
    assert rows_of(view.items.take(live_rows(view))) == rows_of(rebuilt.items)
    drawn = np.random.default_rng(3).standard_normal((queries, DIMENSION)).astype(np.float32)
    asked = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    k = min(K, rebuilt.rows)
    kth = exact_search(rebuilt.vectors, asked, k)[0][:, -1:] - 1e-5
    of_view, of_rebuilt = view.search(asked, k)[0], rebuilt.search(asked, k)[0]
    assert abs(float(np.mean(of_view >= kth)) - float(np.mean(of_rebuilt >= kth))) <= 0.01
