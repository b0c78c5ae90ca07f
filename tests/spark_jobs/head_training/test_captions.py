"""Captions say nothing that is not true of the photo they were drawn for."""

import random

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.head_training.captions import category_caption, photo_caption, words_for

SHIRT = {"category": "shirt", "colour": "red", "pattern": "striped", "material": "linen", "kids": "True"}


def test_a_label_that_is_unknown_stands_for_itself():
    assert words_for("Garden_Chair") == ("garden chair",)


@given(st.integers())
def test_a_caption_needs_exactly_the_attributes_it_names(seed):
    caption = photo_caption(SHIRT, random.Random(seed))
    for column in ("colour", "pattern", "material"):
        assert (SHIRT[column] in caption.text) == (column in caption.needs)
    assert any(name in caption.text for name in words_for("shirt"))


@given(st.integers())
def test_only_photos_of_childrens_things_are_called_so(seed):
    caption = photo_caption({**SHIRT, "kids": "False"}, random.Random(seed))
    assert "kids" not in caption.needs
    assert "child" not in caption.text


@given(st.integers())
def test_a_category_caption_needs_the_category_alone(seed):
    assert category_caption("Hat", random.Random(seed)).needs == {"category": "Hat"}
