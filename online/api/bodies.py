"""From the body of a request to fields: JSON or a form, whole and sound, each field checked and named when it is wrong."""

import json
from collections import Counter
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from flask import Request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from online.api.problems import BAD_JSON, BAD_REQUEST, INVALID_FIELDS, UNSUPPORTED_MEDIA_TYPE, ProblemRaised
from schemas.api.answers import FieldError
from schemas.api.filters import Filters
from schemas.api.requests import RankWeights

MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"

OBJECT_PARTS: dict[str, type[BaseModel]] = {"filters": Filters, "rank": RankWeights}
"""What a form carries as JSON."""

LIST_FIELDS = ("image_base64", "image_url", "image_weights", "negative_image_base64", "liked", "disliked", "facets")
"""What a form carries as a field for each value."""

VALUES_MAX = 20_000
"""Of one body: more than every list of a question holds. Each value that is wrong is an error to be told, and a body of
nothing else would become gigabytes of them."""

ERRORS_MAX = 100
"""As many wrong fields are told one by one; nobody mends more at a time."""

DIGITS_MAX = 400
"""Of a whole number; a float has 309 at most."""

_NAMED_MAX = 5
_FORM_ADVICE = "send all of it, in UTF-8, and let what writes the form write Content-Type with its boundary too"

_NO_UTF8 = "\ufffd"

Model = TypeVar("Model", bound=BaseModel)


class StrictRequest(Request):
    """A form that cannot be read raises ValueError. Werkzeug takes it for an empty one, without a word."""

    def make_form_data_parser(self) -> FormDataParser:
        parser = super().make_form_data_parser()
        parser.silent = False
        return parser


def read_json(request: Request, model: type[Model]) -> Model:
    """Types must be right as they stand: \"5\" is no number. Raises ProblemRaised: bad-json, bad-request or
    invalid-fields."""
    try:
        body = _parse_json(_read_body(request))
    except (ValueError, RecursionError) as error:
        raise ProblemRaised(BAD_JSON, f"{one_line(error)}: send one JSON object in UTF-8") from None
    if not isinstance(body, dict):
        raise ProblemRaised(BAD_JSON, "the body is JSON, but no object: send {...}")
    try:
        return model.model_validate(body, strict=True)
    except ValidationError as error:
        raise _invalid(error) from None


def read_form(request: Request, model: type[Model]) -> Model:
    """A form has text only, so numbers are read from text. A field that is empty counts as not sent.

    Raises ProblemRaised: invalid-fields. Call it after `refuse_unsound_form`.
    """
    form = _form_texts(request)
    lists = [name for name in LIST_FIELDS if name in model.model_fields]
    twice = [name for name, values in form.lists() if len(values) > 1 and name not in lists]
    if twice:
        raise wrong_fields([FieldError(field=name[:100], message="given more than once") for name in twice])
    given: dict[str, Any] = {name: value for name, value in form.items() if name not in lists and value.strip()}
    several = {name: [value for value in form.getlist(name) if value.strip()] for name in lists}
    given |= {name: values for name, values in several.items() if values}
    given |= {name: _read_part(name, given[name], part) for name, part in OBJECT_PARTS.items() if name in given}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _invalid(error) from None


def refuse_unsound_form(request: Request) -> None:
    """Raises ProblemRaised: unsupported-media-type, bad-request or invalid-fields, and RequestEntityTooLarge. Werkzeug
    reads a part without a name under None, leaves %FC, which is no UTF-8, as it is, and counts the parts of one kind of
    form only.
    """
    try:
        if request.mimetype == URLENCODED:
            _refuse_unsound_link(_whole(request, request.get_data()), request.max_form_parts)
        nameless = None in request.form or None in request.files
    except ValueError as error:
        raise ProblemRaised(BAD_REQUEST, f"the form cannot be read ({one_line(error)}): {_FORM_ADVICE}") from None
    if nameless:
        raise wrong_fields([FieldError(field="body", message="a part of the form has no name")])


def refuse_compressed(request: Request) -> None:
    coding = request.headers.get("Content-Encoding", "").strip()[:100]
    if coding.lower() not in ("", "identity"):
        raise ProblemRaised(UNSUPPORTED_MEDIA_TYPE, f"the body has Content-Encoding {coding}: send it uncompressed")


def unsupported(request: Request, *taken: str) -> ProblemRaised:
    found = request.mimetype[:100] or "no type"
    return ProblemRaised(UNSUPPORTED_MEDIA_TYPE, f"the body has {found}: send {' or '.join(taken)}")


def wrong_fields(errors: list[FieldError]) -> ProblemRaised:
    named = "; ".join(f"{wrong.field}: {wrong.message}" for wrong in errors[:_NAMED_MAX])
    more = f"; and {len(errors) - _NAMED_MAX} more" if len(errors) > _NAMED_MAX else ""
    return ProblemRaised(INVALID_FIELDS, named + more, errors[:ERRORS_MAX])


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _read_body(request: Request) -> bytes:
    """Raises RequestEntityTooLarge. Werkzeug cuts a body that does not say its length off at the limit, without a word."""
    body = request.get_data(cache=False)
    limit = request.max_content_length
    if request.content_length is None and limit is not None and len(body) >= limit:
        raise RequestEntityTooLarge
    return _whole(request, body)


def _whole(request: Request, body: bytes) -> bytes:
    """Raises ProblemRaised: bad-request. Of a client that goes away midway gunicorn hands on what came, without a word:
    a question or a click about something else."""
    if len(body) < (request.content_length or 0):
        detail = f"{request.content_length} bytes were announced, and {len(body)} came: send all of them"
        raise ProblemRaised(BAD_REQUEST, detail)
    return body


def _refuse_unsound_link(body: bytes, parts_max: int | None) -> None:
    if body.lstrip().startswith(b"{"):  # curl and others call all that they send a form, unless told otherwise
        raise ProblemRaised(UNSUPPORTED_MEDIA_TYPE, f"the body is JSON, and is called {URLENCODED}: send {JSON}")
    if parts_max is not None and body.count(b"&") >= parts_max:
        raise RequestEntityTooLarge
    unquote_to_bytes(body).decode()


def _parse_json(text: bytes | str, within: tuple[str, ...] = ()) -> Any:
    """Raises ValueError or RecursionError where it is no JSON, and ProblemRaised: invalid-fields."""
    commas = text.count(b",") if isinstance(text, bytes) else text.count(",")
    if commas >= VALUES_MAX:
        message = f"holds more than {VALUES_MAX:,} values"
        raise wrong_fields([FieldError(field=".".join(within) or "body", message=message)])

    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Python keeps the last of several, and the others would be left out without a word."""
        found = dict(pairs)
        if len(found) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice = [_path(*within, name) for name, count in counts.items() if count > 1]
            raise wrong_fields([FieldError(field=path, message="given more than once") for path in twice])
        return found

    return json.loads(text, object_pairs_hook=once_each, parse_int=_read_digits)


def _read_digits(digits: str) -> int | float:
    """Of thousands of digits Python makes no integer, and says so without the field: infinity then, which no field takes."""
    return int(digits) if len(digits) <= DIGITS_MAX else float(digits)


def _path(*names: object) -> str:
    """The name of a field for an answer, which is UTF-8: a name in JSON may be half of a pair of surrogates."""
    return ".".join(map(str, names))[:100].encode(errors="replace").decode()


def _form_texts(request: Request) -> MultiDict[str, str]:
    """The fields of a form, with JSON that came as a file: a browser gives a Blob a filename, asked for or not.

    Raises ProblemRaised: invalid-fields. Werkzeug reads what is no UTF-8 as U+FFFD, and would ask for something else.
    """
    texts = MultiDict(request.form)
    for name in OBJECT_PARTS:
        for file in request.files.getlist(name):
            texts.add(name, file.read().decode(errors="replace"))
    wrong = dict.fromkeys(name for name, text in texts.items(multi=True) if _NO_UTF8 in text)
    if wrong:
        raise wrong_fields(
            [FieldError(field=name[:100], message="holds U+FFFD, as what is not in UTF-8 does") for name in wrong]
        )
    return texts


def _read_part(name: str, text: str, model: type[BaseModel]) -> BaseModel:
    """A part of a form that holds a JSON object; its types must be right as they stand."""
    try:
        found = _parse_json(text.removeprefix("\ufeff"), (name,))  # of a body Python takes it off itself
    except (ValueError, RecursionError) as error:
        raise wrong_fields([FieldError(field=name, message=f"must be JSON: {one_line(error)}")]) from None
    try:
        return model.model_validate(found, strict=True)
    except ValidationError as error:
        raise _invalid(error, (name,)) from None


def _invalid(error: ValidationError, within: tuple[str, ...] = ()) -> ProblemRaised:
    return wrong_fields(
        [
            FieldError(field=_path(*within, *line["loc"]) or "body", message=line["msg"].removeprefix("Value error, "))
            for line in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    )
