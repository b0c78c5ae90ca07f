import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retrieval.encoders.contract import Pixels, Vectors, unit_rows
from schemas.bundle import Preprocessing
from spark_jobs.embedding import photo_batches
from spark_jobs.embedding.photo_batches import EncodePhotos, ModelSource, regroup

PREPROCESSING = Preprocessing(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SOURCE = ModelSource("file:///nowhere", "mean-colour", "auto", Path("/nowhere"))


class MeanColour:
    """An encoder of our own seam: a photo's vector is its mean colour."""

    model_id, fingerprint, dimension, runtime, batch_photos = "mean-colour", "f", 3, "tests-fp32", 4

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        self.batches.append(len(pixels))
        return unit_rows(pixels.mean(axis=(2, 3)))

    def encode_texts(self, texts: object) -> Vectors:
        raise NotImplementedError


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> MeanColour:
    made = MeanColour()
    monkeypatch.setitem(photo_batches._opened, SOURCE, (made, PREPROCESSING))
    return made


def photo(colour: str) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (16, 12), colour).save(sink, "PNG")
    return sink.getvalue()


def batches(rows: list[tuple[str, bytes | None]], size: int) -> Iterator[pd.DataFrame]:
    for at in range(0, len(rows), size):
        yield pd.DataFrame(rows[at : at + size], columns=["content_sha256", "stored"])


def encoded(rows: list[tuple[str, bytes | None]], size: int) -> pd.DataFrame:
    return pd.concat(list(EncodePhotos(SOURCE)(batches(rows, size))), ignore_index=True)


@given(st.lists(st.integers(), max_size=50), st.integers(1, 12))
def test_regrouping_keeps_every_item_in_order_and_fills_all_groups_but_the_last(items: list[int], size: int) -> None:
    groups = list(regroup(iter(items), size))
    assert [item for group in groups for item in group] == items
    assert all(len(group) == size for group in groups[:-1])
    assert all(1 <= len(group) <= size for group in groups)


def test_arrow_batches_are_regrouped_to_the_models_batch(encoder: MeanColour) -> None:
    assert len(encoded([(str(n), photo("red")) for n in range(10)], size=3)) == 10
    assert encoder.batches == [4, 4, 2]


def test_each_photo_gets_its_own_vector_as_a_unit_row(encoder: MeanColour) -> None:
    found = encoded([("r", photo("red")), ("b", photo("blue"))], size=2).set_index("content_sha256")
    np.testing.assert_allclose(found.vector["r"], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found.vector["b"], [0, 0, 1], atol=1e-6)
    assert set(found.runtime) == {"tests-fp32"}


def test_a_photo_that_cannot_be_decoded_is_a_row_with_its_reason_and_costs_the_others_nothing(
    encoder: MeanColour,
) -> None:
    rows = [("r", photo("red")), ("html", b"<html>"), ("cut", photo("red")[:40]), ("none", None), ("b", photo("blue"))]
    found = encoded(rows, size=5).set_index("content_sha256")
    assert found.reason.dropna().to_dict() == {"html": "not_an_image", "cut": "truncated", "none": "not_an_image"}
    np.testing.assert_allclose(found.vector["b"], [0, 0, 1], atol=1e-6)
    assert found.vector["cut"] is None


def test_a_batch_of_bad_photos_alone_does_not_reach_the_model(encoder: MeanColour) -> None:
    assert list(encoded([("html", b"<html>")], size=1).reason) == ["not_an_image"]
    assert encoder.batches == []
