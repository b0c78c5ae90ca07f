"""One bundle, several runtimes, one answer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders.contract import Encoder, measured_batch, unit_rows
from retrieval.encoders.onnx import OnnxEncoder, measured_precision
from retrieval.encoders.openvino import OpenVinoEncoder
from retrieval.encoders.runtimes import choose_runtime, load_encoder, needs_weights
from retrieval.encoders.torch import TorchEncoder, load_bundled_model
from schemas.bundle import (
    IMAGE_TOWER_FILE,
    INT8_IMAGE_TOWER_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    Bundle,
    BundleFile,
)
from schemas.errors import Corrupt, ModelUnavailable
from tests.retrieval.encoders.tiny_model import IMAGE_SIZE, tiny_bundle_folder

TEXTS = ["red shoes", "", "a very long text that goes past the end of what this model reads " * 3, "👗"]


@pytest.fixture(scope="module")
def folder() -> Path:
    return tiny_bundle_folder()


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((count, 3, IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)


@pytest.mark.parametrize("runtime", ["onnx", "openvino", "torch"])
def test_every_runtime_gives_the_same_unit_rows_in_any_batch(folder: Path, runtime: str) -> None:
    reference = TorchEncoder.load(folder, device="cpu")
    encoder: Encoder = load_encoder(folder, runtime)
    for count in (1, 9):
        rows = encoder.encode_pixels(pixels(count))
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(rows, reference.encode_pixels(pixels(count)), atol=1e-4)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), reference.encode_texts(TEXTS), atol=1e-4)
    assert encoder.model_id == reference.model_id


@pytest.mark.parametrize("runtime", ["onnx", "openvino", "torch"])
def test_nothing_in_is_nothing_out(folder: Path, runtime: str) -> None:
    encoder = load_encoder(folder, runtime)
    assert encoder.encode_pixels(pixels(0)).shape == (0, 16)
    assert encoder.encode_texts([]).shape == (0, 16)


@pytest.mark.parametrize("runtime", ["onnx", "openvino", "torch"])
def test_pixels_of_another_shape_or_type_are_refused(folder: Path, runtime: str) -> None:
    encoder = load_encoder(folder, runtime)
    for wrong in (pixels(1)[0], pixels(1)[:, :, :16], pixels(1).astype(np.float64)):
        with pytest.raises(ValueError, match="pixels must be"):
            encoder.encode_pixels(wrong)  # type: ignore[arg-type]


def test_a_text_alone_and_in_company_has_the_same_row(folder: Path) -> None:
    encoder = OnnxEncoder.load(folder)
    together = encoder.encode_texts(TEXTS)
    for text, row in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(encoder.encode_texts([text])[0], row, atol=1e-5)


def test_the_runtime_says_engine_release_and_precision(folder: Path) -> None:
    assert OnnxEncoder.load(folder).runtime.startswith("onnxruntime-")
    assert OpenVinoEncoder.load(folder).runtime.startswith("openvino-")
    assert TorchEncoder.load(folder, device="cpu").runtime.startswith("torch-")
    assert OnnxEncoder.load(folder).runtime.endswith("-fp32")


def test_a_damaged_tower_is_corrupt(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / IMAGE_TOWER_FILE).write_bytes(b"not a tower")
    for load in (OnnxEncoder.load, OpenVinoEncoder.load):
        with pytest.raises(Corrupt, match=IMAGE_TOWER_FILE):
            load(tmp_path)


def test_a_missing_piece_says_which_one(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(ModelUnavailable, match=WEIGHTS_FILE):
        load_bundled_model(tmp_path)
    (tmp_path / TOKENIZER_FILE).write_text("{}")
    with pytest.raises(ModelUnavailable, match=TOKENIZER_FILE):
        OnnxEncoder.load(tmp_path)
    with pytest.raises(ModelUnavailable, match="int8"):
        OnnxEncoder.load(folder, precision="int8")
    with pytest.raises(ModelUnavailable, match="choose one of"):
        load_encoder(folder, "tpu")


def described(**metrics: object) -> Bundle:
    from tests.retrieval.encoders.test_bundles import PIXELS

    return Bundle("m", "m-0", "0", 16, PIXELS, None, {}, dict(metrics))


def test_auto_is_what_the_export_measured_where_it_can_run_and_else_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.encoders.runtimes.has_gpu", lambda: False)
    assert choose_runtime(described()) == "onnx-fp32"
    assert choose_runtime(described(cpu_runtime="openvino-fp32")) == "openvino-fp32"
    assert choose_runtime(described(cpu_runtime="onnx-int8")) == "onnx-fp32"  # the bundle has no such tower
    assert not needs_weights("auto")
    monkeypatch.setattr("retrieval.encoders.runtimes.has_gpu", lambda: True)
    assert choose_runtime(described(cpu_runtime="openvino-fp32")) == "torch"
    assert needs_weights("auto")


def test_the_batch_is_the_one_that_was_measured() -> None:
    bundle = described(runtimes={"onnx-fp32": {"batch_photos": 4}})
    assert measured_batch(bundle, "onnx-fp32", otherwise=2) == 4
    assert measured_batch(bundle, "openvino-fp32", otherwise=2) == 2


@pytest.mark.parametrize(("chosen", "has_tower", "expected"), [
    ("onnx-int8", True, "int8"), ("onnx-int8", False, "fp32"), ("openvino-bf16", False, "fp32"), (None, False, "fp32"),
])  # fmt: skip
def test_a_searcher_takes_int8_where_the_export_chose_it(chosen: str | None, has_tower: bool, expected: str) -> None:
    files = {INT8_IMAGE_TOWER_FILE: BundleFile(1, "0" * 64)} if has_tower else {}
    assert measured_precision(replace(described(cpu_runtime=chosen), files=files)) == expected


def test_auto_loads_the_tower_that_the_bundle_has(folder: Path) -> None:
    assert OnnxEncoder.load(folder, precision="auto").runtime.endswith("-fp32")


def test_without_words_the_text_tower_stays_on_disk(folder: Path) -> None:
    encoder = load_encoder(folder, "onnx", words=False)
    assert len(encoder.encode_pixels(pixels(1))) == 1
    with pytest.raises(ModelUnavailable, match="loaded without"):
        encoder.encode_texts(["red"])


def test_a_row_of_zeros_stays_zeros() -> None:
    np.testing.assert_array_equal(
        unit_rows(np.array([[0.0, 0.0], [3.0, 4.0]])), np.array([[0, 0], [0.6, 0.8]], np.float32)
    )


@pytest.mark.gpu
def test_bfloat16_on_a_gpu_holds_its_parity(folder: Path) -> None:
    on_gpu, exact = TorchEncoder.load(folder, device="cuda"), TorchEncoder.load(folder, device="cpu")
    assert on_gpu.batch_photos == 512
    cosines = (on_gpu.encode_pixels(pixels(600)) * exact.encode_pixels(pixels(600))).sum(axis=1)
    assert cosines.min() >= 0.999
