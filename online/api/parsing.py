"""From an HTTP request to a question: its fields and photos, and whether they go together."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Request

from online.api.bodies import (
    JSON,
    MULTIPART,
    OBJECT_PARTS,
    URLENCODED,
    one_line,
    read_form,
    read_json,
    refuse_compressed,
    refuse_unsound_form,
    unsupported,
    wrong_fields,
)
from online.api.problems import NO_QUERY, ProblemRaised
from schemas.api.answers import FieldError
from schemas.api.fields import PHOTOS_MAX
from schemas.api.requests import ClickRequest, LinkingRequest, SearchRequest

BESIDE_CURSOR = {"cursor", "k", "facets", "explain", "user_id"}
"""What the request for a later page may say."""

FILES = ("image", "negative_image")

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
    refuse_compressed(request)
    if request.mimetype == JSON:
        files: dict[str, list[bytes]] = {}
        fields = read_json(request, model)
    elif request.mimetype in (MULTIPART, URLENCODED):
        refuse_unsound_form(request)
        files = _read_files(request)
        fields = read_form(request, model)
    else:
        raise unsupported(request, MULTIPART, JSON)
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
        raise wrong_fields([FieldError(field=name, message=message) for name in sorted(given)])


def _refuse_what_does_not_fit(question: Question) -> None:
    """Raises ProblemRaised: invalid-fields, where single fields are right and do not go together."""
    weights, images = question.fields.image_weights, question.images
    if weights is not None and len(weights) != len(images):
        message = f"{len(weights)} weights for {len(images)} photos"
        raise wrong_fields([FieldError(field="image_weights", message=message)])
    if question.fields.bbox is not None and len(images) != 1:
        raise wrong_fields([FieldError(field="bbox", message=f"needs exactly one photo, not {len(images)}")])


def parse_click(request: Request) -> ClickRequest:
    """Raises ProblemRaised: bad-json, bad-request, unsupported-media-type or invalid-fields."""
    refuse_compressed(request)
    if request.mimetype == JSON:
        return read_json(request, ClickRequest)
    if request.mimetype in (MULTIPART, URLENCODED):
        refuse_unsound_form(request)
        return read_form(request, ClickRequest)
    raise unsupported(request, JSON)


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
        raise wrong_fields(wrong)
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
            message = f"is no base64: {one_line(error)}"
            raise wrong_fields([FieldError(field=f"{name}_base64.{number}", message=message)]) from None
    if len(photos) > PHOTOS_MAX:
        raise wrong_fields([FieldError(field=name, message=f"{len(photos)} photos, more than {PHOTOS_MAX}")])
    return tuple(photos)


def _places(name: str, sent: Sequence[object], *, is_list: bool = False) -> list[str]:
    """What each of a field's photos is called: the field, with its number where there are several, or in a list."""
    return [name] if len(sent) == 1 and not is_list else [f"{name}.{number}" for number in range(len(sent))]


def _with_linked(images: tuple[bytes, ...], links: Sequence[str], read_link: LinkReader) -> tuple[bytes, ...]:
    if len(images) + len(links) > PHOTOS_MAX:
        message = f"{len(images) + len(links)} photos, more than {PHOTOS_MAX}"
        raise wrong_fields([FieldError(field="image_url", message=message)])
    return (*images, *map(read_link, links))
