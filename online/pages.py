"""Pages for people: the search page, and one for each type of problem."""

from flask import Blueprint, Flask, Response, render_template

from online.problems import NOT_FOUND, PROBLEM_TYPES, ProblemRaised

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "Referrer-Policy": "same-origin",
}


def add_pages(app: Flask) -> None:
    pages = Blueprint("pages", __name__)

    @pages.get("/")
    def search_page() -> Response:
        return _page("search.html")

    @pages.get("/problems/<name>")
    def problem_page(name: str) -> Response:
        if name not in PROBLEM_TYPES:
            raise ProblemRaised(NOT_FOUND, f"there is no problem type {name[:64]!r}")
        return _page("problem.html", problem=PROBLEM_TYPES[name])

    app.register_blueprint(pages)


def _page(template: str, **values: object) -> Response:
    return Response(render_template(template, **values), mimetype="text/html", headers=SECURITY_HEADERS)
