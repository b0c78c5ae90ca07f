"""What a benchmark asks: real photos of some 256 pixels, alone or with filters that are easy and hard in turn."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.large_catalog import POLES, LargeCatalog
from bench.real_vectors import PHOTOS, photo_paths

BOUNDARY = "shoplens-bench-boundary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
PHOTOS_ASKED = 200
K = 10


@dataclass(frozen=True)
class PhotoQuery:
    """A photo and the filters that it is asked with; `vector` (D,) float32 is its embedding."""

    photo: Path
    vector: NDArray[np.float32]
    filters: dict[str, Any] | None = None

    def body(self) -> bytes:
        """The form that a browser would send."""
        fields = {"k": str(K)} | ({"filters": json.dumps(self.filters)} if self.filters else {})
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        return b"".join([*parts, head.encode(), self.photo.read_bytes(), f"\r\n--{BOUNDARY}--\r\n".encode()])


def ask_cases(catalog: LargeCatalog, count: int = PHOTOS_ASKED) -> dict[str, list[PhotoQuery]]:
    """Queries by case: without filters, and with each kind of filter. The name says what share of the rows passes."""
    if not PHOTOS.is_dir():
        raise SystemExit(f"no photos in {PHOTOS}: this benchmark sends real ones")
    paths, vectors = photo_paths(), catalog.embeddings @ catalog.lift
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rng = np.random.default_rng(7)
    everywhere = np.sort(rng.choice(len(paths), min(count, len(paths)), replace=False))
    poles = catalog.poles_of(vectors.astype(np.float32))
    ends = np.flatnonzero((poles <= 1) | (poles >= POLES - 2))
    ends = np.sort(rng.choice(ends, min(count, len(ends)), replace=False))
    furthest = _furthest_categories(catalog, vectors)

    def ask(rows: Sequence[int] | NDArray[np.int64], filters: Any) -> list[PhotoQuery]:
        return [PhotoQuery(paths[row], vectors[row].astype(np.float32), filters(int(row))) for row in rows]

    def opposite(parts: int) -> Any:
        """The parts at the other end from the query."""
        return lambda row: {
            "attributes": {
                "pole": {"in": [str(p if poles[row] >= POLES // 2 else POLES - 1 - p) for p in range(parts)]}
            }
        }

    return {
        "no filters": ask(everywhere, lambda row: None),
        "selective: one brand, 0.1 %": ask(everywhere, lambda row: {"brand": {"equals": f"Brand {row % 1000}"}}),
        "middling: colour and price, 3 %": ask(
            everywhere, lambda row: {"colour": {"equals": f"colour {row % 14}"}, "price": {"max": 27}}
        ),
        "wide: in stock, 85 %": ask(everywhere, lambda row: {"in_stock": True}),
        "opposed: the category furthest away": ask(
            everywhere, lambda row: {"category": {"equals": furthest[catalog.categories[row]]}}
        ),
        "opposed: the far tenth of all rows": ask(ends, opposite(1)),
        "opposed: the far half of all rows": ask(ends, opposite(POLES // 2)),
    }


def _furthest_categories(catalog: LargeCatalog, vectors: NDArray[np.float32]) -> dict[str, str]:
    """For each category, that of those with enough photos whose mean points furthest away."""
    names = np.array(catalog.categories)
    common = [name for name in np.unique(names) if np.count_nonzero(names == name) >= 0.02 * len(names)]
    means = {name: vectors[names == name].mean(axis=0) for name in np.unique(names)}
    return {name: min(common, key=lambda other: float(means[name] @ means[other])) for name in means}
