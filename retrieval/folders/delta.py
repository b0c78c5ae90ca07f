"""A delta's folder on disk, checked against its manifest. Opens nothing, so that it needs no FAISS."""

from pathlib import Path

from retrieval.folders.build import check_file
from schemas.delta import CHANGES_FILE, SEGMENT_FILES, TOMBSTONES_FILE, DeltaManifest
from schemas.errors import Corrupt
from schemas.manifest import MANIFEST_FILE


def read_verified_delta(folder: Path, *, checksums: bool = True) -> DeltaManifest:
    """The manifest of a delta's folder whose files are all there and right. Raises Corrupt, SchemaTooNew."""
    path = Path(folder) / MANIFEST_FILE
    try:
        manifest = DeltaManifest.from_json(path.read_bytes(), str(path))
    except OSError as error:
        raise Corrupt(str(path), "a delta's manifest", error.strerror or "nothing") from error
    required = (TOMBSTONES_FILE, CHANGES_FILE, *(SEGMENT_FILES if manifest.rows else ()))
    if missing := [name for name in required if name not in manifest.files]:
        raise Corrupt(str(path), f"an entry for {missing[0]}", "none")
    for name, entry in manifest.files.items():
        check_file(Path(folder) / name, entry, checksum=checksums)
    return manifest
