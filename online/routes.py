"""The API's routes: each parses, asks, and answers."""

import re

from flask import Response, g, request
from flask_openapi3.openapi import OpenAPI

from online.access.bulkhead import Bulkhead, Full
from online.api.document import CLICK_BODY, SEARCH_BODY, answers_with, problems
from online.api.parsing import Question, parse_click, parse_search
from online.api.problems import IMAGE_NOT_FOUND, NOT_READY, STORE_UNAVAILABLE, ProblemRaised
from online.query.search import answer_question
from online.searcher import RETRY_AFTER_S, Searcher
from online.snapshots.snapshot import Snapshot
from online.telemetry.events import hash_user, new_event_id, now_as_text
from online.telemetry.logs import describe_error, log
from online.telemetry.metrics import CONTENT_TYPE
from schemas.api.answers import HealthResponse, ReadyResponse, SearchResponse, SearchResult
from schemas.api.fields import SHA256_PATTERN
from schemas.api.requests import ImagePath
from schemas.errors import StoreNotWritable, StoreUnavailable
from schemas.events import ClickEvent, ImpressionEvent
from schemas.manifest import thumbnail_key

PHOTO_PATIENCE_S = 1.0
"""As long as a request for a photo waits for others that the store keeps waiting."""

FOR_EVER = "public, max-age=31536000, immutable"
_SHA256 = re.compile(SHA256_PATTERN)


def add_search_routes(app: OpenAPI, searcher: Searcher) -> None:
    def read_link(link: str) -> bytes:
        with g.stopwatch.stage("fetch"):
            return searcher.config.image_links.fetch(link, searcher.config.body_max_bytes)

    @app.post(
        "/search",
        summary="Find products by a photo, by words, or like a product",
        openapi_extensions={"requestBody": SEARCH_BODY},
        responses={200: answers_with(SearchResponse), **problems(400, 404, 410, 413, 415, 422, 503)},
    )
    def search() -> Response:
        question = parse_search(request, read_link if searcher.config.image_links else None)
        snapshot = searcher.snapshot()
        found = answer_question(snapshot, question, searcher.cursors, g.stopwatch)
        results = found.results
        searcher.metrics.searches.labels(question.kind).inc()
        if not results:
            searcher.metrics.zero_results.labels(question.kind).inc()
        if found.no_good_match:
            searcher.metrics.no_good_matches.labels(question.kind).inc()
        searcher.spool.append(_impression(searcher, snapshot, question, results))
        answer = SearchResponse(
            results=results,
            no_good_match=found.no_good_match,
            facets=found.facets,
            cursor=found.cursor,
            explain=found.explanation,
            latency_ms=g.stopwatch.elapsed_ms(),
            stages_ms=g.stopwatch.stages_ms,
            generation=snapshot.pointer.generation,
            build_id=snapshot.pointer.live.build_id,
            delta_id=snapshot.pointer.live.delta_id,
            model_id=snapshot.pointer.live.model_id,
            request_id=g.request_id,
        )
        return Response(answer.model_dump_json(), mimetype="application/json", headers={"Cache-Control": "no-store"})

    @app.post(
        "/click",
        summary="Say that a product of an answer was clicked, put in a cart or bought",
        openapi_extensions={"requestBody": CLICK_BODY},
        responses={204: None, **problems(400, 413, 415, 422)},
    )
    def click() -> Response:
        clicked = parse_click(request)
        searcher.spool.append(
            ClickEvent(
                event_id=new_event_id(),
                request_id=clicked.request_id,
                at=now_as_text(),
                user_hash=hash_user(clicked.user_id, searcher.config.user_hash_key),
                product_id=clicked.product_id,
                position=clicked.position,
                action=clicked.action,
            )
        )
        return Response(status=204)

    reading_photos = Bulkhead(max(1, searcher.config.threads - 1), PHOTO_PATIENCE_S)

    @app.get(
        "/images/<image_id>",
        summary="The thumbnail of a photo; it never changes",
        responses={200: {"description": "OK", "content": {"image/jpeg": {}}}, 304: None, **problems(404, 503)},
    )
    def image(path: ImagePath) -> Response:
        image_id = path.image_id
        if not _SHA256.fullmatch(image_id):
            raise ProblemRaised(IMAGE_NOT_FOUND, "image_id: 64 hexadecimal digits are needed")
        headers = {"Cache-Control": FOR_EVER, "ETag": f'"{image_id}"'}
        if image_id in request.if_none_match.as_set(include_weak=True):  # "*" says nothing of this photo
            return Response(status=304, headers=headers)
        try:
            with reading_photos.place():
                found = searcher.store.get(thumbnail_key(image_id))
        except (StoreUnavailable, StoreNotWritable, Full) as error:
            log.warning("thumbnail_not_read", error=describe_error(error))
            detail = "image_id: the store of photos does not answer: try again"
            raise ProblemRaised(STORE_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER_S)}) from None
        if found is None:
            raise ProblemRaised(IMAGE_NOT_FOUND, f"image_id: there is no photo {image_id}")
        return Response(found.data, mimetype="image/jpeg", headers=headers)


def add_state_routes(app: OpenAPI, searcher: Searcher) -> None:
    @app.get("/health", summary="Whether this process is alive", responses={200: answers_with(HealthResponse)})
    def health() -> Response:
        return Response(HealthResponse().model_dump_json(), mimetype="application/json")

    @app.get(
        "/ready", summary="What this process serves", responses={200: answers_with(ReadyResponse), **problems(503)}
    )
    def ready() -> Response:
        current = searcher.live.current
        if current is None:
            raise ProblemRaised(NOT_READY, searcher.live.reason, headers={"Retry-After": str(RETRY_AFTER_S)})
        manifest, pointer = current.view.manifest, current.pointer
        state = ReadyResponse(
            generation=pointer.generation,
            build_id=manifest.build_id,
            delta_id=pointer.live.delta_id,
            model_id=manifest.model_id,
            model_fingerprint=manifest.model_fingerprint,
            rows=current.view.live_rows,
            products=current.products,
            interval_end=pointer.interval_end,
        )
        return Response(state.model_dump_json(), mimetype="application/json", headers={"Cache-Control": "no-store"})

    @app.get(
        "/metrics",
        summary="Figures for Prometheus, of all workers of this host",
        responses={200: {"description": "OK", "content": {"text/plain": {}}}},
    )
    def metrics() -> Response:
        return Response(searcher.metrics.render(), content_type=CONTENT_TYPE)


def _impression(
    searcher: Searcher, snapshot: Snapshot, question: Question, results: list[SearchResult]
) -> ImpressionEvent:
    """The query is named by its kind; neither the photo nor the words are kept."""
    fields = question.fields
    like = {"product_id": fields.product_id} if fields.product_id is not None else {}
    return ImpressionEvent(
        event_id=new_event_id(),
        request_id=g.request_id,
        at=now_as_text(),
        user_hash=hash_user(fields.user_id, searcher.config.user_hash_key),
        query={"kind": question.kind, "parts": question.parts, "k": fields.k, **like},
        product_ids=tuple(result.product_id for result in results),
        generation=snapshot.pointer.generation,
        build_id=snapshot.pointer.live.build_id,
        model_id=snapshot.pointer.live.model_id,
    )
