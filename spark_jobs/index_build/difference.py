"""What shoppers would see change: first results of a new build against the live one, and whether a changed row explains it."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrieval.arrays import Float32
from retrieval.search.segments import Segment
from spark_jobs.index_build.gate import Findings
from spark_jobs.index_build.queries import photo_slices
from spark_jobs.index_build.rows import row_digests

UNEXPLAINED_MAX_SHARE = 0.01


def check_difference(segment: Segment, live: Segment, seed: int = 1) -> Findings:
    """Ask both builds the photo queries of both; the first product may differ where one of the two has a changed row.

    At most 1 % of the queries may change without. Both builds must be of one model.
    """
    queries = np.vstack([photo_slices(build, seed)[0].unit_vectors for build in (segment, live)])
    now, before = first_products(segment, queries), first_products(live, queries)
    differing = {product for pair in zip(now, before, strict=True) if pair[0] != pair[1] for product in pair}
    rows_now, rows_before = _product_digests(segment, differing), _product_digests(live, differing)
    changed_products = {product for product in differing if rows_now.get(product) != rows_before.get(product)}
    changed = unexplained = 0
    for pair in zip(now, before, strict=True):
        if pair[0] != pair[1]:
            changed += 1
            unexplained += not changed_products.intersection(pair)
    findings = Findings(
        figures={
            "compared": len(queries),
            "first_result_changed": changed,
            "changed_without_a_changed_row": unexplained,
        }
    )
    if unexplained > UNEXPLAINED_MAX_SHARE * len(queries):
        findings.failures.append(
            f"{unexplained} of {len(queries)} first results differ from live build {live.manifest.build_id} "
            f"without a changed row, more than {UNEXPLAINED_MAX_SHARE:.0%}"
        )
    return findings


def first_products(segment: Segment, unit_vectors: Float32) -> list[str]:
    """The product of the best row; of rows that score the same, the smallest id (photos are shared between products)."""
    product_ids = segment.items.column("product_id")
    scores, rows = segment.search(unit_vectors, min(10, segment.manifest.rows))
    tied = (found[(line >= line[0] - 1e-6) & (found >= 0)] for line, found in zip(scores, rows, strict=True))
    return [min((product_ids[int(row)].as_py() for row in best), default="") for best in tied]


def _product_digests(segment: Segment, products: set[str]) -> dict[str, list[str]]:
    """Each product's row digests, sorted."""
    wanted = pc.is_in(segment.items.column("product_id"), pa.array(sorted(products), pa.string()))
    rows = np.flatnonzero(wanted.to_numpy())
    items: Any = segment.items.take(pa.array(rows))
    digests: dict[str, list[str]] = {}
    for product, digest in zip(
        items.column("product_id").to_pylist(), row_digests(items, np.asarray(segment.vectors[rows])), strict=True
    ):
        digests.setdefault(product, []).append(digest)
    return {product: sorted(found) for product, found in digests.items()}
