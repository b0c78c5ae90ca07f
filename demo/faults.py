"""What goes wrong in a real catalog: about three photos in a hundred, and a handful of rows, drawn from the seed.

`faults.csv` tells the truth about them: path, kind, and the reason that a careful reader ends with (none where it recovers).
"""

from __future__ import annotations

import csv
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

PHOTO_FAULT_SHARE = 0.03


@dataclass(frozen=True)
class FaultKind:
    """One kind of fault: how often (weight), and the reason it ends with (schemas/reasons.py); None if it recovers."""

    name: str
    weight: float
    reason: str | None
    file: bool  # whether the photo's path holds a file


PHOTO_FAULTS: dict[str, FaultKind] = {
    kind.name: kind
    for kind in (
        FaultKind("dead", 3, "http_404", file=False),
        FaultKind("gone", 1, "http_410", file=False),
        FaultKind("slow", 1, "read_timeout", file=True),
        FaultKind("unavailable_once", 1, None, file=True),
        FaultKind("busy_once", 1, None, file=True),
        FaultKind("truncated_body", 1, "truncated", file=True),
        FaultKind("truncated_file", 2, "truncated", file=True),
        FaultKind("html", 2, "not_an_image", file=True),
        FaultKind("placeholder", 4, "placeholder", file=True),
        FaultKind("duplicate", 3, None, file=True),
        FaultKind("tiny", 1, "too_small", file=True),
        FaultKind("blank", 1, "blank", file=True),
        FaultKind("moved", 2, None, file=False),
        FaultKind("redirect_loop", 1, "redirect_limit", file=False),
    )
}

ROW_FAULTS: dict[str, str] = {
    "missing_id": "no_product_id",
    "missing_link": "no_image",
    "price_not_a_number": "price_not_a_number",
    "negative_price": "price_negative",
    "duplicate_id": "duplicate_id",
    "stock_not_a_flag": "stock_not_a_flag",
    "mixed_encoding": "encoding_invalid",
}

_NAMES = tuple(PHOTO_FAULTS)
_EDGES = tuple(accumulate(kind.weight for kind in PHOTO_FAULTS.values()))


def photo_fault(seed: int, number: int, view: int, share: float = PHOTO_FAULT_SHARE) -> str | None:
    """Return the kind of fault of one photo, or None for a good one."""
    from demo.streams import stream  # numpy: reading faults.csv, as the server does, needs none

    chance, which = stream(seed, "fault", number, view).random(2)
    if chance >= share:
        return None
    return _NAMES[bisect(_EDGES, which * _EDGES[-1])]


def duplicated_number(seed: int, number: int) -> int:
    """Return an earlier product whose main photo a duplicate repeats; 0 for the first."""
    from demo.streams import stream

    return int(stream(seed, "duplicate", number).integers(max(number, 1)))


def write_faults(folder: Path, photos: Mapping[str, str], rows: Sequence[tuple[int, str]]) -> None:
    """Write `faults.csv`; photos: path → kind; rows: (number of the row, from 1, kind)."""
    with (folder / "faults.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "row", "kind", "reason"))
        writer.writerows((path, "", kind, PHOTO_FAULTS[kind].reason or "") for path, kind in photos.items())
        writer.writerows(("", row, kind, ROW_FAULTS[kind]) for row, kind in rows)


def read_faults(folder: Path) -> dict[str, str]:
    """Return path → kind for the photos of a catalog that have a fault; none where there is no `faults.csv`."""
    try:
        with (folder / "faults.csv").open(encoding="utf-8", newline="") as file:
            return {row["path"]: row["kind"] for row in csv.DictReader(file) if row["path"]}
    except FileNotFoundError:
        return {}
