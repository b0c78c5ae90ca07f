"""A file of a folder that never changes: what its manifest says of it, and whether that is so."""

import hashlib
from pathlib import Path

from schemas.errors import Corrupt
from schemas.manifest import FileEntry

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
