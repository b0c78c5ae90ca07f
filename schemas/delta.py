"""A delta's manifest: what is in `deltas/<id>/`, the difference between one base build and the tables at later versions.

A delta is cumulative: applied alone to its base it gives the whole difference, whatever deltas came before. Its folder
holds, and the manifest lists:

    tombstones.u32   base rows that are gone: sorted little-endian uint32 row numbers
    changes.arrow    base rows whose attributes changed: `row` (uint32, sorted) and the item columns as they are now
    index.faiss      } one segment of new rows, as in a build, numbered on from the base's rows;
    vectors.f16      } absent where there are none
    items.arrow      }

A row is known by its product and photo, so a changed row keeps its vector; a photo replaced by another is a tombstone
and a new row.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from schemas.checked_json import to_checked_json, without_checksum
from schemas.errors import Corrupt, SchemaTooNew
from schemas.manifest import INDEX_FILE, ITEMS_FILE, MANIFEST_FILE, VECTORS_FILE, FileEntry

DELTA_VERSION = 1
TOMBSTONES_FILE = "tombstones.u32"
CHANGES_FILE = "changes.arrow"
SEGMENT_FILES = (INDEX_FILE, VECTORS_FILE, ITEMS_FILE)
ROW_COLUMN = "row"

REBUILD_SHARE = 0.1
"""Where new and dead rows pass this share of the base, the next run makes a new base."""

EXACT_ROWS = 20_000
"""A segment of more new rows than this uses the coarse lists of its base."""


def delta_key(delta_id: str, file_name: str = MANIFEST_FILE) -> str:
    """The object key of one of a delta's files: deltas/<id>/<file>."""
    return f"deltas/{delta_id}/{file_name}"


def delta_evaluation_key(delta_id: str) -> str:
    """The object key of what the gate said of a delta: evaluations/<id>.json."""
    return f"evaluations/{delta_id}.json"


@dataclass(frozen=True)
class DeltaEvaluation:
    """The newest versions (by table path) at which a delta was the whole difference to its base, by the gate's word.

    `lake_id` is whose versions they are; empty where an earlier release wrote it.
    """

    delta_id: str
    base_build_id: str
    passed: bool
    source_versions: dict[str, int]
    interval_end: str
    failures: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    lake_id: str = ""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes, key: str) -> "DeltaEvaluation":
        """Raises Corrupt where it is none."""
        try:
            fields = json.loads(data)
            return cls(**{**fields, "failures": tuple(fields["failures"])})
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(key, "a delta's evaluation", repr(error)) from error


@dataclass(frozen=True)
class DeltaManifest:
    """Everything a reader must know of a delta. As in a build's, lineage is not in the id, and times of making stay out.

    `base_rows` is the base's number of rows: the first new row has that number. `rows` counts new rows, `tombstones`
    dead ones, `changed` those with other attributes. `index_kind` is exact or ivf_fp16, of the segment of new rows.
    `interval_end` and `source_versions` (Delta versions, by table path) say what base and delta cover together.
    """

    delta_id: str
    base_build_id: str
    model_id: str
    model_fingerprint: str
    dimension: int
    base_rows: int
    rows: int
    tombstones: int
    changed: int
    index_kind: str
    source_versions: dict[str, int]
    interval_end: str
    files: dict[str, FileEntry]
    runtimes: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    schema_version: int = DELTA_VERSION

    @property
    def wants_rebuild(self) -> bool:
        """Whether new and dead rows have passed a tenth of the base."""
        return self.rows + self.tombstones > REBUILD_SHARE * self.base_rows

    def to_json(self) -> bytes:
        return to_checked_json(asdict(self))

    @classmethod
    def from_json(cls, data: bytes, key: str = MANIFEST_FILE) -> "DeltaManifest":
        """Raises Corrupt where it is no delta's manifest, SchemaTooNew where a later release wrote it."""
        try:
            fields = json.loads(data)
            version = int(fields["schema_version"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise Corrupt(key, "a delta's manifest", repr(error)) from error
        if version > DELTA_VERSION:
            raise SchemaTooNew(key, version, DELTA_VERSION)
        fields = without_checksum(fields, key)
        try:
            return cls(
                **{
                    **fields,
                    "files": {name: FileEntry(**entry) for name, entry in fields["files"].items()},
                    "runtimes": tuple(fields.get("runtimes", ())),
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise Corrupt(key, "a delta's manifest", repr(error)) from error
