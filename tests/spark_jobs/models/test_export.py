import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from retrieval.encoders.bundles import read_bundle, refingerprint, verify_bundle
from schemas.bundle import BUNDLE_FILE, IMAGE_TOWER_FILE, TEXT_TOWER_FILE, WEIGHTS_FILE
from schemas.errors import ModelUnavailable
from spark_jobs.commands.model import model
from spark_jobs.models.export import export_bundle, portable_config, preprocessing_of, read_photos
from spark_jobs.models.open_clip import load_model
from spark_jobs.models.runtime_choice import choose
from tests.retrieval.encoders.tiny_model import CONFIG, load_tiny_model, tiny_bundle_folder


@pytest.fixture(scope="module")
def folder() -> Path:
    return tiny_bundle_folder()


def test_the_bundle_is_whole_and_its_weights_are_those_of_its_id(folder: Path) -> None:
    bundle = verify_bundle(folder, weights=True)
    assert {IMAGE_TOWER_FILE, TEXT_TOWER_FILE, WEIGHTS_FILE} <= set(bundle.files)
    assert refingerprint(folder) == bundle.fingerprint
    assert min(bundle.metrics["parity"].values()) >= 0.9999


@pytest.mark.full
def test_the_same_model_elsewhere_has_the_same_id_and_other_weights_another(folder: Path, tmp_path: Path) -> None:
    again = export_bundle(load_tiny_model(), tmp_path / "again")
    assert (again.model_id, again.files) == (read_bundle(folder).model_id, read_bundle(folder).files)
    assert export_bundle(load_tiny_model(seed=1), tmp_path / "other").model_id != again.model_id


def test_exporting_what_is_there_already_writes_nothing(folder: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    export_bundle(load_tiny_model(), folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.full
def test_a_damaged_bundle_is_made_again(tmp_path: Path) -> None:
    export_bundle(load_tiny_model(), tmp_path / "tiny")
    (tmp_path / "tiny" / IMAGE_TOWER_FILE).write_bytes(b"wreck")
    export_bundle(load_tiny_model(), tmp_path / "tiny")
    verify_bundle(tmp_path / "tiny", weights=True)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.full
def test_towers_that_disagree_with_torch_leave_no_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_jobs.models.export.export_image_tower", _export_another_model)
    with pytest.raises(ModelUnavailable, match="disagree with torch"):
        export_bundle(load_tiny_model(), tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


def _export_another_model(_: object, image_size: int, path: Path) -> None:
    from spark_jobs.models.tower_export import export_image_tower

    export_image_tower(load_tiny_model(seed=5).model, image_size, path)


def test_no_path_of_this_machine_is_in_the_configuration() -> None:
    loaded = load_tiny_model()
    text_cfg = {
        "hf_model_name": "/somewhere/model",
        "hf_tokenizer_name": "/somewhere/model",
        "hf_model_pretrained": True,
    }
    config = {**CONFIG, "model_cfg": {**CONFIG["model_cfg"], "text_cfg": text_cfg}}
    assert "somewhere" not in json.dumps(portable_config(dataclasses.replace(loaded, config=config)))


def test_preprocessing_that_is_not_ours_is_refused() -> None:
    given = CONFIG["preprocess_cfg"]
    assert preprocessing_of(given).image_size == 32
    for changed in ({"size": (32, 48)}, {"resize_mode": "longest"}, {"interpolation": "nearest"}):
        with pytest.raises(ModelUnavailable, match="square"):
            preprocessing_of(given | changed)


def figures(**speeds_and_parity: tuple[float, float]) -> dict[str, dict[str, float]]:
    return {
        name.replace("_", "-"): {"photos_per_second": speed, "cosine_min": parity}
        for name, (speed, parity) in speeds_and_parity.items()
    }


@pytest.mark.parametrize(("measured", "chosen"), [
    (figures(onnx_fp32=(100, 1.0), openvino_bf16=(300, 0.9991), onnx_int8=(250, 0.9999)), "openvino-bf16"),
    (figures(onnx_fp32=(100, 1.0), openvino_bf16=(300, 0.9964), onnx_int8=(250, 0.9999)), "onnx-int8"),
    (figures(onnx_fp32=(100, 1.0), openvino_fp32=(105, 1.0)), "onnx-fp32"),
    (figures(onnx_fp32=(100, 1.0)), "onnx-fp32"),
])  # fmt: skip
def test_the_fastest_runtime_with_parity_is_chosen_if_it_gains_a_tenth(
    measured: dict[str, dict[str, float]], chosen: str
) -> None:
    assert choose(measured) == chosen


@pytest.mark.full
def test_runtimes_are_measured_on_the_photos_given(tmp_path: Path) -> None:
    photos = [Image.new("RGB", (40, 40), colour) for colour in ("red", "green", "blue")]
    bundle = export_bundle(load_tiny_model(), tmp_path / "tiny", photos)
    assert bundle.metrics["photos"] == 3
    assert bundle.metrics["runtimes"]["onnx-fp32"]["cosine_min"] == pytest.approx(1, abs=1e-5)
    assert bundle.metrics["cpu_runtime"] in bundle.metrics["runtimes"]
    verify_bundle(tmp_path / "tiny", weights=True)


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(ModelUnavailable, match="no photos"):
        read_photos(tmp_path)


@pytest.mark.parametrize(("load", "advice"), [
    (lambda tmp: load_model("No-Such-Model", "openai"), "shoplens model names"),
    (lambda tmp: load_model("ViT-B-16"), "--pretrained"),
    (lambda tmp: load_model("ViT-B-16", "no-such-tag"), "openai"),
    (lambda tmp: load_model("RN50", str(_junk(tmp))), "is no checkpoint of RN50"),
    (lambda tmp: load_model(f"local-dir:{tmp}"), "holds no open_clip model"),
])  # fmt: skip
def test_a_model_that_cannot_be_loaded_says_what_to_do(
    load: Callable[[Path], object], advice: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelUnavailable, match=advice) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def _junk(folder: Path) -> Path:
    path = folder / "weights.safetensors"
    path.write_bytes(b"junk")
    return path


def test_show_and_verify_tell_a_whole_bundle_from_a_damaged_one(folder: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(model, ["show", str(folder), "--json"])
    assert json.loads(shown.output)["model_id"] == read_bundle(folder).model_id
    assert read_bundle(folder).model_id in CliRunner().invoke(model, ["show", str(folder)]).output
    assert "is whole" in CliRunner().invoke(model, ["verify", str(folder)]).output
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / TEXT_TOWER_FILE).write_bytes(b"wreck")
    done = subprocess.run(
        [sys.executable, "-m", "retrieval.cli", "model", "verify", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 65
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.full
def test_the_command_prints_the_id_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_jobs.models.export.load_model", lambda name, pretrained: load_tiny_model())
    done = CliRunner().invoke(model, ["export", "--out", str(tmp_path / "tiny"), "--store", str(tmp_path / "store")])
    model_id = read_bundle(tmp_path / "tiny").model_id
    assert done.stdout == f"{model_id}\n"
    assert (tmp_path / "store" / "models" / model_id / BUNDLE_FILE).exists()
