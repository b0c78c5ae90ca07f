"""From an HTTP request to a question: multipart or JSON, each field checked and named when it is wrong."""

import json
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Request
from pydantic import BaseModel, ValidationError

from online.problems import BAD_JSON, INVALID_FIELDS, ONE_QUERY, UNSUPPORTED_MEDIA_TYPE, ProblemRaised
from schemas.api import ClickRequest, FieldError, Filters, SearchRequest

MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"

OBJECT_PARTS: dict[str, type[BaseModel]] = {"filters": Filters}
"""What a form carries as JSON."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Question:
    """What is asked: exactly one of `photo` (file bytes), `text` and `product_id`, and `k` groups at most."""

    photo: bytes | None
    text: str | None
    product_id: str | None
    k: int
    user_id: str | None
    filters: Filters | None = None

    @property
    def kind(self) -> str:
        """image, text or product_id."""
        if self.photo is not None:
            return "image"
        return "text" if self.text is not None else "product_id"


def parse_search(request: Request) -> Question:
    """Raises ProblemRaised: bad-json, unsupported-media-type, invalid-fields or one-query."""
    if request.mimetype == JSON:
        fields, photo = _read_json(request, SearchRequest), None
    elif request.mimetype in (MULTIPART, URLENCODED):
        photo = _read_photo(request)
        fields = _read_form(request, SearchRequest)
    else:
        raise _unsupported(request, MULTIPART, JSON)
    asked = {"image": photo, "text": fields.text, "product_id": fields.product_id}
    given = [name for name, value in asked.items() if value is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        errors = [FieldError(field=name, message=f"exactly one of {', '.join(asked)}") for name in given]
        raise ProblemRaised(ONE_QUERY, f"{found} given: send exactly one of {', '.join(asked)}", errors)
    return Question(photo, fields.text, fields.product_id, fields.k, fields.user_id, fields.filters)


def parse_click(request: Request) -> ClickRequest:
    """Raises ProblemRaised: bad-json, unsupported-media-type or invalid-fields."""
    if request.mimetype == JSON:
        return _read_json(request, ClickRequest)
    if request.mimetype in (MULTIPART, URLENCODED):
        return _read_form(request, ClickRequest)
    raise _unsupported(request, JSON)


def _read_json(request: Request, model: type[Model]) -> Model:
    """Types must be right as they stand: \"5\" is no number."""
    try:
        body: Any = json.loads(request.get_data(cache=False))
    except (ValueError, RecursionError) as error:
        raise ProblemRaised(BAD_JSON, f"{_one_line(error)}: send one JSON object in UTF-8") from None
    if not isinstance(body, dict):
        raise ProblemRaised(BAD_JSON, "the body is JSON, but no object: send {...}")
    try:
        return model.model_validate(body, strict=True)
    except ValidationError as error:
        raise _invalid(error) from None


def _read_form(request: Request, model: type[Model]) -> Model:
    """A form has text only, so numbers are read from text. A field that is empty counts as not sent."""
    twice = [name for name, values in request.form.lists() if len(values) > 1]
    if twice:
        raise _wrong_fields([FieldError(field=name, message="given more than once") for name in twice])
    given: dict[str, Any] = {name: value for name, value in request.form.items() if value.strip()}
    given |= {name: _read_part(name, given[name], part) for name, part in OBJECT_PARTS.items() if name in given}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _invalid(error) from None


def _read_part(name: str, text: str, model: type[BaseModel]) -> BaseModel:
    """A part of a form that holds a JSON object; its types must be right as they stand."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong_fields([FieldError(field=name, message=f"must be JSON: {_one_line(error)}")]) from None
    try:
        return model.model_validate(found, strict=True)
    except ValidationError as error:
        raise _invalid(error, (name,)) from None


def _read_photo(request: Request) -> bytes | None:
    """The photo's bytes; a file field that was left empty, as browsers send it, counts as not sent."""
    wrong = [FieldError(field=name, message="no file is taken here") for name in request.files if name != "image"]
    photos = [file.read() for file in request.files.getlist("image") if file.filename or file.seek(0, 2)]
    if len(photos) > 1:
        wrong.append(FieldError(field="image", message="given more than once"))
    if request.form.get("image"):
        wrong.append(FieldError(field="image", message="must be a file part, with a filename"))
    if wrong:
        raise _wrong_fields(wrong)
    return photos[0] if photos else None


def _unsupported(request: Request, *taken: str) -> ProblemRaised:
    found = request.mimetype[:100] or "no type"
    return ProblemRaised(UNSUPPORTED_MEDIA_TYPE, f"the body has {found}: send {' or '.join(taken)}")


def _invalid(error: ValidationError, within: tuple[str, ...] = ()) -> ProblemRaised:
    return _wrong_fields(
        [
            FieldError(
                field=".".join(str(part) for part in (*within, *line["loc"]))[:100] or "body",
                message=line["msg"].removeprefix("Value error, "),
            )
            for line in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    )


def _wrong_fields(errors: list[FieldError]) -> ProblemRaised:
    named = "; ".join(f"{wrong.field}: {wrong.message}" for wrong in errors[:5])
    return ProblemRaised(INVALID_FIELDS, named, errors)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
