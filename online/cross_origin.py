"""Which other sites' pages may ask from a browser (CORS): those that are configured, and no others."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask, Response, request

from schemas.errors import Misconfigured

ORIGINS = "SHOPLENS_CORS_ORIGINS"
CREDENTIALS = "SHOPLENS_CORS_CREDENTIALS"
EVERYBODY = "*"
PREFLIGHT_MAX_AGE_S = 600

_METHODS = "GET, POST"
_ASKED_HEADERS = "Authorization, Content-Type, X-API-Key, X-Request-ID"
_TOLD_HEADERS = "X-Request-ID, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate"
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True)
class CrossOrigin:
    """`origins`: `https://shop.example` each, or `*` alone. `credentials` lets cookies come along, never with `*`."""

    origins: tuple[str, ...] = ()
    credentials: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "CrossOrigin":
        """Raises Misconfigured with the variable to set."""
        origins = tuple(dict.fromkeys(environ.get(ORIGINS, "").replace(",", " ").split()))
        wrong = [origin for origin in origins if origin != EVERYBODY and not _ORIGIN.fullmatch(origin)]
        if wrong:
            raise Misconfigured(
                f"{ORIGINS}: {wrong[0]!r} is no origin: write it like https://shop.example, without a path"
            )
        if EVERYBODY in origins and len(origins) > 1:
            raise Misconfigured(f"{ORIGINS}: {EVERYBODY} stands alone, or is left out")
        credentials = environ.get(CREDENTIALS, "").strip().lower()
        if credentials not in ("", "yes", "no"):
            raise Misconfigured(f"{CREDENTIALS} is {credentials!r}: give it yes or no")
        if credentials == "yes" and EVERYBODY in origins:
            raise Misconfigured(f"{CREDENTIALS} is yes, so {ORIGINS} must name each origin: {EVERYBODY} is not enough")
        return cls(origins, credentials == "yes")

    def headers_for(self, origin: str) -> dict[str, str]:
        """What an answer to a page of that origin carries; nothing where the page may not read it."""
        allowed = EVERYBODY if EVERYBODY in self.origins else origin
        if allowed not in self.origins:
            return {}
        headers = {"Access-Control-Allow-Origin": allowed, "Access-Control-Expose-Headers": _TOLD_HEADERS}
        return {**headers, "Access-Control-Allow-Credentials": "true"} if self.credentials else headers


def allow_origins(app: Flask, allowed: CrossOrigin) -> None:
    """Answer preflights, and tell browsers who may read an answer. Call it before `admit_requests`: a preflight has
    no key."""

    @app.before_request
    def answer_preflight() -> Response | None:
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        answer = Response(status=204)
        if allowed.headers_for(request.headers.get("Origin", "")):
            answer.headers["Access-Control-Allow-Methods"] = _METHODS
            answer.headers["Access-Control-Allow-Headers"] = _ASKED_HEADERS
            answer.headers["Access-Control-Max-Age"] = str(PREFLIGHT_MAX_AGE_S)
        return answer

    @app.after_request
    def tell(answer: Response) -> Response:
        if not allowed.origins:
            return answer
        answer.vary.add("Origin")
        answer.headers.update(allowed.headers_for(request.headers.get("Origin", "")))
        return answer
