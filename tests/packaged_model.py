"""The packaged model's bundle, exported once for all the processes that test with it.

python -m tests.packaged_model PLACE        puts it there, as a link
"""

import fcntl
import hashlib
import shutil
import sys
from pathlib import Path

from demo.setup import export_model
from schemas.bundle import BUNDLE_FILE
from tests.servers import PROJECT_ROOT

KEPT = PROJECT_ROOT / "test-output/packaged-model"
MADE_OF = (
    "spark_jobs/models",
    "retrieval/packaged",
    "retrieval/encoders",
    "retrieval/photos",
    "schemas/bundle.py",
    "locks/pipeline.txt",
)


def packaged_bundle_folder() -> Path:
    """For reading only: a test that damages a bundle makes its own."""
    folder = KEPT / _digest()
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / BUNDLE_FILE).exists():
            for stale in KEPT.glob("*/"):
                shutil.rmtree(stale)
            export_model(folder)  # by the command, as a user would
    return folder


def _digest() -> str:
    """Of all that the bundle is made of, so that none is kept that would be another today."""
    digest = hashlib.sha256()
    for name in MADE_OF:
        path = PROJECT_ROOT / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    Path(sys.argv[1]).symlink_to(packaged_bundle_folder())
