"""A job as a process on this machine: its output line by line, its whole family ended when the task is."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

GRACE_SECONDS = 20
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class LocalProcess:
    """One process group, started by `run` and ended by `stop`, which may be called from a signal handler."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def run(
        self,
        command: Sequence[str],
        *,
        folder: str | None,
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
        verdict_prefix: str,
    ) -> tuple[int, str]:
        """Run to the end; returns the exit code and the job's verdict. Raises OSError where it cannot start.

        The verdict is the last line that begins with `verdict_prefix` (a JVM may still talk after it), else the last.
        """
        last_line = verdict = ""
        self._process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), text=True, errors="replace", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=_end_with_caller(),
        )  # fmt: skip
        if self._is_stopped:  # while it was starting
            self.stop()
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if stripped := line.rstrip():
                last_line = stripped
                verdict = stripped if stripped.startswith(verdict_prefix) else verdict
                on_line(stripped)
        return self._process.wait(), verdict or last_line

    def stop(self) -> None:
        """End the process and all that it started (the JVM among them): politely, then not."""
        self._is_stopped = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        _signal_group(process.pid, signal.SIGKILL)


def job_environment(inherited: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The worker's environment without Airflow's own settings, which hold secrets that no job needs, and with `own`."""
    kept = {
        name: value for name, value in inherited.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_", "PYTHON"))
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(own)


def _end_with_caller() -> Callable[[], None] | None:
    """What a new process does first, so that it ends when the one that calls this does, even of SIGKILL; None but on Linux.

    The scheduler tries such a task again, and two drivers would write to the same tables. A JVM ends when its driver does.
    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform != "linux":
        return None
    caller, prctl = os.getpid(), ctypes.CDLL(None).prctl

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != caller:  # it ended before it could be bound to
            os.kill(os.getpid(), signal.SIGKILL)

    return bind


def _signal_group(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, number)
