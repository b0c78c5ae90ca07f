"""Pages for people: the search page, the API to try, and one page for each type of problem."""

from pathlib import Path

import flask_openapi3_swagger
from flask import Blueprint, Flask, Response, render_template, send_from_directory

from online.api.problems import NOT_FOUND, PROBLEM_TYPES, ProblemRaised

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
# Swagger UI writes style attributes and draws with data: pictures; its scripts are held like ours.
API_PAGE_POLICY = CONTENT_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(
    "blob:", "blob: data:"
)
SWAGGER_UI = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"


def add_pages(app: Flask) -> None:
    pages = Blueprint("pages", __name__)

    @pages.get("/")
    def search_page() -> Response:
        return _page("search.html")

    @pages.get("/docs")
    def api_page() -> Response:
        page = _page("api.html")
        page.headers["Content-Security-Policy"] = API_PAGE_POLICY
        return page

    @pages.get("/docs/swagger/<path:name>")
    def api_page_file(name: str) -> Response:
        return send_from_directory(SWAGGER_UI, name)

    @pages.get("/problems/<name>")
    def problem_page(name: str) -> Response:
        if name not in PROBLEM_TYPES:
            raise ProblemRaised(NOT_FOUND, f"there is no problem type {name[:64]!r}")
        return _page("problem.html", problem=PROBLEM_TYPES[name])

    app.register_blueprint(pages)


def _page(template: str, **values: object) -> Response:
    headers = {"Content-Security-Policy": CONTENT_POLICY, "Referrer-Policy": "same-origin"}
    return Response(render_template(template, **values), mimetype="text/html", headers=headers)
