"""The score that results are ordered by (decision 18), for all candidates at once.

score = α·visual + β·attributes + γ·personal + δ·freshness − ε·price, each term scaled to 0–1 by constants of the build.
A term that nothing is known about is 0 for every candidate, so it changes no order; the notes say which and why.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from online.query.attribute_match import match_attributes
from online.query.composition import Query
from online.snapshots.snapshot import Snapshot
from retrieval.arrays import Float32, Int64
from schemas.api.requests import RankWeights
from schemas.calibration import Calibration

Scale = tuple[float, float]

FRESH_DAYS = 30
COSINE_RANGE_MIN = 1e-6
FAR_RANK, FAR_PART, FAR_RANK_MIN = 100, 5, 10


@dataclass(frozen=True)
class Weights:
    """How much each term counts; `price` is taken off."""

    visual: float = 0.6
    attributes: float = 0.15
    personal: float = 0.15
    freshness: float = 0.05
    price: float = 0.05

    def as_dict(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def of(cls, calibration: Calibration, asked: RankWeights | None) -> "Weights":
        """The request's, where it gives them; else the build's; else the defaults."""
        known = asdict(cls())
        known |= {name: float(value) for name, value in calibration.rank_weights.items() if name in known}
        return cls(**(known | (asked.model_dump(exclude_none=True) if asked else {})))


@dataclass(frozen=True)
class Ranked:
    """Candidates (n,) with their scores, and how the scores came about. `visual_scale` is the cosines of 0 and 1."""

    scores: Float32
    terms: Mapping[str, Float32]
    weights: Weights
    visual_scale: Scale
    notes: tuple[str, ...]

    def explain(self, place: int) -> dict[str, dict[str, float]]:
        """Each term of one candidate: its value, 0 to 1, and the points that it gives."""
        signs = {"price": -1}
        return {
            name: {
                "value": round(float(values[place]), 4),
                "points": round(float(values[place]) * getattr(self.weights, name) * signs.get(name, 1), 4),
            }
            for name, values in self.terms.items()
        }


def rank(snapshot: Snapshot, query: Query, cosines: Float32, rows: Int64, asked: RankWeights | None) -> Ranked:
    """Score candidate `rows` (n,) by their `cosines` (n,) and by what is known of them."""
    calibration = snapshot.features.calibration
    weights, notes = Weights.of(calibration, asked), list[str]()
    fades_over = calibrated_range(query, calibration)
    scale = visual_scale(fades_over, cosines)
    if fades_over is None:
        notes.append("visual: the build has no scale for this kind of query; the candidates' own cosines give it")
    terms = {
        "visual": np.clip((cosines - scale[0]) / (scale[1] - scale[0]), 0, 1).astype(np.float32),
        "attributes": _attributes(snapshot, query, rows, notes),
        "personal": _nothing(rows, notes, "personal", "no learning loop has filled features of users or products yet"),
        "freshness": _freshness(snapshot, rows, notes),
        "price": _price(snapshot, rows, notes),
    }
    scores = sum(getattr(weights, name) * values for name, values in terms.items() if name != "price")
    return Ranked((scores - weights.price * terms["price"]).astype(np.float32), terms, weights, scale, tuple(notes))


def visual_scale(fades_over: float | None, cosines: Float32) -> Scale:
    """The cosines that count as 0 and as 1: the best of this query is 1, and `calibrated_range` says how fast it fades.

    It fades more slowly where this query's hundredth candidate would fall below 0, so that a query with nothing near is
    still answered by likeness first. Of fewer than five hundred it is the last of the nearest fifth: the hundredth of eighty
    is the least alike of all, and over so wide a scale prices would decide between what is very much alike.
    """
    if not len(cosines):
        return 0.0, 1.0
    best = float(cosines.max())
    far = min(FAR_RANK, max(FAR_RANK_MIN, len(cosines) // FAR_PART), len(cosines))
    own = best - float(np.partition(cosines, -far)[-far])
    width = max(own, fades_over or 0.0, COSINE_RANGE_MIN)
    return best - width, best


def calibrated_range(query: Query, calibration: Calibration) -> float | None:
    """How far apart the best and the hundredth nearest are for such a query; None where the build did not measure it.

    A cosine with the query is the weighted sum of the cosines with its parts; to what pushes away, all are unrelated.
    """
    drawing = [part for part in query.mix.parts if part.weight > 0]
    if any(part.kind not in calibration.visual_scale for part in drawing):
        return None
    scales = [calibration.visual_scale[part.kind] for part in drawing]
    return sum(part.weight * (scale.best - scale.far) for part, scale in zip(drawing, scales, strict=True))


def _attributes(snapshot: Snapshot, query: Query, rows: Int64, notes: list[str]) -> Float32:
    matched = match_attributes(snapshot.catalog, rows, query.words, query.models)
    if matched is None:
        return _nothing(rows, notes, "attributes", "the query names none: it has neither words nor products")
    return matched


def _freshness(snapshot: Snapshot, rows: Int64, notes: list[str]) -> Float32:
    """1 for a product of today, 0.37 after thirty days; 0 for one without a date."""
    today = snapshot.interval_day
    if today is None:
        return _nothing(rows, notes, "freshness", "CURRENT does not say when its interval ended")
    ages = np.maximum(today - snapshot.catalog.columns.created_day[rows], 0)
    return np.asarray(np.nan_to_num(np.exp(-ages / FRESH_DAYS)), dtype=np.float32)


def _price(snapshot: Snapshot, rows: Int64, notes: list[str]) -> Float32:
    """0 for the cheapest of its category and currency, 1 for the dearest; the middle for one without a price."""
    if not snapshot.features.calibration.prices:
        return _nothing(rows, notes, "price", "the build has no price percentiles")
    return np.nan_to_num(snapshot.features.price_place[rows], nan=0.5)


def _nothing(rows: Int64, notes: list[str], term: str, why: str) -> Float32:
    notes.append(f"{term}: 0 for all, since {why}")
    return np.zeros(len(rows), dtype=np.float32)
