"""A build's golden queries, asked before it serves: they warm the snapshot, and a build that fails them is refused.

`golden.json`: {"photo": [{"row", "product_id"}…], "text": [{"words", "vector", "product_ids"}…]}; a vector is base64 of
little-endian float32. A photo query is the stored vector of its row.
"""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.encoder import Encoder
from retrieval.segments import QueryKind, Segment
from schemas.errors import Corrupt, EncoderMismatch, ModelUnavailable
from schemas.manifest import GOLDEN_FILE

WRONG_SHARE_MAX = 0.1
COSINE_MIN = 0.98
"""What a text vector of this encoder must share with the build's own; int8 towers reach 0.99, another model does not."""


def ask_golden_queries(folder: Path, segment: Segment, encoder: Encoder) -> int:
    """Returns how many were asked; 0 where the build has none.

    Raises Corrupt where too many answers are wrong, EncoderMismatch where the encoder reads words differently.
    """
    if GOLDEN_FILE not in segment.manifest.files:
        return 0
    golden: dict[str, list[dict[str, Any]]] = json.loads((folder / GOLDEN_FILE).read_text(encoding="utf-8"))
    photo, text = golden["photo"], golden["text"]
    check_text_vectors(encoder, text)
    product_ids = segment.items.column("product_id")
    wrong = []
    for entry in photo:
        first = _first_row(segment, segment.vector_of(entry["row"]), "photo")
        if first < 0 or product_ids[first].as_py() != entry["product_id"]:
            wrong.append(f"row {entry['row']}")
    for entry in text:
        first = _first_row(segment, _decode(entry["vector"]), "text")
        if first < 0 or product_ids[first].as_py() not in entry["product_ids"]:
            wrong.append(repr(entry["words"]))
    asked = len(photo) + len(text)
    if len(wrong) > WRONG_SHARE_MAX * asked:
        raise Corrupt(segment.manifest.build_id, f"{asked} golden answers", f"{len(wrong)} wrong, such as {wrong[0]}")
    return asked


def check_text_vectors(encoder: Encoder, text: list[dict[str, Any]]) -> None:
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


def _first_row(segment: Segment, unit_vector: Any, kind: QueryKind) -> int:
    _, rows = segment.search(unit_vector[np.newaxis], 1, kind)
    return int(rows[0, 0])


def _decode(vector: str) -> Any:
    return np.frombuffer(base64.b64decode(vector), "<f4")
