"""The questions that a build is tuned and judged with, by slice; drawn from its own rows, repeatably by seed.

A photo query stands for another photo of a product in the catalog: a row's vector turned away at random to a cosine of
0.9. Text queries are titles and categories through the model's text tower.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.arrays import Float32, Int64
from retrieval.search.segments import QueryKind, Segment

QUERY_COSINE = 0.9
TAIL_SHARE = 0.1
"""Rare categories and newest items are each a tenth of the rows."""

QUERIES_PER_SLICE = 400
_FILTERED_CATEGORIES = 6
_TITLES = 150


@dataclass(frozen=True)
class QuerySlice:
    """Queries of one kind; `rows`, where given, are those that may be found (sorted)."""

    name: str
    kind: QueryKind
    unit_vectors: Float32
    rows: Int64 | None = None


def photo_slices(segment: Segment, seed: int, count: int = QUERIES_PER_SLICE) -> list[QuerySlice]:
    """Photo queries over all rows, over rare categories and over the newest items; an empty slice is left out."""
    rng = np.random.default_rng(seed)
    pools = {
        "photo": np.arange(segment.manifest.rows),
        "rare_categories": rows_of_rare_categories(segment.items),
        "newest_items": newest_rows(segment.items),
    }
    return [
        QuerySlice(name, "photo", _turned(segment.vectors, pool, count, rng))
        for name, pool in pools.items()
        if len(pool)
    ]


def filtered_slices(segment: Segment, seed: int, count: int = QUERIES_PER_SLICE) -> list[QuerySlice]:
    """Photo queries limited to one category each, asked from anywhere: most stand opposed to their filter."""
    rng = np.random.default_rng(seed + 1)
    categories = np.array(segment.items.column("category").to_pylist(), dtype=object)
    counts = Counter(name for name in categories.tolist() if name is not None)
    common = [
        name for name, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:_FILTERED_CATEGORIES]
    ]
    everywhere = np.arange(segment.manifest.rows)
    each = max(1, count // max(len(common), 1))
    return [
        QuerySlice(
            "filtered", "photo", _turned(segment.vectors, everywhere, each, rng), np.flatnonzero(categories == name)
        )
        for name in common
    ]


def text_slice(unit_vectors: Float32) -> QuerySlice:
    return QuerySlice("text", "text", unit_vectors)


def words_to_ask(items: Any, offset: int = 0) -> list[str]:
    """What shoppers may type: a spread of the titles, and every category, alone and with the colours it comes in.

    Another `offset` gives other titles.
    """
    titles = sorted({title for title in items.column("title").unique().to_pylist() if title})
    step = max(1, len(titles) // _TITLES)
    spread = titles[offset % step :: step][:_TITLES]
    pairs = items.select(["category", "colour"]).group_by(["category", "colour"]).aggregate([]).to_pylist()
    categories = sorted({pair["category"] for pair in pairs if pair["category"]})
    coloured = sorted({f"{pair['colour']} {pair['category']}" for pair in pairs if pair["colour"] and pair["category"]})
    return spread + categories[:_TITLES] + coloured[:: max(1, len(coloured) // _TITLES)][:_TITLES]


def rows_of_rare_categories(items: Any) -> Int64:
    """Rows of the smallest categories, up to a tenth of all rows; none where there is one category only."""
    categories = np.array(items.column("category").to_pylist(), dtype=object)
    counts = sorted(Counter(categories.tolist()).items(), key=lambda entry: (entry[1], str(entry[0])))
    rare: list[Int64] = []
    left = max(1, int(len(categories) * TAIL_SHARE))
    for name, size in counts[:-1]:
        if rare and size > left:
            break
        rare.append(np.flatnonzero(categories == name))
        left -= size
    return np.sort(np.concatenate(rare)) if rare else np.array([], np.int64)


def newest_rows(items: Any) -> Int64:
    """The tenth of the rows with the latest `created_at`; none where no row has one."""
    created = items.column("created_at").cast("int64").to_numpy().astype(np.float64)
    known = np.flatnonzero(~np.isnan(created))
    wanted = int(np.ceil(len(known) * TAIL_SHARE))
    return np.sort(known[np.argsort(-created[known], kind="stable")[:wanted]])


def _turned(vectors: NDArray[np.float16], pool: Int64, count: int, rng: np.random.Generator) -> Float32:
    rows = np.sort(rng.choice(pool, min(count, len(pool)), replace=False))
    base = _unit(np.asarray(vectors[rows], dtype=np.float32))
    noise = rng.standard_normal(base.shape).astype(np.float32)
    across = _unit(noise - np.sum(noise * base, axis=1, keepdims=True) * base)
    return QUERY_COSINE * base + np.float32(np.sqrt(1 - QUERY_COSINE**2)) * across


def _unit(rows: Float32) -> Float32:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
