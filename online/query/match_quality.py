"""Whether the nearest photo is near enough to be what the shopper meant."""

from online.query.composition import Query
from online.snapshots.snapshot import Snapshot


def poor_match_below(snapshot: Snapshot, query: Query, best_row: int) -> float | None:
    """The cosine below which the best row is no good match; None where there is no such thing.

    That is so where the build did not measure it, and for more like a product of the shop: that is always answered.

    Pairs of photos of one product, by category, and words of the catalog gave it at build time. A query of several
    parts has the weighted sum of its parts' thresholds, since a cosine with it is the weighted sum of theirs.
    """
    calibration, columns = snapshot.features.calibration, snapshot.catalog.columns
    code = int(columns.category.codes[best_row])
    name = columns.category.values[code] if code >= 0 else ""
    photo = calibration.photo_match.by_category.get(name, calibration.photo_match.overall)
    thresholds = {"image": photo, "text": calibration.text_match}
    total = 0.0
    for part in query.mix.parts:
        if part.weight > 0:
            threshold = thresholds.get(part.field)
        else:
            scale = calibration.visual_scale.get(part.kind)
            threshold = None if scale is None else scale.unrelated
        if threshold is None:
            return None
        total += part.weight * threshold
    return total
