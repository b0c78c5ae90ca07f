"""Errors as problem documents (RFC 9457): one stable type each, with a page that says what to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from flask import Flask, Response, g
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, HTTPException

from online.telemetry.logs import describe_error, log
from schemas.api.answers import FieldError, Problem

MIMETYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemType:
    """`advice` stands on the type's page and is the same for every occurrence."""

    name: str
    status: int
    title: str
    advice: str

    @property
    def uri(self) -> str:
        return f"/problems/{self.name}"


BAD_JSON = ProblemType("bad-json", 400, "The body is not JSON", "Send one JSON object in UTF-8.")
BAD_REQUEST = ProblemType("bad-request", 400, "The request cannot be read", "Check how the request is written.")
KEY_REQUIRED = ProblemType(
    "key-required", 401, "An API key is needed", "Send it as a Bearer token in Authorization; the operator gives keys."
)
KEY_UNKNOWN = ProblemType(
    "key-unknown", 401, "No such API key", "Check that the whole key was sent, and that it was not withdrawn."
)
SCOPE_MISSING = ProblemType(
    "scope-missing", 403, "The key may not do this", "Use a key that has the scope named in WWW-Authenticate."
)
LOOPBACK_ONLY = ProblemType(
    "loopback-only",
    403,
    "Only this machine may ask",
    "Ask from the machine itself, or have the operator make a key: `shoplens key create`.",
)
BAD_CURSOR = ProblemType(
    "bad-cursor", 400, "No such page", "Send a cursor exactly as an answer gave it, or search without one."
)
NOT_FOUND = ProblemType("not-found", 404, "There is nothing here", "Check the path against /openapi.json.")
PRODUCT_NOT_FOUND = ProblemType(
    "product-not-found", 404, "No such product", "Use a product_id of the live index; it may have been deleted."
)
IMAGE_NOT_FOUND = ProblemType("image-not-found", 404, "No such photo", "Use the uri of a result as it stands.")
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed", 405, "This path takes other methods", "Use a method named in the Allow header."
)
CURSOR_EXPIRED = ProblemType(
    "cursor-expired", 410, "The page is gone", "Search again: the index was built anew since the first page."
)
BODY_TOO_LARGE = ProblemType(
    "body-too-large",
    413,
    "The body is over the limit",
    "Send a smaller photo, of which 1,000 pixels a side are plenty, or a form of fewer fields.",
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    "unsupported-media-type",
    415,
    "The body has a type that is not taken",
    "Send multipart/form-data or application/json.",
)
INVALID_FIELDS = ProblemType(
    "invalid-fields", 422, "Some fields are wrong", "Correct the fields named in errors and send it again."
)
NO_QUERY = ProblemType(
    "no-query",
    422,
    "Nothing says what to find",
    "Send at least one of image (a file), image_base64, text, product_id and liked.",
)
PHOTO_REJECTED = ProblemType(
    "photo-rejected", 422, "The photo cannot be used", "Send an undamaged JPEG, PNG or WebP; reason says what failed."
)
IMAGE_UNREACHABLE = ProblemType(
    "image-unreachable", 422, "The link gives no photo", "Check the link, or send the photo itself."
)
TEXT_UNSUPPORTED = ProblemType(
    "text-unsupported", 422, "The live model reads no text", "Search with a photo or a product_id."
)
TOO_MANY_REQUESTS = ProblemType(
    "too-many-requests", 429, "Too many requests", "Wait for the seconds given in Retry-After, then try again."
)
INTERNAL = ProblemType(
    "internal-error", 500, "The searcher failed", "Try again; if it stays, give the request_id to the operator."
)
NOT_READY = ProblemType("not-ready", 503, "No index is loaded yet", "Try again after the seconds given in Retry-After.")
STORE_UNAVAILABLE = ProblemType(
    "store-unavailable", 503, "Photos cannot be read just now", "Try again after the seconds given in Retry-After."
)

PROBLEM_TYPES = {
    problem.name: problem
    for problem in (
        BAD_JSON, BAD_REQUEST, KEY_REQUIRED, KEY_UNKNOWN, SCOPE_MISSING, LOOPBACK_ONLY, NOT_FOUND, PRODUCT_NOT_FOUND, IMAGE_NOT_FOUND, METHOD_NOT_ALLOWED, BODY_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE, INVALID_FIELDS, NO_QUERY, BAD_CURSOR, CURSOR_EXPIRED, PHOTO_REJECTED, IMAGE_UNREACHABLE, TEXT_UNSUPPORTED, TOO_MANY_REQUESTS, INTERNAL, NOT_READY, STORE_UNAVAILABLE,
    )
}  # fmt: skip


@dataclass(eq=False)
class ProblemRaised(Exception):
    """Raised anywhere in a request; answered as a problem document."""

    problem_type: ProblemType
    detail: str
    errors: Sequence[FieldError] = ()
    reason: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def problem_response(problem: ProblemRaised) -> Response:
    body = Problem(
        type=problem.problem_type.uri,
        title=problem.problem_type.title,
        status=problem.problem_type.status,
        detail=problem.detail,
        request_id=g.get("request_id", ""),
        errors=list(problem.errors),
        reason=problem.reason,
    )
    answer = Response(body.model_dump_json(exclude_none=True), problem.problem_type.status, mimetype=MIMETYPE)
    answer.headers.update(problem.headers)
    g.problem = problem.problem_type.name
    return answer


def answer_problems(app: Flask) -> None:
    """Every error of this app is answered as a problem document, those of Flask and Werkzeug too."""
    app.register_error_handler(ProblemRaised, problem_response)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(ParseException, _broken_body)
    app.register_error_handler(Exception, _unexpected)


def _http_error(error: HTTPException) -> Response:
    by_status = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED, 413: BODY_TOO_LARGE, 415: UNSUPPORTED_MEDIA_TYPE}
    status = error.code or 500
    kind = by_status.get(status, INTERNAL if status >= 500 else BAD_REQUEST)
    is_gone = isinstance(error, ClientDisconnected)
    detail = "the body ended, or fell silent, before all of it was here: send it again" if is_gone else kind.advice
    answer = problem_response(ProblemRaised(kind, detail))
    answer.headers.update({name: value for name, value in error.get_headers() if name == "Allow"})
    if kind is BODY_TOO_LARGE or is_gone:
        answer.headers["Connection"] = "close"
    return answer


def _broken_body(_: ParseException) -> Response:
    """gunicorn reads a body while we do, so it is here that it finds a wrong chunk."""
    return problem_response(ProblemRaised(BAD_REQUEST, "the body is not chunked as it says: check how it is sent"))


def _unexpected(error: Exception) -> Response:
    log.error("request_failed", error=describe_error(error), exc_info=error)
    return problem_response(ProblemRaised(INTERNAL, INTERNAL.advice))
