"""Who may ask what: a key with the scope that the route needs; without any keys, this machine only."""

from collections.abc import Sequence

from flask import Flask, g, request
from flask_openapi3.openapi import OpenAPI
from werkzeug.datastructures import Headers

from online.access.exposure import is_loopback
from online.access.keys import ApiKey, Scope, find_key
from online.api.document import problems
from online.api.problems import KEY_REQUIRED, KEY_UNKNOWN, LOOPBACK_ONLY, SCOPE_MISSING, ProblemRaised

API_KEY = "X-API-Key"
REALM = 'Bearer realm="shoplens"'

SCOPES = {"search": Scope.SEARCH, "click": Scope.CLICK, "metrics": Scope.ADMIN}
OPEN_ENDPOINTS = frozenset(
    # Probes have no key, <img> elements cannot send one, and the rest is the same for every shop.
    {"health", "ready", "image", "static", "openapi_document", "pages.search_page", "pages.problem_page"}
    | {"pages.api_page", "pages.api_page_file"}
)


def admit_requests(app: Flask, keys: Sequence[ApiKey]) -> None:
    """Refuse who may not ask, before the body is read; `g.key` is the key of who may, or None. Call it after
    `surround_requests`, so that a refusal has an id and a line in the log."""

    @app.before_request
    def admit() -> None:
        g.key = None
        endpoint = request.endpoint
        if endpoint is None or endpoint in OPEN_ENDPOINTS or request.method == "OPTIONS":
            return
        if keys:
            g.key = _authorise(keys, needed_scope(endpoint))
        elif not is_loopback(request.remote_addr or ""):
            raise ProblemRaised(LOOPBACK_ONLY, f"{request.remote_addr} is not this machine, and there are no API keys")


def needed_scope(endpoint: str) -> Scope:
    """A route that nobody thought of is for administrators."""
    return SCOPES.get(endpoint, Scope.ADMIN)


def describe_admission(app: OpenAPI) -> None:
    """Say in the OpenAPI document which routes need a key, and how it is sent. Call it after `describe`."""
    document = app.spec_json
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "an API key"},
        "apiKey": {"type": "apiKey", "in": "header", "name": API_KEY},
    }
    for rule in app.url_map.iter_rules():
        path = document["paths"].get(rule.rule.replace("<", "{").replace(">", "}"))
        if path is None or rule.endpoint not in SCOPES:
            continue
        for operation in path.values():
            operation["security"] = [{"bearer": []}, {"apiKey": []}]
            operation["description"] = f"Needs a key with the scope `{needed_scope(rule.endpoint)}`, if there are keys."
            operation["responses"].update({str(status): each for status, each in problems(401, 403, 429).items()})


def _authorise(keys: Sequence[ApiKey], scope: Scope) -> ApiKey:
    sent = _sent_key(request.headers)
    if sent is None:
        raise ProblemRaised(
            KEY_REQUIRED,
            f"send `Authorization: Bearer <key>` or `{API_KEY}: <key>`, with the scope {scope}",
            headers={"WWW-Authenticate": REALM},
        )
    key = find_key(keys, sent)
    if key is None:
        raise ProblemRaised(
            KEY_UNKNOWN, KEY_UNKNOWN.advice, headers={"WWW-Authenticate": f'{REALM}, error="invalid_token"'}
        )
    if scope not in key.scopes:
        raise ProblemRaised(
            SCOPE_MISSING,
            f"key {key.key_id} has the scopes {', '.join(sorted(key.scopes))}; this needs {scope}",
            headers={"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{scope}"'},
        )
    return key


def _sent_key(headers: Headers) -> str | None:
    scheme, _, token = headers.get("Authorization", "").strip().partition(" ")
    return (token.strip() if scheme.lower() == "bearer" else headers.get(API_KEY, "").strip()) or None
