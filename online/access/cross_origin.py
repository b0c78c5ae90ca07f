"""Which other sites' pages may ask from a browser (CORS): those that are configured, and no others."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask, Response
from flask_cors import CORS

from schemas.errors import Misconfigured

ORIGINS = "SHOPLENS_CORS_ORIGINS"
CREDENTIALS = "SHOPLENS_CORS_CREDENTIALS"
EVERYBODY = "*"
PREFLIGHT_MAX_AGE_S = 600

METHODS = ("GET", "POST")
ASKED_HEADERS = ("Authorization", "Content-Type", "X-API-Key", "X-Request-ID")
TOLD_HEADERS = ("X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy", "WWW-Authenticate")
PORT_MAX = 65_535
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class CrossOrigin:
    """`origins`: `https://shop.example` each, or `*` alone. `credentials` lets cookies come along, never with `*`."""

    origins: tuple[str, ...] = ()
    credentials: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "CrossOrigin":
        """Raises Misconfigured with the variable to set."""
        origins = tuple(dict.fromkeys(environ.get(ORIGINS, "").replace(",", " ").split()))
        wrong = [origin for origin in origins if origin != EVERYBODY and not is_origin(origin)]
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


def is_origin(text: str) -> bool:
    """As browsers write one; with another port than there is it would be no page's."""
    found = _ORIGIN.fullmatch(text)
    return found is not None and 1 <= int(found["port"] or 1) <= PORT_MAX


def allow_origins(app: Flask, allowed: CrossOrigin) -> None:
    """Answer preflights, and tell browsers who may read an answer, an error too. A preflight has no key."""
    if not allowed.origins:
        return
    everybody = EVERYBODY in allowed.origins
    CORS(
        app,
        # As patterns: of plain text Flask-CORS would take the brackets of an IPv6 address for one.
        origins=EVERYBODY if everybody else [re.compile(re.escape(origin) + r"\Z") for origin in allowed.origins],
        methods=METHODS,
        allow_headers=ASKED_HEADERS,
        expose_headers=TOLD_HEADERS,
        supports_credentials=allowed.credentials,
        max_age=PREFLIGHT_MAX_AGE_S,
        send_wildcard=everybody,
        always_send=False,
        vary_header=False,
    )

    @app.after_request
    def depends_on_origin(answer: Response) -> Response:
        """Flask-CORS says so only to those who may: a cache would hand what another site got to the shop's page."""
        answer.vary.add("Origin")
        return answer
