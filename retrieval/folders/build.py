"""A build as a folder: its manifest, and whether its files are the ones that the manifest names.

FAISS and Arrow do not notice damage: a flipped bit gives other answers without an error. So nothing reads a byte of
a build before `read_verified_manifest` has compared every file's size and SHA-256.
"""

import hashlib
from pathlib import Path

from schemas.errors import Corrupt
from schemas.manifest import INDEX_FILE, ITEMS_FILE, MANIFEST_FILE, VECTORS_FILE, FileEntry, Manifest

REQUIRED_FILES = (INDEX_FILE, VECTORS_FILE, ITEMS_FILE)
_BLOCK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as source:
        while block := source.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def describe_file(path: Path) -> FileEntry:
    return FileEntry(bytes=path.stat().st_size, sha256=sha256_of(path))


def read_manifest(folder: Path) -> Manifest:
    """The folder's manifest. Raises Corrupt or SchemaTooNew."""
    path = folder / MANIFEST_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Corrupt(str(path), "a manifest", error.strerror or "nothing") from error
    return Manifest.from_json(data, str(path))


def read_verified_manifest(folder: Path, *, checksums: bool = True) -> Manifest:
    """The manifest of a folder whose files are all there, of the right size and (unless told otherwise) SHA-256.

    Raises Corrupt, SchemaTooNew.
    """
    manifest = read_manifest(folder)
    if missing := [name for name in REQUIRED_FILES if name not in manifest.files]:
        raise Corrupt(str(folder / MANIFEST_FILE), f"an entry for {missing[0]}", "none")
    for name, entry in manifest.files.items():
        check_file(folder / name, entry, checksum=checksums)
    return manifest


def check_file(path: Path, entry: FileEntry, *, checksum: bool = True) -> None:
    """Raises Corrupt where the file is not what its entry says."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Corrupt(str(path), f"{entry.bytes} bytes", "no file") from error
    if size != entry.bytes:
        raise Corrupt(str(path), f"{entry.bytes} bytes", f"{size} bytes")
    if checksum and (actual := sha256_of(path)) != entry.sha256:
        raise Corrupt(str(path), f"SHA-256 {entry.sha256[:12]}…", f"{actual[:12]}…")
