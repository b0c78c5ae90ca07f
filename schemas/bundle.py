"""A model bundle: the folder `models/<model_id>/` that serves, embeds and identifies one encoder."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from schemas.errors import Corrupt, SchemaTooNew

BUNDLE_VERSION = 1
BUNDLE_FILE = "bundle.json"
IMAGE_TOWER_FILE = "image.onnx"
INT8_IMAGE_TOWER_FILE = "image.int8.onnx"
"""Only where export measured that it holds its parity and is the fastest."""
TEXT_TOWER_FILE = "text.onnx"
WEIGHTS_FILE = "model.safetensors"
OPEN_CLIP_CONFIG_FILE = "open_clip_config.json"
TEXT_CONFIG_FILE = "text_config.json"
"""The transformers configuration of a text tower that comes from there."""
TOKENIZER_FILE = "tokenizer.json"


def model_key(model_id: str, file_name: str = BUNDLE_FILE) -> str:
    """The object key of one of a bundle's files: models/<id>/<file>."""
    return f"models/{model_id}/{file_name}"


@dataclass(frozen=True)
class Preprocessing:
    """How a decoded photo becomes the image tower's input. `resize_mode`: shortest (then centre crop) or squash."""

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"


@dataclass(frozen=True)
class TextInput:
    """How words become the text tower's input ids: padded or cut to `context_length`."""

    context_length: int
    pad_id: int = 0


@dataclass(frozen=True)
class BundleFile:
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Bundle:
    """bundle.json. `fingerprint` is a SHA-256 over weights, preprocessing, tokenizer and dimension; `model_id` ends in its first 12 digits."""

    name: str
    model_id: str
    fingerprint: str
    dimension: int
    preprocessing: Preprocessing
    text_input: TextInput | None
    files: dict[str, BundleFile]
    metrics: dict[str, Any]
    schema_version: int = BUNDLE_VERSION

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes, key: str = BUNDLE_FILE) -> "Bundle":
        """Raises Corrupt where it is no bundle, SchemaTooNew where a later release wrote it."""
        try:
            fields = json.loads(data)
            version = int(fields["schema_version"])
            if version > BUNDLE_VERSION:
                raise SchemaTooNew(key, version, BUNDLE_VERSION)
            preprocessing = fields["preprocessing"]
            return cls(
                **{
                    **fields,
                    "preprocessing": Preprocessing(
                        **{
                            **preprocessing,
                            "mean": tuple(preprocessing["mean"]),
                            "std": tuple(preprocessing["std"]),
                        }
                    ),
                    "text_input": TextInput(**fields["text_input"]) if fields["text_input"] else None,
                    "files": {name: BundleFile(**entry) for name, entry in fields["files"].items()},
                }
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(key, "a model bundle", repr(error)) from error
