"""Golden queries: a few questions with known answers, kept in the build and asked by the gate and by a searcher's warm-up.

`golden.json`: {"photo": [{"row", "product_id"}…], "text": [{"words", "vector", "product_ids"}…]}. A photo query is the
stored vector of its row and must give that product first. A text query's vector is base64 of little-endian float32;
its `product_ids` are those with the best exact score.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from retrieval.arrays import Float32
from retrieval.search.exact import exact_search
from retrieval.search.segments import QueryKind, Segment
from schemas.manifest import GOLDEN_FILE

PHOTO_QUERIES = 24
TEXT_QUERIES = 24
_TIE = 1e-3
_NEIGHBOURS = 10


@dataclass(frozen=True)
class GoldenQuery:
    """One question: its unit vector (dimension,) float32, and the products any of which may come first."""

    kind: QueryKind
    name: str
    unit_vector: Float32
    product_ids: tuple[str, ...]


def write_golden(segment: Segment, path: Path, words: Sequence[str], text_vectors: Float32, seed: int) -> None:
    """Choose golden queries from the build's own rows, and from `words` with their unit vectors (n, dimension).

    The segment has its tuned parameters, and a query that they miss is no golden one: recall is measured elsewhere,
    golden queries notice what broke after the build.
    """
    golden = {"photo": _photo_queries(segment, seed), "text": _text_queries(segment, words, text_vectors)}
    path.write_text(json.dumps(golden, ensure_ascii=False, sort_keys=True, indent=1))


def read_golden(folder: Path, segment: Segment) -> list[GoldenQuery]:
    """The golden queries of an open build."""
    golden = json.loads((folder / GOLDEN_FILE).read_text())
    photo = [
        GoldenQuery("photo", f"row {entry['row']}", segment.vector_of(entry["row"]), (entry["product_id"],))
        for entry in golden["photo"]
    ]
    text = [
        GoldenQuery(
            "text", entry["words"], np.frombuffer(base64.b64decode(entry["vector"]), "<f4"), tuple(entry["product_ids"])
        )
        for entry in golden["text"]
    ]
    return photo + text


def wrong_answers(segment: Segment, queries: Sequence[GoldenQuery]) -> list[str]:
    """The golden queries whose first product is none of theirs."""
    product_ids = segment.items.column("product_id")
    wrong = []
    for query in queries:
        _, rows = segment.search(query.unit_vector[np.newaxis], 1, query.kind)
        first = product_ids[int(rows[0, 0])].as_py() if rows[0, 0] >= 0 else None
        if first not in query.product_ids:
            wrong.append(f"{query.kind} {query.name}: {first} came first")
    return wrong


def _photo_queries(segment: Segment, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed + 2)
    rows = np.sort(rng.choice(segment.manifest.rows, min(4 * PHOTO_QUERIES, segment.manifest.rows), replace=False))
    chosen: list[dict[str, Any]] = []
    for row, best in zip(rows.tolist(), _best_products(segment, _vectors(segment, rows)), strict=True):
        product_id = segment.items.column("product_id")[row].as_py()
        if best == (product_id,) and len(chosen) < PHOTO_QUERIES:  # a photo that two products share proves nothing
            chosen.append({"row": row, "product_id": product_id})
    return chosen


def _text_queries(segment: Segment, words: Sequence[str], vectors: Float32) -> list[dict[str, Any]]:
    step = max(1, len(words) // TEXT_QUERIES)
    kept = list(range(0, len(words), step))[:TEXT_QUERIES]
    if not kept:
        return []
    best = _best_products(segment, vectors[kept])
    _, first_rows = segment.search(vectors[kept], 1, "text")
    first = segment.items.column("product_id").take(pa.array(np.maximum(first_rows[:, 0], 0))).to_pylist()
    return [
        {
            "words": words[number],
            "vector": base64.b64encode(vectors[number].astype("<f4").tobytes()).decode(),
            "product_ids": list(product_ids),
        }
        for number, product_ids, found in zip(kept, best, first, strict=True)
        if found in product_ids
    ]


def _vectors(segment: Segment, rows: Any) -> Float32:
    return np.stack([segment.vector_of(int(row)) for row in rows])


def _best_products(segment: Segment, unit_vectors: Float32) -> list[tuple[str, ...]]:
    """For each query the products of the best row and of those that score the same."""
    scores, rows = exact_search(segment.vectors, unit_vectors, min(_NEIGHBOURS, segment.manifest.rows))
    product_ids = segment.items.column("product_id")
    return [
        tuple(sorted({product_ids[int(row)].as_py() for row in found[line >= line[0] - _TIE]}))
        for line, found in zip(scores, rows, strict=True)
    ]
