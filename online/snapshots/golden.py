"""A build's golden queries, asked before it serves: they warm the snapshot, and a build that fails them is refused.

`golden.json`: {"photo": [{"row", "product_id"}…], "text": [{"words", "vector", "product_ids"}…]}; a vector is base64 of
little-endian float32. A photo query is the stored vector of its row.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from online.snapshots.catalog import Catalog
from retrieval.arrays import Float32
from retrieval.encoders.contract import Encoder
from retrieval.search.segments import QueryKind
from retrieval.search.view import View
from schemas.errors import Corrupt, EncoderMismatch, ModelUnavailable
from schemas.manifest import GOLDEN_FILE, Manifest

WRONG_SHARE_MAX = 0.1
COSINE_MIN = 0.98
"""What a text vector of this encoder must share with the build's own; int8 towers reach 0.99, another model does not."""


@dataclass(frozen=True)
class GoldenQueries:
    """What a build asks of whoever serves it; nothing where it has no golden queries."""

    photo: Sequence[dict[str, Any]] = ()
    text: Sequence[dict[str, Any]] = ()

    @classmethod
    def read(cls, folder: Path, manifest: Manifest) -> "GoldenQueries":
        if GOLDEN_FILE not in manifest.files:
            return cls()
        golden = json.loads((folder / GOLDEN_FILE).read_text(encoding="utf-8"))
        return cls(golden["photo"], golden["text"])


def ask_golden_queries(golden: GoldenQueries, view: View, catalog: Catalog) -> int:
    """Returns how many were asked. Raises Corrupt where too many answers are wrong.

    A delta may change an answer: by a new row that is nearer, and by the death of one that was expected.
    """
    wrong = []
    for entry in golden.photo:
        if _is_live(view, entry["row"]):
            first = _first_row(view, view.vector_of(entry["row"]), "photo")
            if not _is_right(view, catalog, first, [entry["product_id"]]):
                wrong.append(f"row {entry['row']}")
    for entry in golden.text:
        expected = [row for product_id in entry["product_ids"] for row in catalog.base.rows_of(product_id).tolist()]
        if all(_is_live(view, row) for row in expected):
            first = _first_row(view, _decode(entry["vector"]), "text")
            if not _is_right(view, catalog, first, entry["product_ids"]):
                wrong.append(repr(entry["words"]))
    asked = len(golden.photo) + len(golden.text)
    if len(wrong) > WRONG_SHARE_MAX * asked:
        name = view.manifest.build_id if view.delta is None else view.delta.manifest.delta_id
        raise Corrupt(name, f"{asked} golden answers", f"{len(wrong)} wrong, such as {wrong[0]}")
    return asked


def check_text_vectors(encoder: Encoder, text: Sequence[dict[str, Any]]) -> None:
    """Raises EncoderMismatch where the encoder's vectors of the golden words are not the build's."""
    if not text:
        return
    try:
        ours = encoder.encode_texts([entry["words"] for entry in text])
    except ModelUnavailable:
        return
    theirs = np.stack([_decode(entry["vector"]) for entry in text])
    cosines = np.sum(ours * theirs, axis=1)
    if float(cosines.min()) < COSINE_MIN:
        words = text[int(cosines.argmin())]["words"]
        raise EncoderMismatch(
            f"model {encoder.model_id} reads {words!r} with cosine {cosines.min():.3f} to the build's own vector: "
            "the text tower in the store is not the one that built this index; publish a build made with it"
        )


def _is_live(view: View, row: int) -> bool:
    return view.live_mask is None or bool(view.live_mask[row])


def _is_right(view: View, catalog: Catalog, row: int, product_ids: Sequence[str]) -> bool:
    if row < 0:
        return False
    return row >= view.base.rows or catalog.tiles(np.array([row]))[0]["product_id"] in product_ids


def _first_row(view: View, unit_vector: Float32, kind: QueryKind) -> int:
    _, rows = view.search(unit_vector[np.newaxis], 1, kind)
    return int(rows[0, 0])


def _decode(vector: str) -> Float32:
    return np.frombuffer(base64.b64decode(vector), "<f4")
