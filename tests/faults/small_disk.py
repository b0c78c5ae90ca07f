"""A disk of a few hundred kilobytes, to fill and to free."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE_BYTES = 4096


@dataclass(frozen=True)
class SmallDisk:
    folder: Path

    def fill(self, pages_left: int = 0) -> None:
        """Write until nothing fits any more but so many pages."""
        with (self.folder / ".filler").open("ab", buffering=0) as filler:
            try:
                while filler.write(bytes(PAGE_BYTES)):
                    pass
            except OSError:
                filler.truncate(max(0, filler.tell() // PAGE_BYTES - pages_left) * PAGE_BYTES)

    def free(self) -> None:
        (self.folder / ".filler").unlink()


@contextmanager
def mount_small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk: {mounted.stderr.strip()} (mounting wants root, in a container CAP_SYS_ADMIN)")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
