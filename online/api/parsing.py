"""From an HTTP request to a question: multipart or JSON, each field checked and named when it is wrong."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from flask import Request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from online.api.problems import BAD_JSON, BAD_REQUEST, INVALID_FIELDS, NO_QUERY, UNSUPPORTED_MEDIA_TYPE, ProblemRaised
from schemas.api.answers import FieldError
from schemas.api.fields import PHOTOS_MAX
from schemas.api.filters import Filters
from schemas.api.requests import ClickRequest, LinkingRequest, RankWeights, SearchRequest

MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"

OBJECT_PARTS: dict[str, type[BaseModel]] = {"filters": Filters, "rank": RankWeights}
"""What a form carries as JSON."""

LIST_FIELDS = ("image_base64", "image_url", "image_weights", "negative_image_base64", "liked", "disliked", "facets")
"""What a form carries as a field for each value."""

BESIDE_CURSOR = {"cursor", "k", "facets", "explain", "user_id"}
"""What the request for a later page may say."""

FILES = ("image", "negative_image")

_FORM_ADVICE = "send all of it, in UTF-8, and let what writes the form write Content-Type with its boundary too"

_NO_UTF8 = "\ufffd"

Model = TypeVar("Model", bound=BaseModel)
LinkReader = Callable[[str], bytes]


@dataclass(frozen=True)
class Question:
    """What is asked: the fields, each in its range, and the bytes of the photos, `images` as many as their weights.

    `photo_fields` names the field that each photo came in, the negative ones last.
    """

    fields: SearchRequest
    images: tuple[bytes, ...] = ()
    negative_images: tuple[bytes, ...] = ()
    photo_fields: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that say what to find: image, text, product_id, liked."""
        asked = {
            "image": self.images, "text": self.fields.text, "product_id": self.fields.product_id,
            "liked": self.fields.liked,
        }  # fmt: skip
        return tuple(name for name, value in asked.items() if value)

    @property
    def kind(self) -> str:
        """The one part, or mixed; cursor for a later page."""
        if self.fields.cursor is not None:
            return "cursor"
        return self.parts[0] if len(self.parts) == 1 else "mixed"


def parse_search(request: Request, read_link: LinkReader | None = None) -> Question:
    """Photos by link are read with `read_link`; without it there are none.

    Raises ProblemRaised: bad-json, bad-request, unsupported-media-type, invalid-fields or no-query, and what `read_link`
    raises.
    """
    model = SearchRequest if read_link is None else LinkingRequest
    _refuse_compressed(request)
    if request.mimetype == JSON:
        files: dict[str, list[bytes]] = {}
        fields = _read_json(request, model)
    elif request.mimetype in (MULTIPART, URLENCODED):
        _refuse_unsound_form(request)
        files = _read_files(request)
        fields = _read_form(request, model)
    else:
        raise _unsupported(request, MULTIPART, JSON)
    images, links = _all_photos("image", files, fields.image_base64), tuple[str, ...]()
    if read_link is not None and isinstance(fields, LinkingRequest) and fields.cursor is None:
        links = tuple(fields.image_url or ())
        images = _with_linked(images, links, read_link)
    negative_images = _all_photos("negative_image", files, fields.negative_image_base64)
    photo_fields = (
        *_places("image", files.get("image", ())), *_places("image_base64", fields.image_base64 or (), is_list=True),
        *_places("image_url", links), *_places("negative_image", files.get("negative_image", ())),
        *_places("negative_image_base64", fields.negative_image_base64 or (), is_list=True),
    )  # fmt: skip
    question = Question(fields, images, negative_images, photo_fields)
    if fields.cursor is not None:
        _refuse_beside_cursor(question)
        return question
    if not question.parts:
        needed = ("image", "image_base64", "text", "product_id", "liked")
        errors = [FieldError(field=name, message=f"one of {', '.join(needed)} is needed") for name in needed]
        raise ProblemRaised(NO_QUERY, f"nothing says what to find: send at least one of {', '.join(needed)}", errors)
    _refuse_what_does_not_fit(question)
    return question


def _refuse_beside_cursor(question: Question) -> None:
    """Raises ProblemRaised: invalid-fields, where a cursor comes with what it brings itself.

    A default says nothing: clients that are made from the document send each with every request.
    """
    fields = question.fields
    defaults = {name: field.default for name, field in type(fields).model_fields.items()}
    given = {name for name in set(defaults) - BESIDE_CURSOR if getattr(fields, name) != defaults[name]}
    given |= {
        name for name, photos in (("image", question.images), ("negative_image", question.negative_images)) if photos
    }
    if given:
        message = (
            f"comes with the cursor: leave it out (beside a cursor: {', '.join(sorted(BESIDE_CURSOR - {'cursor'}))})"
        )
        raise _wrong_fields([FieldError(field=name, message=message) for name in sorted(given)])


def _refuse_what_does_not_fit(question: Question) -> None:
    """Raises ProblemRaised: invalid-fields, where single fields are right and do not go together."""
    weights, images = question.fields.image_weights, question.images
    if weights is not None and len(weights) != len(images):
        message = f"{len(weights)} weights for {len(images)} photos"
        raise _wrong_fields([FieldError(field="image_weights", message=message)])
    if question.fields.bbox is not None and len(images) != 1:
        raise _wrong_fields([FieldError(field="bbox", message=f"needs exactly one photo, not {len(images)}")])


def parse_click(request: Request) -> ClickRequest:
    """Raises ProblemRaised: bad-json, bad-request, unsupported-media-type or invalid-fields."""
    _refuse_compressed(request)
    if request.mimetype == JSON:
        return _read_json(request, ClickRequest)
    if request.mimetype in (MULTIPART, URLENCODED):
        _refuse_unsound_form(request)
        return _read_form(request, ClickRequest)
    raise _unsupported(request, JSON)


def _read_json(request: Request, model: type[Model]) -> Model:
    """Types must be right as they stand: \"5\" is no number."""
    try:
        body: Any = json.loads(_read_body(request))
    except (ValueError, RecursionError) as error:
        raise ProblemRaised(BAD_JSON, f"{_one_line(error)}: send one JSON object in UTF-8") from None
    if not isinstance(body, dict):
        raise ProblemRaised(BAD_JSON, "the body is JSON, but no object: send {...}")
    try:
        return model.model_validate(body, strict=True)
    except ValidationError as error:
        raise _invalid(error) from None


def _read_body(request: Request) -> bytes:
    """Raises RequestEntityTooLarge. Werkzeug cuts a body that does not say its length off at the limit, without a word."""
    body = request.get_data(cache=False)
    limit = request.max_content_length
    if request.content_length is None and limit is not None and len(body) >= limit:
        raise RequestEntityTooLarge
    return body


class StrictRequest(Request):
    """A form that cannot be read raises ValueError. Werkzeug takes it for an empty one, without a word."""

    def make_form_data_parser(self) -> FormDataParser:
        parser = super().make_form_data_parser()
        parser.silent = False
        return parser


def _refuse_unsound_form(request: Request) -> None:
    """Raises ProblemRaised: unsupported-media-type, bad-request or invalid-fields. Werkzeug reads a part without a name
    under None, and leaves %FC, which is no UTF-8, as it is.
    """
    try:
        if request.mimetype == URLENCODED:
            body = request.get_data()
            if body.lstrip().startswith(b"{"):  # curl and others call all that they send a form, unless told otherwise
                raise ProblemRaised(
                    UNSUPPORTED_MEDIA_TYPE, f"the body is JSON, and is called {URLENCODED}: send {JSON}"
                )
            unquote_to_bytes(body).decode()
        nameless = None in request.form or None in request.files
    except ValueError as error:
        raise ProblemRaised(BAD_REQUEST, f"the form cannot be read ({_one_line(error)}): {_FORM_ADVICE}") from None
    if nameless:
        raise _wrong_fields([FieldError(field="body", message="a part of the form has no name")])


def _read_form(request: Request, model: type[Model]) -> Model:
    """A form has text only, so numbers are read from text. A field that is empty counts as not sent."""
    form = _form_texts(request)
    lists = [name for name in LIST_FIELDS if name in model.model_fields]
    twice = [name for name, values in form.lists() if len(values) > 1 and name not in lists]
    if twice:
        raise _wrong_fields([FieldError(field=name[:100], message="given more than once") for name in twice])
    given: dict[str, Any] = {name: value for name, value in form.items() if name not in lists and value.strip()}
    several = {name: [value for value in form.getlist(name) if value.strip()] for name in lists}
    given |= {name: values for name, values in several.items() if values}
    given |= {name: _read_part(name, given[name], part) for name, part in OBJECT_PARTS.items() if name in given}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _invalid(error) from None


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
        raise _wrong_fields(
            [FieldError(field=name[:100], message="holds U+FFFD, as what is not in UTF-8 does") for name in wrong]
        )
    return texts


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


def _read_files(request: Request) -> dict[str, list[bytes]]:
    """The photos by field; a file field that was left empty, as browsers send it, counts as not sent."""
    wrong = [
        FieldError(field=name[:100], message="no file is taken here")
        for name in request.files
        if name not in (*FILES, *OBJECT_PARTS)
    ]
    wrong += [
        FieldError(field=name, message=f"must be a file part, with a filename; or send {name}_base64")
        for name in FILES
        if request.form.get(name)
    ]
    if wrong:
        raise _wrong_fields(wrong)
    sent = {name: [(file.filename, file.read()) for file in request.files.getlist(name)] for name in FILES}
    return {name: [photo for filename, photo in files if filename or photo] for name, files in sent.items()}


def _all_photos(name: str, files: dict[str, list[bytes]], encoded: list[str] | None) -> tuple[bytes, ...]:
    """The files of a field, then what came as base64, with or without line breaks (RFC 2045) and the head of a data URL."""
    photos = list(files.get(name, ()))
    for number, text in enumerate(encoded or ()):
        _, _, payload = text.rpartition(";base64,")
        try:
            photos.append(base64.b64decode("".join(payload.split()), validate=True))
        except ValueError as error:
            message = f"is no base64: {_one_line(error)}"
            raise _wrong_fields([FieldError(field=f"{name}_base64.{number}", message=message)]) from None
    if len(photos) > PHOTOS_MAX:
        raise _wrong_fields([FieldError(field=name, message=f"{len(photos)} photos, more than {PHOTOS_MAX}")])
    return tuple(photos)


def _places(name: str, sent: Sequence[object], *, is_list: bool = False) -> list[str]:
    """What each of a field's photos is called: the field, with its number where there are several, or in a list."""
    return [name] if len(sent) == 1 and not is_list else [f"{name}.{number}" for number in range(len(sent))]


def _with_linked(images: tuple[bytes, ...], links: Sequence[str], read_link: LinkReader) -> tuple[bytes, ...]:
    if len(images) + len(links) > PHOTOS_MAX:
        message = f"{len(images) + len(links)} photos, more than {PHOTOS_MAX}"
        raise _wrong_fields([FieldError(field="image_url", message=message)])
    return (*images, *map(read_link, links))


def _refuse_compressed(request: Request) -> None:
    coding = request.headers.get("Content-Encoding", "").strip()[:100]
    if coding.lower() not in ("", "identity"):
        raise ProblemRaised(UNSUPPORTED_MEDIA_TYPE, f"the body has Content-Encoding {coding}: send it uncompressed")


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
