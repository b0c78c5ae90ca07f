"""What a build is made with: its kind, its size of lists, its goal. Together with the rows they give its id."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from schemas.errors import Misconfigured

KINDS = ("auto", "exact", "ivf_fp16", "ivf_rabitq")
EXACT_MAX_ROWS = 50_000
"""Up to here a full scan takes a few milliseconds and needs no tuning."""

BUILDER_VERSION = 5
"""Raised when the same rows would give other bytes, the manifest's too: since 5 whole vectors have estimates beside them."""

_LISTS_MAX = 8_192
_ROWS_PER_LIST_MIN = 39


@dataclass(frozen=True)
class BuildParameters:
    """`nlist` is 0 for an exact index; `has_text` says whether text queries are tuned for, `has_estimates` whether RaBitQ
    codes lie beside an index of whole vectors."""

    kind: str
    nlist: int
    dimension: int
    model_id: str
    model_fingerprint: str
    recall_goal: float = 0.99
    seed: int = 1
    has_text: bool = False
    has_estimates: bool = False

    @property
    def factory(self) -> str:
        """The FAISS factory string of the finished index."""
        codes = {"exact": "SQfp16", "ivf_fp16": f"IVF{self.nlist},SQfp16", "ivf_rabitq": f"IVF{self.nlist},RaBitQfs"}
        return codes[self.kind]

    @property
    def has_codes(self) -> bool:
        """Whether RaBitQ codes are made, as the index or beside it."""
        return self.kind == "ivf_rabitq" or self.has_estimates

    @property
    def sample_rows(self) -> int:
        """How many rows the coarse quantizer is trained on."""
        return self.nlist * 64

    @property
    def in_manifest(self) -> dict[str, Any]:
        """As a build's manifest has them."""
        return {**asdict(self), "builder": BUILDER_VERSION}

    def build_id(self, content_digest: str) -> str:
        """Twenty hexadecimal digits that name these rows with these parameters."""
        text = json.dumps({"content": content_digest, **self.in_manifest}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]


def choose_kind(kind: str, rows: int) -> str:
    """`auto` by size; an IVF index of too few rows to train becomes exact. Raises Misconfigured for an unknown kind."""
    if kind not in KINDS:
        raise Misconfigured(f"no index kind {kind!r}: choose one of {', '.join(KINDS)}")
    if kind == "auto":
        return "exact" if rows <= EXACT_MAX_ROWS else "ivf_fp16"
    return kind if rows >= _ROWS_PER_LIST_MIN else "exact"


def choose_nlist(kind: str, rows: int) -> int:
    """Some four times the square root of the rows, as a power of two that leaves each list enough rows to train on."""
    if kind == "exact":
        return 0
    wanted = 2 ** round(math.log2(4 * math.sqrt(rows)))
    possible = 2 ** int(math.log2(max(rows // _ROWS_PER_LIST_MIN, 1)))
    return min(wanted, possible, _LISTS_MAX)
