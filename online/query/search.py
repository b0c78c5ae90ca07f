"""From a question to the best product groups: vector → filters → candidates → ranking → the best photo of each group."""

from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from online.api.parsing import Question
from online.query.composition import Query, compose_query
from online.query.cursors import Cursors
from online.query.diversity import diversify, pool_size
from online.query.facets import count_facets
from online.query.filtering import rows_that_pass
from online.query.match_quality import poor_match_below
from online.query.ranking import Ranked, rank
from online.query.tiles import read_results
from online.snapshots.snapshot import Snapshot
from online.telemetry.stopwatch import Stopwatch
from retrieval.arrays import Float32, Int64, Mask
from retrieval.encoders.contract import unit_rows
from retrieval.search.candidates import Candidates, find_candidates
from retrieval.search.planner import Stage
from schemas.api.answers import Explanation, Facet, QueryPart, SearchResult
from schemas.api.requests import SearchRequest


@dataclass(frozen=True)
class Answer:
    """What a search found. `explanation` is None unless it was asked for."""

    results: list[SearchResult]
    no_good_match: bool | None = None
    facets: list[Facet] = field(default_factory=list)
    cursor: str | None = None
    explanation: Explanation | None = None


def answer_question(snapshot: Snapshot, question: Question, cursors: Cursors, stopwatch: Stopwatch) -> Answer:
    """The best groups, best first, at most `k`: the first page, or the one that a cursor names. Raises ProblemRaised."""
    fields = question.fields
    if fields.cursor is not None:
        query, fields = cursors.read(snapshot, fields)
    else:
        query = compose_query(snapshot, question, stopwatch)
    return find_page(snapshot, query, fields, cursors, stopwatch)


def find_page(
    snapshot: Snapshot, query: Query, fields: SearchRequest, cursors: Cursors, stopwatch: Stopwatch
) -> Answer:
    """One page of results for a query whose vector is known."""
    columns, mask = snapshot.catalog.columns, None
    if fields.filters is not None:
        with stopwatch.stage("plan"):
            mask = rows_that_pass(columns, fields.filters)
    found = nearest_rows(snapshot, query, fields.k + 1, mask, stopwatch.stage)  # one more: is there another page?
    threshold = poor_match_below(snapshot, query, int(found.rows[0])) if len(found.rows) else None
    first_page = fields.cursor is None
    no_good_match = bool(found.scores[0] < threshold) if threshold is not None and first_page else None
    found = found.at_least(fields.min_score)
    with stopwatch.stage("rank"):
        ranked = rank(snapshot, query, found.scores, found.rows, fields.rank)
        best = best_of_groups(ranked.scores, found.scores, columns.groups[found.rows])
        chosen = choose(snapshot, found.rows, ranked.scores, best, fields.k, fields.diversity)
    facets = []
    if fields.facets:
        with stopwatch.stage("facets"):
            facets = count_facets(snapshot.catalog, fields.facets, found.rows, exact=found.complete)
    with stopwatch.stage("read"):
        results = read_results(snapshot, found, ranked, chosen, explain=fields.explain)
    explanation = explain_search(query, found, ranked, threshold) if fields.explain else None
    cursor = None
    if len(best) > fields.k:
        cursor = cursors.write(snapshot, query, fields, columns.groups[found.rows[chosen]])
    return Answer(results, no_good_match, facets, cursor, explanation)


def choose(snapshot: Snapshot, rows: Int64, scores: Float32, best: Int64, k: int, diversity: float) -> Int64:
    """k of the best candidate of each group: the first k, or those that differ from one another too."""
    if not diversity:
        return best[:k]
    pool = best[: pool_size(k)]
    unit_vectors = unit_rows(snapshot.view.vectors_of(rows[pool]))
    return pool[diversify(scores[pool], unit_vectors, k, diversity)]


def nearest_rows(
    snapshot: Snapshot, query: Query, groups_wanted: int, mask: Mask | None = None, stage: Stage = nullcontext
) -> Candidates:
    """The rows nearest to the query, of at least as many groups, wherever so many exist among the rows of `mask`."""
    manifest = snapshot.view.manifest
    return find_candidates(
        snapshot.view,
        query.unit_vector,
        groups_wanted,
        snapshot.catalog.columns.groups,
        query.parameters(manifest.photo_search, manifest.text_search),
        mask,
        query.hidden_groups,
        stage,
        mixed=query.is_mixed,
    )


def best_of_groups(rank_scores: Float32, cosines: Float32, groups: NDArray[np.int32]) -> Int64:
    """The place of the best candidate of each group, best first: by score, then by cosine, then as they came."""
    order = np.lexsort((np.arange(len(groups)), -cosines, -rank_scores))
    _, first = np.unique(groups[order], return_index=True)
    return np.asarray(order[np.sort(first)], dtype=np.int64)


def explain_search(query: Query, found: Candidates, ranked: Ranked, threshold: float | None) -> Explanation:
    plan, weights = found.plan, ranked.weights
    return Explanation(
        path=plan.path,
        why=plan.why,
        rows_matched=plan.rows_matched,
        nprobe=plan.nprobe,
        candidates=plan.candidates,
        query=[QueryPart(field=part.field, kind=part.kind, weight=round(part.weight, 4)) for part in query.mix.parts],
        weights=weights.as_dict(),
        visual_scale=(round(ranked.visual_scale[0], 4), round(ranked.visual_scale[1], 4)),
        no_good_match_below=None if threshold is None else round(threshold, 4),
        notes=[*query.notes, *ranked.notes],
    )
