"""What a build measured of its own catalog, for ranking and for telling a poor match: `manifest.calibration`.

Builds older than a constant do not have it: every part has a reading that stands for "not measured".
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from schemas.errors import Corrupt
from schemas.manifest import MANIFEST_FILE

PRICE_QUANTILES = 10
"""Prices are kept as the ends of ten equal parts: eleven numbers, lowest first."""

NO_CURRENCY = ""


@dataclass(frozen=True)
class CosineScale:
    """Cosines of queries of one kind with photos: any photo (`unrelated`), the hundredth nearest (`far`), the best."""

    unrelated: float
    far: float
    best: float


@dataclass(frozen=True)
class CategoryValues:
    """One value for all categories together, and one for each that had enough to measure."""

    overall: Any = None
    by_category: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Calibration:
    """`percentiles`: of cosines, by kind of pair (`same_product`, `random_pair`).

    `visual_scale`: by kind of query (photo, text); between `far` and `best` likeness counts from 0 to 1.
    `photo_match`: cosines below which a photo shows no product of the catalog, fitted on pairs of photos of one product;
    `photo_match_false_rejects`: the share of pairs of other products that lie below them. `text_match`: the cosine for
    words. `prices`: by currency (NO_CURRENCY where none), the ends of ten equal parts.
    `rank_weights`: what the build's shop ranks by, where it is not the default.
    """

    percentiles: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    visual_scale: Mapping[str, CosineScale] = field(default_factory=dict)
    photo_match: CategoryValues = CategoryValues()
    photo_match_false_rejects: CategoryValues = CategoryValues()
    text_match: float | None = None
    prices: Mapping[str, CategoryValues] = field(default_factory=dict)
    rank_weights: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest: plain dicts, lists and numbers."""
        fields = asdict(self)
        percentiles = fields.pop("percentiles")
        return {**percentiles, **fields}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Calibration":
        """From a manifest of any age; what is not there stays not measured. Raises Corrupt where it is written wrong."""
        try:
            return cls._read(found)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise Corrupt(MANIFEST_FILE, "calibration", repr(error)) from error

    @classmethod
    def _read(cls, found: Mapping[str, Any]) -> "Calibration":
        return cls(
            percentiles={name: found[name] for name in ("same_product", "random_pair") if found.get(name)},
            visual_scale={kind: CosineScale(**scale) for kind, scale in found.get("visual_scale", {}).items()},
            photo_match=CategoryValues(**found.get("photo_match", {})),
            photo_match_false_rejects=CategoryValues(**found.get("photo_match_false_rejects", {})),
            text_match=found.get("text_match"),
            prices={currency: CategoryValues(**values) for currency, values in found.get("prices", {}).items()},
            rank_weights=dict(found.get("rank_weights", {})),
        )
