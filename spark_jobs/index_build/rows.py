"""The rows of a build: their order, and digests that name their content whatever order they come in."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.items.table import ITEMS_SCHEMA

ROW_ORDER = ("product_id", "image_position", "image_id")
DIGEST_BUCKET_DIGITS = 3


def as_stored(unit_vectors: NDArray[np.floating[Any]]) -> NDArray[np.float16]:
    """Unit rows (n, d) as they are written: float16. Raises ValueError for rows that are not of unit length."""
    lengths = np.linalg.norm(unit_vectors.astype(np.float32, copy=False), axis=1)
    if len(lengths) and not np.all(np.abs(lengths - 1) < 1e-2):
        row = int(np.argmax(~(np.abs(lengths - 1) < 1e-2)))
        raise ValueError(f"row {row} has length {lengths[row]:.4f}, not 1")
    return np.ascontiguousarray(unit_vectors, dtype=np.float16)


def order_of(items: pa.Table, lists: NDArray[np.int32] | None = None) -> NDArray[np.int64]:
    """The permutation that sorts rows by coarse list (where there are lists), then product, position and photo."""
    columns = {name: items.column(name) for name in ROW_ORDER}
    keys = [(name, "ascending") for name in ROW_ORDER]
    if lists is not None:
        columns["list"] = pa.array(lists)
        keys.insert(0, ("list", "ascending"))
    return np.asarray(pc.sort_indices(pa.table(columns), sort_keys=keys), dtype=np.int64)


def row_digests(items: pa.Table, vectors: NDArray[np.float16]) -> list[str]:
    """The SHA-256 of each row's attributes and vector, in hexadecimal."""
    columns = [items.column(field.name).to_pylist() for field in ITEMS_SCHEMA]
    return [
        hashlib.sha256(json.dumps(row, ensure_ascii=False, default=_plain).encode() + vector.tobytes()).hexdigest()
        for *row, vector in zip(*columns, vectors, strict=True)
    ]


def content_digest(digests: Sequence[str]) -> str:
    """One digest of all rows, the same in any order: digests are sorted within buckets, then buckets are hashed."""
    buckets: dict[str, list[str]] = {}
    for digest in digests:
        buckets.setdefault(digest[:DIGEST_BUCKET_DIGITS], []).append(digest)
    return digest_of_buckets(
        {name: hashlib.sha256("".join(sorted(b)).encode()).hexdigest() for name, b in buckets.items()}
    )


def digest_of_buckets(buckets: dict[str, str]) -> str:
    """The last step of `content_digest`, for bucket digests that were computed elsewhere (Spark)."""
    return hashlib.sha256(json.dumps(buckets, sort_keys=True).encode()).hexdigest()


def in_sample(digests: Sequence[str], wanted: int, total: int) -> NDArray[np.bool_]:
    """Which rows train the coarse quantizer: a share chosen by digest, so by content alone."""
    limit = sample_limit(wanted, total)
    return np.array([int(digest[8:16], 16) < limit for digest in digests], dtype=bool)


def sample_limit(wanted: int, total: int) -> int:
    """A row is in the sample where digits 9 to 16 of its digest, as a number, are below this."""
    return int(min(1.0, wanted / max(total, 1)) * 2**32)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no canonical form")
