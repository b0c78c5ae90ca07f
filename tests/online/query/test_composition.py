"""What a query of several parts finds, in the shop of plain colours."""

import base64
import io

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from online.api.parsing import Question
from online.api.problems import ProblemRaised
from online.query.composition import Mix, Query, compose_query
from online.searcher import Searcher
from online.telemetry.stopwatch import Stopwatch
from retrieval.encoders.contract import unit_rows
from schemas.api.requests import SearchRequest
from schemas.manifest import SearchParameters
from tests.online.tiny_shop import COLOURS, photo_of, vector_of


def compose(
    searcher: Searcher, images: tuple[bytes, ...] = (), negative: tuple[bytes, ...] = (), **fields: object
) -> Query:
    places = ("image",) * len(images) + ("negative_image",) * len(negative)
    question = Question(SearchRequest.model_validate(fields, strict=True), images, negative, places)
    return compose_query(searcher.snapshot(), question, Stopwatch())


def colour(name: str) -> np.ndarray:
    return vector_of(COLOURS[name])[0]


def towards(query: Query, name: str) -> float:
    return float(query.unit_vector @ colour(name))


def base64_of(photo: bytes) -> str:
    return base64.b64encode(photo).decode()


def two_colours() -> bytes:
    """Red above, blue below."""
    image = Image.new("RGB", (60, 40), COLOURS["red"])
    image.paste(COLOURS["blue"], (0, 20, 60, 40))
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()


def test_several_photos_are_averaged_by_weight(searcher: Searcher) -> None:
    photos = (photo_of(COLOURS["red"]), photo_of(COLOURS["blue"]))
    even = compose(searcher, photos)
    assert even.unit_vector == pytest.approx(unit_rows((colour("red") + colour("blue"))[np.newaxis])[0], abs=1e-5)
    skewed = compose(searcher, photos, image_weights=[3.0, 1.0])
    expected = unit_rows((3 * colour("red") + colour("blue"))[np.newaxis])[0]
    assert skewed.unit_vector == pytest.approx(expected, abs=1e-5)


def test_a_photo_and_words_are_mixed_by_the_image_weight(searcher: Searcher) -> None:
    photo = (photo_of(COLOURS["red"]),)
    default = compose(searcher, photo, text="blue")
    expected = unit_rows((0.7 * colour("red") + 0.3 * colour("blue"))[np.newaxis])[0]
    assert default.unit_vector == pytest.approx(expected, abs=1e-5)
    assert towards(compose(searcher, photo, text="blue", image_weight=1.0), "red") == pytest.approx(1, abs=1e-5)
    assert towards(compose(searcher, photo, text="blue", image_weight=0.0), "blue") == pytest.approx(1, abs=1e-5)


def test_the_parts_weights_explain_the_cosine(searcher: Searcher) -> None:
    query = compose(searcher, (photo_of(COLOURS["red"]),), text="blue", negative_text="green", liked=["hat-yellow"])
    parts = {part.field: part.weight for part in query.mix.parts}
    assert parts["negative_text"] < 0 < min(parts["image"], parts["text"], parts["liked"])
    row = colour("black")
    cosines = {"image": "red", "text": "blue", "negative_text": "green", "liked": "yellow"}
    summed = sum(weight * float(colour(cosines[field]) @ row) for field, weight in parts.items())
    assert summed == pytest.approx(float(query.unit_vector @ row), abs=1e-3)


@pytest.mark.parametrize("fields", [{"negative_text": "green"}, {"disliked": ["sock-green"]}])
def test_what_is_not_wanted_pushes_the_query_away(searcher: Searcher, fields: dict[str, object]) -> None:
    assert towards(compose(searcher, text="white", **fields), "green") < towards(
        compose(searcher, text="white"), "green"
    )


def test_a_negative_photo_pushes_the_query_away(searcher: Searcher) -> None:
    pushed = compose(searcher, negative=(photo_of(COLOURS["green"]),), text="white")
    assert towards(pushed, "green") < towards(compose(searcher, text="white"), "green")


def test_liked_products_draw_the_query_and_their_mean_is_enough_alone(searcher: Searcher) -> None:
    drawn = compose(searcher, text="white", liked=["sock-green"])
    assert towards(drawn, "green") > towards(compose(searcher, text="white"), "green")
    assert towards(compose(searcher, liked=["sock-green"]), "green") == pytest.approx(1, abs=1e-3)


def test_products_that_were_judged_are_not_shown_again(client: FlaskClient) -> None:
    def groups(**body: object) -> set[str]:
        return {result["group_id"] for result in client.post("/search", json=body).get_json()["results"]}

    assert groups(text="red", disliked=["shirt-blue"]) == {"sock-green", "hat-yellow", "coat-black"}
    assert "shirt" in groups(text="red", liked=["shirt-red"])
    assert groups(liked=["shirt-red", "sock-green"]) == {"hat-yellow", "coat-black"}
    assert groups(product_id="hat-yellow", text="red") == {"shirt", "sock-green", "coat-black"}


def test_a_judged_product_that_is_gone_is_left_aside_and_said(searcher: Searcher) -> None:
    query = compose(searcher, text="red", liked=["gone"], disliked=["gone too"])
    assert [note.split("'")[1] for note in query.notes] == ["gone", "gone too"]
    assert [part.field for part in query.mix.parts] == ["text"]


def test_liked_products_that_are_all_gone_are_not_found(client: FlaskClient) -> None:
    answer = client.post("/search", json={"liked": ["gone"]})
    assert (answer.status_code, answer.get_json()["type"]) == (404, "/problems/product-not-found")
    assert answer.get_json()["errors"][0]["field"] == "liked"


def test_parts_that_cancel_out_are_refused(client: FlaskClient, searcher: Searcher) -> None:
    red = Mix.of("text", "text", colour("red"))
    with pytest.raises(ProblemRaised, match="cancel out"):
        red.plus(Mix.of("negative_text", "text", colour("red")).times(-1)).unit()
    answer = client.post("/search", json={"text": "red", "negative_text": "red"})
    assert answer.status_code == 200  # half of it is left


@pytest.mark.parametrize(("bbox", "name"), [("0,0,60,20", "red"), ("0,20,60,40", "blue"), ("5.5,22,50,39.9", "blue")])
def test_a_box_searches_inside_the_photo(searcher: Searcher, bbox: str, name: str) -> None:
    assert towards(compose(searcher, (two_colours(),), bbox=bbox), name) == pytest.approx(1, abs=1e-3)


def test_a_box_counts_in_pixels_of_the_upright_photo(searcher: Searcher) -> None:
    """The file lies on its side: stored 60 x 40, upright 40 x 60, with red on the right."""
    sink = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(two_colours())).save(sink, "JPEG", exif=exif, quality=95, subsampling=0)
    assert towards(compose(searcher, (sink.getvalue(),), bbox="24,0,40,60"), "red") > 0.99
    assert towards(compose(searcher, (sink.getvalue(),), bbox="0,0,16,60"), "blue") > 0.99
    with pytest.raises(ProblemRaised, match="40 x 60"):
        compose(searcher, (sink.getvalue(),), bbox="0,0,60,40")


def test_a_small_box_of_a_large_photo_is_cut_where_it_is_though_the_photo_is_decoded_smaller(
    searcher: Searcher,
) -> None:
    image = Image.new("RGB", (2_000, 1_000), COLOURS["blue"])
    image.paste(COLOURS["yellow"], (1_504, 304, 1_696, 496))
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=95, subsampling=0)
    assert towards(compose(searcher, (sink.getvalue(),), bbox="1520,320,1680,480"), "yellow") > 0.99


def test_a_photo_as_base64_is_the_same_as_a_file(client: FlaskClient) -> None:
    photo = photo_of(COLOURS["green"], "JPEG")
    as_file = client.post("/search", data={"image": (io.BytesIO(photo), "a.jpg")}).get_json()["results"]
    wrapped = base64.encodebytes(photo).decode()
    for text in (base64_of(photo), wrapped, f"data:image/jpeg;base64,{base64_of(photo)}", [base64_of(photo)]):
        assert client.post("/search", json={"image_base64": text}).get_json()["results"] == as_file
    assert client.post("/search", data={"image_base64": base64_of(photo)}).get_json()["results"] == as_file


def test_a_form_and_json_ask_the_same(client: FlaskClient) -> None:
    photos = [photo_of(COLOURS[name]) for name in ("red", "green")]
    lists = {"image_weights": [2.5, 1.0], "liked": ["shirt-red", "sock-green"], "disliked": ["hat-yellow"]}
    rest = {"text": "blue", "image_weight": 0.4, "negative_text": "white", "k": 3}
    json_body = {**lists, **rest, "image_base64": [base64_of(photo) for photo in photos]}
    form = {**lists, **rest, "image": [(io.BytesIO(photo), "a.png") for photo in photos]}
    asked = client.post("/search", data=form)
    assert asked.status_code == 200, asked.text
    assert asked.get_json()["results"] == client.post("/search", json=json_body).get_json()["results"]


def test_a_mixed_query_searches_as_widely_as_its_widest_part_needs(searcher: Searcher) -> None:
    photo, text = SearchParameters(4, 500), SearchParameters(16, 0)
    mixed = compose(searcher, (photo_of(COLOURS["red"]),), text="blue")
    assert mixed.parameters(photo, text) == SearchParameters(16, 500)
    assert compose(searcher, text="blue").parameters(photo, text) == text
