"""Photos made to break decoders: those of Pillow's own test suite and of the Go tool chain, fetched once.

python -m tests.spark_jobs.fetch.hostile_photos        fetches them ahead of the tests
"""

import fcntl
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

from tests.servers import PROJECT_ROOT

KEPT = PROJECT_ROOT / ".tools" / "pillow-tests"
_TIMEOUT_S = 900


class PhotosMissing(Exception):
    """They cannot be had here; its text says why."""


def pillow_photos() -> list[Path]:
    """The files of `Tests/images` in the source distribution of the installed Pillow. Raises PhotosMissing."""
    release = version("pillow")
    folder = KEPT / release
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            _extract(_source_distribution(release), folder)
            (folder / ".complete").touch()
    return _files_of(folder)


def go_photos() -> list[Path]:
    """The files of `image/testdata` and its neighbours in the Go tool chain. Raises PhotosMissing."""
    go = shutil.which("go")
    if go is None:
        raise PhotosMissing("Go is missing: install golang from go.dev, or from your distribution")
    root = subprocess.run([go, "env", "GOROOT"], check=True, capture_output=True, text=True).stdout.strip()
    photos = [path for folder in sorted((Path(root) / "src" / "image").rglob("testdata")) for path in _files_of(folder)]
    if not photos:
        raise PhotosMissing(f"this Go has no image/testdata under {root}")
    return photos


def _files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".complete")


def _source_distribution(release: str) -> Path:
    archive = KEPT / f"pillow-{release}.tar.gz"
    if archive.exists():
        return archive
    own_python = (
        PROJECT_ROOT / ".tools" / "uv" / "bin" / "python"
    )  # the environment of uv has pip, those it makes do not
    python = str(own_python if own_python.exists() else Path(sys.base_prefix) / "bin" / "python3")
    command = [python, "-m", "pip", "download", "--quiet", "--no-binary", ":all:", "--no-deps", "--dest", str(KEPT),
               f"pillow=={release}"]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except (subprocess.SubprocessError, OSError) as error:
        last = (str(getattr(error, "stderr", "") or error).strip().splitlines() or ["no message"])[-1]
        raise PhotosMissing(f"Pillow's source distribution cannot be had ({last}): run {' '.join(command)}") from None
    return archive


def _extract(archive: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(archive) as source:
        for member in source:
            _, found, below = member.name.partition("/Tests/images/")
            if found and member.isfile():
                target = folder / below
                target.parent.mkdir(parents=True, exist_ok=True)
                data = source.extractfile(member)
                assert data is not None
                target.write_bytes(data.read())


if __name__ == "__main__":
    pillow_photos()
