"""The OpenAPI 3.1 document: what the decorators of the routes cannot say."""

from functools import cache
from typing import Any, Literal

from flask import Response
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel

from online.api.problems import MIMETYPE, PROBLEM_TYPES
from schemas.api.answers import HealthResponse, Problem, ReadyResponse, SearchResponse
from schemas.api.requests import ClickRequest, LinkingForm, LinkingRequest, SearchForm, SearchRequest

_Mode = Literal["validation", "serialization"]

_REF = "#/components/schemas"
_OF_SHOPPERS = {"search", "click", "image"}
_ANSWERS = (SearchResponse, HealthResponse, ReadyResponse)


def _content(model: type[BaseModel], **more: Any) -> dict[str, Any]:
    return {"schema": {"$ref": f"{_REF}/{model.__name__}"}, **more}


SEARCH_BODY = {
    "required": True,
    "content": {
        # Without an example pages of the document would make one of all fields at once, which is no question.
        "application/json": _content(SearchRequest, example={"text": "red summer dress", "k": 5}),
        "multipart/form-data": _content(SearchForm),
    },
}
CLICK_BODY = {"required": True, "content": {"application/json": _content(ClickRequest)}}


def problems(*statuses: int) -> dict[str | int, type[BaseModel] | dict[Any, Any] | None]:
    """The responses of a route that may answer with these statuses: each a problem, of the types that have it."""
    return {status: _problem_response(status) for status in statuses}


def answers_with(model: type[BaseModel]) -> dict[str, Any]:
    """The response that is such a model. Its schema is made once a process: the library would make it for every app."""
    return {"description": "OK", "content": {"application/json": {"schema": {"$ref": f"{_REF}/{model.__name__}"}}}}


def describe(app: OpenAPI, *, with_links: bool = False) -> None:
    """Serve the document at /openapi.json; `with_links` where photos may come by link."""

    @app.get("/openapi.json", doc_ui=False)
    def openapi_document() -> Response:
        return Response(app.json.dumps(app.api_doc), mimetype="application/json")

    app.components_schemas.update(_schemas(*_ANSWERS, mode="serialization"))
    app.components_schemas.update(_schemas(SearchForm, SearchRequest, ClickRequest, Problem))
    if with_links:
        for model, linking in ((SearchForm, LinkingForm), (SearchRequest, LinkingRequest)):
            app.components_schemas[model.__name__] = _schemas(linking)[linking.__name__]
    form = SearchForm.__name__
    app.components_schemas[form] = _as_form(app.components_schemas[form])
    app.generate_spec_json()  # type: ignore[no-untyped-call]
    _drop_library_errors(app.spec_json)
    _name_operations(app)


def _problem_response(status: int) -> dict[str, Any]:
    names = [f"`/problems/{name}`" for name, kind in PROBLEM_TYPES.items() if kind.status == status]
    return {
        "description": f"A problem of type {' or '.join(names)}",
        "content": {MIMETYPE: {"schema": {"$ref": f"{_REF}/{Problem.__name__}"}}},
    }


@cache
def _schema_of(model: type[BaseModel], mode: _Mode) -> dict[str, Any]:
    return model.model_json_schema(ref_template=_REF + "/{model}", mode=mode)


def _schemas(*models: type[BaseModel], mode: _Mode = "validation") -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for model in models:
        schema = _schema_of(model, mode)
        schemas.update(schema.get("$defs", {}))
        schemas[model.__name__] = {name: part for name, part in schema.items() if name != "$defs"}
    return schemas


def _as_form(schema: dict[str, Any]) -> dict[str, Any]:
    """A form has no null: what writes one from the document, such as /docs, would send the word."""
    return {**schema, "properties": {name: _never_null(field) for name, field in schema["properties"].items()}}


def _never_null(field: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    if not kinds:
        return field
    said = {name: part for name, part in field.items() if name not in ("anyOf", "default")}
    return {**said, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})}


def _drop_library_errors(document: dict[str, Any]) -> None:
    """The library gives every route an error of its own form; ours answer with problems only."""
    document["components"]["schemas"].pop("ValidationErrorModel", None)
    document["components"]["schemas"].pop("UnprocessableEntity", None)
    for path in document["paths"].values():
        for operation in path.values():
            answer = operation["responses"].get("422", {})
            if MIMETYPE not in answer.get("content", {}):
                operation["responses"].pop("422", None)


def _name_operations(app: OpenAPI) -> None:
    """By their routes, so that a generated client has `search.search()` and `state.ready()`."""
    paths = app.spec_json["paths"]
    for rule in app.url_map.iter_rules():
        for operation in paths.get(rule.rule.replace("<", "{").replace(">", "}"), {}).values():
            operation["operationId"] = rule.endpoint
            operation["tags"] = ["search" if rule.endpoint in _OF_SHOPPERS else "state"]
