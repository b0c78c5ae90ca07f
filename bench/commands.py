"""Wall time and peak memory of the two commands: `make demo` from nothing and again, and `make test`.

    python -m bench.commands                 # all three, in a fresh clone of HEAD in a temporary folder
    python -m bench.commands --only demo     # the demo twice
    python -m bench.commands --json

Memory is the sum over the command's processes of proportional set size, sampled twice a second: pages that several
share count once. Downloads come from the package caches of the machine where it has them; the table says how long
the installation took within the first demo.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from bench.report import Figure, print_figures

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_S = 0.5


@dataclass(frozen=True)
class Cost:
    """What one command took: wall seconds, peak memory in MB of all its processes, and its exit code."""

    seconds: float
    peak_mb: float
    exit_code: int


def measure(command: Sequence[str], folder: Path, log_path: Path) -> Cost:
    """Run a command to its end while sampling its process tree."""
    with log_path.open("wb") as log:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        peak = _PeakMemory(process.pid)
        peak.start()
        code = process.wait()
        seconds = time.monotonic() - started
    return Cost(seconds, peak.stop(), code)


class _PeakMemory(threading.Thread):
    """Samples the memory of a process and its descendants until stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process, self._stopped, self._peak = psutil.Process(pid), threading.Event(), 0

    def run(self) -> None:
        while not self._stopped.wait(SAMPLE_S):
            self._peak = max(self._peak, _tree_bytes(self._process))

    def stop(self) -> float:
        self._stopped.set()
        self.join()
        return self._peak / 1e6


def _tree_bytes(root: psutil.Process) -> int:
    total = 0
    try:
        members = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in members:
        try:
            total += member.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


@click.command(help=__doc__)
@click.option("--only", type=click.Choice(["demo", "test"]), help="one of the two commands")
@click.option("--here", is_flag=True, help="in this checkout, not in a fresh clone")
@click.option("--json", "as_json", is_flag=True)
def main(only: str | None, here: bool, as_json: bool) -> None:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="shoplens-bench-") as scratch:
        folder = ROOT
        if not here:
            folder = Path(scratch) / "clone"
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        steps: list[tuple[str, list[str]]] = []
        if only in (None, "demo"):
            steps += [
                ("make demo ONCE=1, first", ["make", "demo", "ONCE=1"]),
                ("make demo ONCE=1, again", ["make", "demo", "ONCE=1"]),
            ]
        if only in (None, "test"):
            steps.append(("make test", ["make", "test"]))
        for name, command in steps:
            log_path = Path(scratch) / "log"
            cost = measure(command, folder, log_path)
            if cost.exit_code:
                sys.stderr.write(log_path.read_text(errors="replace")[-4000:])
                raise click.ClickException(f"{name} ended with {cost.exit_code}")
            figures += [
                Figure("commands", f"{name}: wall time", cost.seconds, "s"),
                Figure("commands", f"{name}: peak memory", cost.peak_mb, "MB"),
            ]
    print_figures(figures, as_json)


if __name__ == "__main__":
    main()
