"""The two kinds of folders that the pointer names: builds under builds/<id>/, deltas under deltas/<id>/."""

from operator import attrgetter

from retrieval.folders.stored import FolderKind
from schemas.delta import CHANGES_FILE, SEGMENT_FILES, TOMBSTONES_FILE, DeltaManifest
from schemas.manifest import INDEX_FILE, ITEMS_FILE, VECTORS_FILE, Manifest


def _files_of_build(_: Manifest) -> tuple[str, ...]:
    return INDEX_FILE, VECTORS_FILE, ITEMS_FILE


def _files_of_delta(manifest: DeltaManifest) -> tuple[str, ...]:
    return TOMBSTONES_FILE, CHANGES_FILE, *(SEGMENT_FILES if manifest.rows else ())


BUILD_FOLDERS = FolderKind(
    noun="build",
    parse=Manifest.from_json,
    files_of=_files_of_build,
    id_of=attrgetter("build_id"),
    hint="see `shoplens index list`",
)

DELTA_FOLDERS = FolderKind(
    noun="delta",
    parse=DeltaManifest.from_json,
    files_of=_files_of_delta,
    id_of=attrgetter("delta_id"),
    hint="run build_delta again",
)
