"""A build's manifest: what is in `builds/<id>/`, and how to search it."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from schemas.checked_json import to_checked_json, without_checksum
from schemas.errors import Corrupt, SchemaTooNew

MANIFEST_VERSION = 2
FIRST_WITH_CHECKSUM = 2
INDEX_FILE = "index.faiss"
ESTIMATES_FILE = "estimates.faiss"
VECTORS_FILE = "vectors.f16"
ITEMS_FILE = "items.arrow"
GOLDEN_FILE = "golden.json"
MANIFEST_FILE = "manifest.json"


def build_key(build_id: str, file_name: str = MANIFEST_FILE) -> str:
    """The object key of one of a build's files: builds/<id>/<file>."""
    return f"builds/{build_id}/{file_name}"


def thumbnail_key(content_sha256: str) -> str:
    """The object key of a tile's photo: images/<first two>/<sha256>.jpg."""
    return f"images/{content_sha256[:2]}/{content_sha256}.jpg"


@dataclass(frozen=True)
class FileEntry:
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SearchParameters:
    """Tuned at build time. `nprobe` is 0 for an exact index; `rerank` is how many candidates are scored exactly (0: none)."""

    nprobe: int = 0
    rerank: int = 0


@dataclass(frozen=True)
class Manifest:
    """Everything a reader must know of a build. Times and run ids stay out, so that equal builds are equal bytes.

    `index_kind`: exact, ivf_fp16 or ivf_rabitq. `recall`: slice name → recall@k against exact search.
    `calibration`: cosine thresholds and scaling constants, by name. `source_versions`: Delta versions read, by table path.
    """

    build_id: str
    model_id: str
    model_fingerprint: str
    dimension: int
    rows: int
    products: int
    index_kind: str
    factory: str
    photo_search: SearchParameters
    text_search: SearchParameters
    source_versions: dict[str, int]
    interval_end: str
    files: dict[str, FileEntry]
    recall: dict[str, float] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    runtimes: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    metric: str = "inner_product"
    schema_version: int = MANIFEST_VERSION

    def to_json(self) -> bytes:
        return to_checked_json(asdict(self))

    @classmethod
    def from_json(cls, data: bytes, key: str = MANIFEST_FILE) -> "Manifest":
        """Raises Corrupt where it is no manifest, SchemaTooNew where a later release wrote it."""
        try:
            fields = json.loads(data)
            version = int(fields["schema_version"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise Corrupt(key, "a manifest", repr(error)) from error
        if version > MANIFEST_VERSION:
            raise SchemaTooNew(key, version, MANIFEST_VERSION)
        if version >= FIRST_WITH_CHECKSUM:
            fields = without_checksum(fields, key)
        try:
            return cls(
                **{
                    **fields,
                    "photo_search": SearchParameters(**fields["photo_search"]),
                    "text_search": SearchParameters(**fields["text_search"]),
                    "files": {name: FileEntry(**entry) for name, entry in fields["files"].items()},
                    "runtimes": tuple(fields.get("runtimes", ())),
                    "schema_version": MANIFEST_VERSION,  # as which it would be written again
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise Corrupt(key, "a manifest", repr(error)) from error
