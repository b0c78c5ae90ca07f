"""Results as the API gives them."""

import numpy as np
from numpy.typing import NDArray

from online.query.ranking import Ranked
from online.snapshots.snapshot import Snapshot
from retrieval.search.candidates import Candidates, shown_scores
from schemas.api.answers import SearchResult, Term


def read_results(
    snapshot: Snapshot, found: Candidates, ranked: Ranked, chosen: NDArray[np.int64], *, explain: bool
) -> list[SearchResult]:
    """The tiles of the chosen candidates, in their order."""
    tiles, scores = snapshot.catalog.tiles(found.rows[chosen]), shown_scores(found.scores[chosen])
    return [
        SearchResult(
            product_id=tile["product_id"],
            group_id=tile["group_id"] or tile["product_id"],
            score=score,
            rank_score=round(float(ranked.scores[place]), 6),
            image_id=tile["image_id"],
            uri=f"/images/{tile['image_id']}",
            title=tile["title"],
            brand=tile["brand"],
            category=tile["category"],
            colour=tile["colour"],
            price=tile["price"],
            currency=tile["currency"],
            in_stock=tile["in_stock"],
            attributes=tile["attributes"],
            explain={name: Term(**term) for name, term in ranked.explain(place).items()} if explain else None,
        )
        for place, score, tile in zip(chosen.tolist(), scores.tolist(), tiles, strict=True)
    ]
