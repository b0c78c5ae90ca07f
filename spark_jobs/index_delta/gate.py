"""The gate's questions to a base with its delta; each gives figures and, where it does not pass, failures in words."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrieval.arrays import Float32, Int64
from retrieval.search.exact import best_k, exact_search
from retrieval.search.view import View
from spark_jobs.index_build.gate import Findings
from spark_jobs.index_build.golden import GoldenQuery
from spark_jobs.index_build.queries import QUERY_COSINE
from spark_jobs.index_build.tuning import RECALL_AT
from spark_jobs.index_delta.comparison import KEY

QUERIES = 100
_SAME_SCORE = 1e-5
_SEED = 2_001


def check_view(view: View, counted: Mapping[str, int], deleted: Collection[str]) -> Findings:
    """Rows and products are those counted in the tables, none stands twice, and none is of a deleted product."""
    live = live_rows(view)
    items = keys_of(view, live)
    products = items.column("product_id").unique()
    found = {"rows": len(live), "products": len(products)}
    findings = Findings(figures=dict(found))
    for name, actual in found.items():
        if actual != counted[name]:
            findings.failures.append(f"{actual} {name} with the delta, but {counted[name]} in the source tables")
    if not len(live):
        findings.failures.append(
            "no row would be left, which is not taken for a closed shop: look at the source tables"
        )
    if twice := len(live) - items.group_by(["product_id", "image_id"]).aggregate([]).num_rows:
        findings.failures.append(f"{twice} rows stand twice")
    gone = pc.filter(products, pc.is_in(products, pa.array(list(deleted), pa.string()))).to_pylist()
    if gone:
        findings.failures.append(f"{len(gone)} deleted products would be found, such as {gone[0]}")
    return findings


def check_golden(view: View, golden: Sequence[GoldenQuery]) -> Findings:
    """The base's golden queries still answer, but those whose products the delta touches."""
    touched = touched_products(view)
    asked = [query for query in golden if not touched.intersection(query.product_ids)]
    wrong = []
    for query in asked:
        _, rows = view.living.search(query.unit_vector[np.newaxis], 1, query.kind)
        first = keys_of(view, rows[0][rows[0] >= 0]).column("product_id").to_pylist()
        if not set(first) & set(query.product_ids):
            wrong.append(f"{query.kind} {query.name}: {first[0] if first else None} came first")
    findings = Findings(figures={"golden_queries": len(asked), "golden_wrong": len(wrong)})
    if wrong:
        findings.failures.append(f"{len(wrong)} of {len(asked)} golden queries fail, such as {wrong[0]}")
    return findings


def check_recall(view: View, goal: float, queries: int = QUERIES) -> Findings:
    """Recall at 10 of base and delta together against exact search: photos from everywhere, and of the newest rows."""
    rng = np.random.default_rng(_SEED)
    everything = live_rows(view)
    slices = {"delta_photo": everything, "delta_newest": everything[everything >= view.base.rows]}
    findings = Findings()
    for name, pool in slices.items():
        if not len(pool):
            continue
        asked = _turned(view, np.sort(rng.choice(pool, min(queries, len(pool)), replace=False)), rng)
        value = recall(view, asked, min(RECALL_AT, len(everything)))
        findings.figures[f"recall_{name}"] = round(value, 4)
        if value < goal:
            findings.failures.append(f"recall@{RECALL_AT} of {name} queries is {value:.4f}, below {goal}")
    return findings


def recall(view: View, queries: Float32, k: int) -> float:
    """The share of the k best rows (by exact score, and as good ones) that a search of the view finds."""
    scores, _ = view.search(queries, k)
    kth = exact_scores(view, queries, k)[:, -1]
    return float(np.mean(scores >= kth[:, np.newaxis] - _SAME_SCORE))


def exact_scores(view: View, queries: Float32, k: int) -> Float32:
    """The k best exact scores (n, k) float32 over all live rows of base and delta."""
    live = live_rows(view)
    of_base = live[live < view.base.rows]
    scores, rows = exact_search(view.base.vectors, queries, k, None if len(of_base) == view.base.rows else of_base)
    if view.new is not None:
        new_scores, new_rows = exact_search(view.new.vectors, queries, k)
        scores, rows = best_k(np.hstack([scores, new_scores]), np.hstack([rows, new_rows + view.base.rows]), k)
    return scores


def live_rows(view: View) -> Int64:
    """The numbers of all rows that are not dead."""
    return np.arange(view.rows) if view.live_mask is None else np.flatnonzero(view.live_mask)


def keys_of(view: View, rows: Int64) -> pa.Table:
    """Product and photo of the rows (n,), sorted: no delta ever changes those of a row."""
    at = int(np.searchsorted(rows, view.base.rows))
    parts = [view.base.items.select(KEY).take(pa.array(rows[:at]))]
    if view.new is not None:
        parts.append(view.new.items.select(KEY).take(pa.array(rows[at:] - view.base.rows)))
    return pa.concat_tables(parts)


def touched_products(view: View) -> set[str]:
    """Products with a dead or a changed row of the base, or a new row."""
    if view.delta is None:
        return set()
    of_base = np.union1d(view.delta.tombstones, view.delta.changed_rows)
    rows = np.concatenate([of_base, np.arange(view.base.rows, view.rows)])
    return set(keys_of(view, rows).column("product_id").to_pylist())


def _turned(view: View, rows: Int64, rng: np.random.Generator) -> Float32:
    """Queries that stand for other photos of the same things: the rows' vectors turned away to a cosine of 0.9."""
    base = _unit(view.vectors_of(rows))
    noise = rng.standard_normal(base.shape).astype(np.float32)
    across = _unit(noise - np.sum(noise * base, axis=1, keepdims=True) * base)
    return QUERY_COSINE * base + np.float32(np.sqrt(1 - QUERY_COSINE**2)) * across


def _unit(rows: Float32) -> Float32:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
