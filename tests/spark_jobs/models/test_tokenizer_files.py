"""tokenizer.json gives the ids that open_clip's own tokenizer gives."""

from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer, SigLipTokenizer, SimpleTokenizer
from tokenizers import Tokenizer

from retrieval.encoders.tokenizer import TextTokenizer
from schemas.errors import ModelUnavailable
from spark_jobs.models.packaged import text_package_folder
from spark_jobs.models.tokenizer_files import PROBE_TEXTS, tokenizer_file

_KINDS = [
    "black",
    "crème",
    "Größe 42",
    "men's",
    "it’s “new”",
    "T-shirt &amp; jeans",
    "100%",
    "赤い",
    "платье",
    "👗",
    "don't",
    "ﬁne",
]
TEXTS = [*PROBE_TEXTS, *(f"{left} {right}, {number}cm" for left in _KINDS for right in _KINDS for number in (1, 25))]


@lru_cache
def pair(kind: str) -> tuple[object, TextTokenizer]:
    theirs = (
        SimpleTokenizer(context_length=77)
        if kind == "clip"
        else HFTokenizer(str(text_package_folder()), context_length=64)
    )
    content, text_input = tokenizer_file(theirs)  # type: ignore[arg-type]
    return theirs, TextTokenizer(Tokenizer.from_buffer(content), text_input)


@pytest.mark.parametrize("kind", ["clip", "minilm"])
def test_some_three_hundred_texts_have_the_same_ids(kind: str) -> None:
    theirs, ours = pair(kind)
    assert len(TEXTS) > 300
    expected = theirs(TEXTS).numpy()  # type: ignore[operator]
    different = [
        text for text, one, other in zip(TEXTS, expected, ours.encode(TEXTS), strict=True) if (one != other).any()
    ]
    assert different == []


@pytest.mark.parametrize("kind", ["clip", "minilm"])
@settings(deadline=None)
@given(text=st.text(st.characters(codec="ascii", exclude_characters="&<>\x1b"), max_size=60))
def test_any_ascii_text_has_the_same_ids(kind: str, text: str) -> None:
    theirs, ours = pair(kind)
    assert ours.encode([text])[0].tolist() == theirs([text])[0].tolist()  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["clip", "minilm"])
@settings(deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_at_all_has_ids_within_the_context(kind: str, text: str) -> None:
    ids = pair(kind)[1].encode([text])[0]
    assert ids.min() >= 0
    assert ids.max() < 49408


def test_padding_to_the_longest_only_drops_padding() -> None:
    for kind in ("clip", "minilm"):
        ours = pair(kind)[1]
        short, full = ours.encode(["red", "two red shoes"], pad_to_longest=True), ours.encode(["red", "two red shoes"])
        assert short.shape[1] < full.shape[1]
        assert (full[:, : short.shape[1]] == short).all()
        assert (full[:, short.shape[1] :] == 0).all()


def test_a_tokenizer_that_cannot_be_written_is_refused() -> None:
    tokenizer = object.__new__(SigLipTokenizer)
    tokenizer.context_length = 64
    with pytest.raises(ModelUnavailable, match="SigLipTokenizer"):
        tokenizer_file(tokenizer)
