"""Make a model bundle: safetensors, ONNX towers, tokenizer and preprocessing of one open_clip model, checked."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from retrieval.encoders.bundles import fingerprint_of, read_bundle, upload_bundle, verify_bundle, write_bundle
from retrieval.encoders.contract import Pixels, Vectors, unit_rows
from retrieval.encoders.onnx import OnnxEncoder
from retrieval.photos.decoding import decode_photo, photo_format
from retrieval.photos.preprocess import INTERPOLATIONS, RESIZE_MODES, to_batch
from retrieval.store.objects import open_store
from schemas.bundle import (
    BUNDLE_FILE,
    IMAGE_TOWER_FILE,
    INT8_IMAGE_TOWER_FILE,
    OPEN_CLIP_CONFIG_FILE,
    TEXT_CONFIG_FILE,
    TEXT_TOWER_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    Bundle,
    Preprocessing,
    TextInput,
)
from schemas.errors import ModelUnavailable, PhotoRejected, ShopLensError
from spark_jobs.models.open_clip import DEFAULT_MODEL, LoadedModel, load_model
from spark_jobs.models.runtime_choice import measure_runtimes, write_int8_tower
from spark_jobs.models.tokenizer_files import PROBE_TEXTS, tokenizer_file
from spark_jobs.models.tower_export import export_image_tower, export_text_tower

TOWER_PARITY = 0.9999
"""Least cosine of an fp32 ONNX tower to torch; the exports here differ by rounding alone."""
_MEASURED_PHOTOS = 64
_NO_PART_OF_A_MODEL = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")


def export_bundle(loaded: LoadedModel, folder: Path, photos: Sequence[Image.Image] = ()) -> Bundle:
    """Write a model's bundle into `folder` and return its description; the same model gives the same id.

    With `photos`, CPU runtimes are measured on them and the fastest with parity becomes the model's; without, it is
    the exact one. A good bundle of the same model that lies there is kept. Raises ModelUnavailable where the model
    cannot be written as a bundle or its ONNX towers disagree with torch.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as scratch:
        made = Path(scratch)
        preprocessing = preprocessing_of(loaded.config["preprocess_cfg"])
        config = portable_config(loaded)
        tokenizer, text_input = tokenizer_file(loaded.tokenizer)
        dimension = int(config["model_cfg"]["embed_dim"])
        _write_definition(made, loaded, config, tokenizer)
        mark = fingerprint_of(made, dimension, preprocessing, text_input)
        if kept := _same_bundle(folder, mark, measured=bool(photos)):
            return kept
        metrics: dict[str, Any] = {"parity": _write_towers(made, loaded, preprocessing, text_input)}
        described = (loaded.name, dimension, preprocessing, text_input, mark)
        if photos:
            write_int8_tower(made, INT8_IMAGE_TOWER_FILE)
            metrics |= measure_runtimes(made, write_bundle(made, *described, metrics), to_batch(photos, preprocessing))
            if metrics["cpu_runtime"] != "onnx-int8":
                (made / INT8_IMAGE_TOWER_FILE).unlink(missing_ok=True)
        write_bundle(made, *described, metrics)
        _move_bundle(made, folder)
    return read_bundle(folder)


def preprocessing_of(config: dict[str, Any]) -> Preprocessing:
    """open_clip's `preprocess_cfg` as ours. Raises ModelUnavailable for what `retrieval.photos.preprocess` cannot do."""
    sides = config["size"] if isinstance(config["size"], (tuple, list)) else (config["size"], config["size"])
    interpolation = "bicubic" if config.get("interpolation") == "random" else config.get("interpolation", "bicubic")
    resize_mode = config.get("resize_mode") or "shortest"
    if sides[0] != sides[-1] or interpolation not in INTERPOLATIONS or resize_mode not in RESIZE_MODES:
        raise ModelUnavailable(f"photos cannot be prepared as this model asks ({config}): choose a square one")
    mean, std = (tuple(float(value) for value in config[key]) for key in ("mean", "std"))
    return Preprocessing(int(sides[0]), mean, std, interpolation, resize_mode)  # type: ignore[arg-type]


def portable_config(loaded: LoadedModel) -> dict[str, Any]:
    """The model's open_clip configuration without paths of this machine: what it named lies in the bundle."""
    config: dict[str, Any] = json.loads(json.dumps(loaded.config))
    text_cfg = config["model_cfg"]["text_cfg"]
    if "hf_model_name" in text_cfg:
        text_cfg |= {"hf_model_name": TEXT_CONFIG_FILE, "hf_model_pretrained": False}
    if "hf_tokenizer_name" in text_cfg:
        text_cfg["hf_tokenizer_name"] = TOKENIZER_FILE
    config["model_cfg"]["vision_cfg"].pop("timm_model_pretrained", None)
    config["model_cfg"]["vision_cfg"]["timm_model_pretrained"] = False
    return config


def read_photos(folder: Path, limit: int = _MEASURED_PHOTOS) -> list[Image.Image]:
    """Photos spread evenly over a folder, by name. Raises ModelUnavailable where it has none that can be decoded."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    photos: list[Image.Image] = []
    for path in paths[:: max(1, len(paths) // (2 * limit))]:
        data = path.read_bytes()
        if photo_format(data) is None or len(photos) == limit:
            continue
        try:
            photos.append(decode_photo(data))
        except PhotoRejected:
            continue
    if not photos:
        raise ModelUnavailable(f"{folder} has no photos to measure with: name a folder of JPEG, PNG or WebP files")
    return photos


def _write_definition(folder: Path, loaded: LoadedModel, config: dict[str, Any], tokenizer: bytes) -> None:
    """All files that decide a vector."""
    state = {name: tensor.detach().contiguous().clone() for name, tensor in loaded.model.state_dict().items()}
    save_file(state, folder / WEIGHTS_FILE)
    (folder / WEIGHTS_FILE).chmod(0o644)
    (folder / OPEN_CLIP_CONFIG_FILE).write_text(json.dumps(config, indent=1, sort_keys=True))
    (folder / TOKENIZER_FILE).write_bytes(tokenizer)
    if config["model_cfg"]["text_cfg"].get("hf_model_name") == TEXT_CONFIG_FILE:
        text_config = loaded.model.text.config.to_diff_dict()  # type: ignore[union-attr,operator]
        described = {key: value for key, value in text_config.items() if key not in _NO_PART_OF_A_MODEL}
        (folder / TEXT_CONFIG_FILE).write_text(json.dumps(described, indent=1, sort_keys=True))


def _same_bundle(folder: Path, mark: str, *, measured: bool) -> Bundle | None:
    try:
        bundle = verify_bundle(folder, weights=True)
    except ShopLensError:
        return None
    wanted = bundle.fingerprint == mark and (not measured or "cpu_runtime" in bundle.metrics)
    return bundle if wanted else None


def _write_towers(
    folder: Path, loaded: LoadedModel, preprocessing: Preprocessing, text_input: TextInput
) -> dict[str, float]:
    """Export both towers and return their least cosine to torch. Raises ModelUnavailable where it is too low."""
    try:
        export_image_tower(loaded.model, preprocessing.image_size, folder / IMAGE_TOWER_FILE)
        export_text_tower(loaded.model, text_input.context_length, folder / TEXT_TOWER_FILE)
    except torch.onnx.OnnxExporterError as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise ModelUnavailable(
            f"{loaded.name} cannot be exported to ONNX ({first_line}): choose another model"
        ) from error
    return _tower_parity(folder, loaded, preprocessing, text_input)


def _tower_parity(
    folder: Path, loaded: LoadedModel, preprocessing: Preprocessing, text_input: TextInput
) -> dict[str, float]:
    probe = write_bundle(folder, "probe", 0, preprocessing, text_input, "0" * 64, {})
    encoder = OnnxEncoder(probe, folder, threads=1, precision="fp32")
    pixels = _probe_pixels(preprocessing.image_size)
    texts = [text for text in PROBE_TEXTS if text]
    with torch.inference_mode():
        photo_rows = unit_rows(loaded.model.encode_image(torch.from_numpy(pixels)).numpy())  # type: ignore[operator]
        text_rows = unit_rows(loaded.model.encode_text(loaded.tokenizer(texts)).numpy())  # type: ignore[operator]
    short = np.concatenate([encoder.encode_texts([text]) for text in texts])
    found = {
        "image": _least_cosine(encoder.encode_pixels(pixels), photo_rows),
        "text": min(_least_cosine(encoder.encode_texts(texts), text_rows), _least_cosine(short, text_rows)),
    }
    if min(found.values()) < TOWER_PARITY:
        raise ModelUnavailable(f"the ONNX towers of {loaded.name} disagree with torch ({found}): choose another model")
    return found


def _probe_pixels(image_size: int) -> Pixels:
    """Three inputs that cost nothing to have: noise, a ramp, a flat field."""
    noise = np.random.default_rng(0).standard_normal((3, image_size, image_size))
    ramp = np.broadcast_to(np.linspace(-2, 2, image_size), (3, image_size, image_size))
    return np.stack([noise, ramp, np.full_like(noise, 0.5)]).astype(np.float32)


def _least_cosine(left: Vectors, right: Vectors) -> float:
    return round(float(np.einsum("nd,nd->n", left, right).min()), 6)


def _move_bundle(made: Path, folder: Path) -> None:
    """Replace what lies in `folder`, its bundle.json last: a reader sees a whole bundle or none."""
    folder.mkdir(exist_ok=True)
    (folder / BUNDLE_FILE).unlink(missing_ok=True)
    (folder / INT8_IMAGE_TOWER_FILE).unlink(missing_ok=True)
    for path in sorted(made.iterdir(), key=lambda path: path.name == BUNDLE_FILE):
        shutil.move(path, folder / path.name)


@click.command()
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for the bundle.")
@click.option(
    "--name", default=DEFAULT_MODEL, show_default=True, help="default, an open_clip name, hf-hub:… or local-dir:…"
)
@click.option("--pretrained", help="open_clip's tag of the weights, a checkpoint's path, or random.")
@click.option("--photos", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Real photos on which CPU runtimes are measured; without them the exact one is used.")  # fmt: skip
@click.option("--store", help="Object store to upload the bundle to.")
@click.option("--json", "as_json", is_flag=True, help="Print bundle.json instead of the model id.")
def export(out: Path, name: str, pretrained: str | None, photos: Path | None, store: str | None, as_json: bool) -> None:
    """Write a model bundle and print its model id."""
    measured = read_photos(photos) if photos else []
    bundle = export_bundle(load_model(name, pretrained), out, measured)
    if store:
        upload_bundle(open_store(store), out)
    click.echo(bundle.to_json().decode() if as_json else bundle.model_id)
