import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from retrieval.encoders.bundles import (
    fetch_bundle,
    find_bundle,
    fingerprint_of,
    locate_bundle,
    read_bundle,
    refingerprint,
    upload_bundle,
    verify_bundle,
    write_bundle,
)
from retrieval.store.objects import FolderStore
from schemas.bundle import (
    BUNDLE_FILE,
    OPEN_CLIP_CONFIG_FILE,
    TEXT_CONFIG_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    Bundle,
    Preprocessing,
    TextInput,
    model_key,
)
from schemas.errors import Corrupt, ModelUnavailable

PIXELS = Preprocessing(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
TEXT = TextInput(16)


def tensors() -> dict[str, np.ndarray]:
    return {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, dtype=np.float32)}


def fingerprint(
    folder: Path, weights: dict[str, np.ndarray], files: dict[str, object] | None = None, dimension: int = 8,
    preprocessing: Preprocessing = PIXELS, text_input: TextInput | None = TEXT,
) -> str:  # fmt: skip
    save_file(weights, folder / WEIGHTS_FILE)
    described = {OPEN_CLIP_CONFIG_FILE: {"model_cfg": {"layers": 1}}, TOKENIZER_FILE: {"words": 1}} | (files or {})
    for name, content in described.items():
        (folder / name).write_text(json.dumps(content))
    return fingerprint_of(folder, dimension, preprocessing, text_input)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bundle"
    made.mkdir()
    mark = fingerprint(made, tensors())
    (made / "image.onnx").write_bytes(b"tower" * 1000)
    write_bundle(made, "Tiny Model/1", 8, PIXELS, TEXT, mark, {"parity": 1.0})
    return made


def test_the_model_id_is_the_name_and_twelve_digits_of_the_fingerprint(folder: Path) -> None:
    bundle = read_bundle(folder)
    assert bundle.model_id == f"tiny-model-1-{bundle.fingerprint[:12]}"
    assert set(bundle.files) == {WEIGHTS_FILE, OPEN_CLIP_CONFIG_FILE, TOKENIZER_FILE, "image.onnx"}


def test_the_fingerprint_covers_all_that_decides_a_vector(tmp_path: Path) -> None:
    first = fingerprint(tmp_path, tensors())
    changed = [
        fingerprint(tmp_path, tensors() | {"b": np.full(4, 2, dtype=np.float32)}),
        fingerprint(tmp_path, tensors() | {"b": np.ones(4, dtype=np.float16)}),
        fingerprint(tmp_path, tensors() | {"a": tensors()["a"].reshape(3, 2)}),
        fingerprint(tmp_path, {"a": tensors()["a"], "c": tensors()["b"]}),
        fingerprint(tmp_path, tensors(), {OPEN_CLIP_CONFIG_FILE: {"model_cfg": {"layers": 2}}}),
        fingerprint(tmp_path, tensors(), {TOKENIZER_FILE: {"words": 2}}),
        fingerprint(tmp_path, tensors(), dimension=9),
        fingerprint(tmp_path, tensors(), preprocessing=Preprocessing(32, PIXELS.mean, PIXELS.std, "bilinear")),
        fingerprint(tmp_path, tensors(), text_input=None),
        fingerprint(tmp_path, tensors(), {TEXT_CONFIG_FILE: {"layers": 2}}),
    ]
    assert len({first, *changed}) == 11


def test_the_fingerprint_ignores_the_order_of_tensors_in_the_file(tmp_path: Path) -> None:
    first = fingerprint(tmp_path, tensors())
    save_file(dict(reversed(tensors().items())), tmp_path / WEIGHTS_FILE, metadata={"made": "later"})
    assert fingerprint(tmp_path, tensors()) == first


def test_weights_that_are_no_safetensors_are_corrupt(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS_FILE).write_bytes(b"\xff" * 20)
    with pytest.raises(Corrupt):
        fingerprint_of(tmp_path, 8, PIXELS, None)


def test_one_flipped_bit_is_found(folder: Path) -> None:
    verify_bundle(folder, weights=True)
    tower = folder / "image.onnx"
    damaged = bytearray(tower.read_bytes())
    damaged[777] ^= 1
    tower.write_bytes(damaged)
    with pytest.raises(Corrupt, match=r"image\.onnx"):
        verify_bundle(folder)


def test_a_short_file_and_a_missing_file_are_found(folder: Path) -> None:
    (folder / "image.onnx").write_bytes(b"tower")
    with pytest.raises(Corrupt, match="5 bytes"):
        verify_bundle(folder)
    (folder / "image.onnx").unlink()
    with pytest.raises(Corrupt, match="nothing"):
        verify_bundle(folder)


def test_a_bundle_whose_id_is_not_its_fingerprints_is_corrupt(folder: Path) -> None:
    text = (folder / BUNDLE_FILE).read_text()
    mark = read_bundle(folder).fingerprint
    (folder / BUNDLE_FILE).write_text(text.replace(mark, "0" * 64))
    with pytest.raises(Corrupt, match="model id"):
        verify_bundle(folder)


def test_a_folder_without_a_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="shoplens model export"):
        read_bundle(tmp_path)


def test_what_is_fetched_is_what_was_uploaded_without_the_weights(folder: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    bundle = upload_bundle(store, folder)
    local = fetch_bundle(store, bundle.model_id, tmp_path / "cache")
    assert verify_bundle(local) == bundle
    assert not (local / WEIGHTS_FILE).exists()
    with pytest.raises(Corrupt, match=WEIGHTS_FILE):
        verify_bundle(local, weights=True)
    fetch_bundle(store, bundle.model_id, tmp_path / "cache", weights=True)
    verify_bundle(local, weights=True)


def test_a_damaged_local_copy_is_fetched_again(folder: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    model_id = upload_bundle(store, folder).model_id
    local = fetch_bundle(store, model_id, tmp_path / "cache")
    (local / "image.onnx").write_bytes(b"wreck" * 1000)
    verify_bundle(fetch_bundle(store, model_id, tmp_path / "cache"))


def test_damage_in_the_store_is_corrupt_and_leaves_no_file_behind(folder: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    model_id = upload_bundle(store, folder).model_id
    store.put(f"models/{model_id}/image.onnx", b"wreck" * 1000)
    with pytest.raises(Corrupt, match="models/tiny"):
        fetch_bundle(store, model_id, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache" / model_id).iterdir() if "onnx" in path.name] == []


def test_one_who_reads_a_bundle_while_it_is_fetched_again_reads_it_whole(folder: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    bundle = upload_bundle(store, folder)
    local = fetch_bundle(store, bundle.model_id, tmp_path / "cache")
    measured_again = replace(bundle, metrics={"parity": 0.5})
    store.put(model_key(bundle.model_id), measured_again.to_json())
    with (local / BUNDLE_FILE).open("rb", buffering=0) as reader:
        begun = reader.read(20)
        fetch_bundle(store, bundle.model_id, tmp_path / "cache")
        assert Bundle.from_json(begun + reader.read()) == bundle
    assert read_bundle(local) == measured_again


def test_a_bundle_that_is_there_is_not_written_again(folder: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    model_id = upload_bundle(store, folder).model_id
    local = fetch_bundle(store, model_id, tmp_path / "cache")
    before = {path.name: path.stat().st_mtime_ns for path in local.iterdir()}
    fetch_bundle(store, model_id, tmp_path / "cache")
    assert {path.name: path.stat().st_mtime_ns for path in local.iterdir()} == before
    assert set(before) == {BUNDLE_FILE, *read_bundle(local).files} - {WEIGHTS_FILE}


def test_a_stored_model_is_found_only_if_all_its_files_are_there(folder: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    bundle = upload_bundle(store, folder)
    assert find_bundle(store, bundle.model_id) == bundle
    store.delete(model_key(bundle.model_id, "image.onnx"))
    with pytest.raises(Corrupt, match=r"image\.onnx is damaged: expected 5000 bytes, found nothing"):
        find_bundle(store, bundle.model_id)
    with pytest.raises(ModelUnavailable, match="has no model unknown: upload it"):
        find_bundle(store, "unknown")


def test_a_cache_that_cannot_be_written_is_named_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    model_id = upload_bundle(store, folder).model_id
    (tmp_path / "cache").touch()
    with pytest.raises(ModelUnavailable, match=r"cannot keep a copy of tiny.* name another folder \(--cache"):
        fetch_bundle(store, model_id, tmp_path / "cache")


def test_a_second_upload_writes_nothing(folder: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    model_id = upload_bundle(store, folder).model_id
    tower = tmp_path / "store" / "models" / model_id / "image.onnx"
    before = tower.stat().st_mtime_ns
    upload_bundle(store, folder)
    assert tower.stat().st_mtime_ns == before


def test_a_damaged_folder_is_not_uploaded(folder: Path, tmp_path: Path) -> None:
    (folder / "image.onnx").write_bytes(b"")
    with pytest.raises(Corrupt):
        upload_bundle(FolderStore(tmp_path / "store"), folder)
    assert not (tmp_path / "store").exists()


def test_a_model_is_found_by_folder_or_by_id(folder: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    bundle = upload_bundle(store, folder)
    assert locate_bundle(store, str(folder), tmp_path / "cache") == folder
    assert locate_bundle(store, bundle.model_id, tmp_path / "cache") == tmp_path / "cache" / bundle.model_id
    with pytest.raises(ModelUnavailable, match="--store"):
        locate_bundle(store, "unknown-model", tmp_path / "cache")


def test_a_bundle_survives_its_own_json(folder: Path) -> None:
    bundle = read_bundle(folder)
    assert Bundle.from_json(bundle.to_json()) == bundle


def test_weights_that_are_not_those_of_the_id_are_found(folder: Path) -> None:
    assert refingerprint(folder) == read_bundle(folder).fingerprint
    save_file(tensors() | {"b": np.zeros(4, dtype=np.float32)}, folder / WEIGHTS_FILE)
    with pytest.raises(Corrupt, match="fingerprint"):
        refingerprint(folder)
