"""Other people's tools to compare with, each in an environment of its own under .peers/, made on first use."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
PEERS: Mapping[str, tuple[str, ...]] = {
    # Its imports still need pkg_resources, which setuptools dropped later.
    "clip-retrieval": ("clip-retrieval==2.45.0", "setuptools<70"),
    "autofaiss": ("autofaiss==2.18.0", "pyarrow<18", "faiss-cpu==1.9.0.post1"),
    # The searcher's and the pipeline's own versions: a plain app would take the newest too.
    "plain-flask": (
        "flask==3.1.3",
        "gunicorn==27.0.1",
        "faiss-cpu==1.15.1",
        "open_clip_torch==3.3.0",
        "torch==2.15.0",
        "transformers==5.23.0",
        "timm==1.0.31",
        "pyarrow==26.0.1",
    ),
    "img2dataset": ("img2dataset==1.47.0", "setuptools<70"),
}
_MARK = ".installed"


def peer_python(name: str) -> Path:
    """The Python that runs a peer, installed if it is not. Raises SystemExit with one line where that fails."""
    folder = PROJECT_ROOT / ".peers" / name
    python, mark = folder / "bin" / "python", folder / _MARK
    wanted = "\n".join(PEERS[name])
    if not (mark.exists() and mark.read_text() == wanted):
        print(f"installing {name} into {folder.relative_to(PROJECT_ROOT)} …", file=sys.stderr, flush=True)
        uv = PROJECT_ROOT / ".tools" / "uv" / "bin" / "uv"
        _run([str(uv), "venv", "--quiet", "--clear", "--python", "3.11", str(folder)], name)
        _run([str(uv), "pip", "install", "--quiet", "--python", str(python), *PEERS[name]], name)
        mark.write_text(wanted)
    return python


def _run(command: list[str], name: str) -> None:
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise SystemExit(f"no uv at {command[0]}: run `make setup` first") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise SystemExit(f"{name} could not be installed ({last}): is a package registry reachable?") from None
