"""A command that met a locked database is given again, as Airflow means it to be; any other failure stands."""

import signal
import time
from pathlib import Path
from types import FrameType

import psutil
import pytest

from demo.airflow_home import LOCKED_TRIES, AirflowFailed, AirflowHome


def airflow_that(folder: Path, script: str) -> AirflowHome:
    """An Airflow whose program is a script; it counts its calls in `calls`."""
    program = folder / "airflow"
    program.write_text(f"#!/bin/sh\necho called >> {folder}/calls\n{script}\n")
    program.chmod(0o755)
    return AirflowHome(folder, "http://127.0.0.1:0", {}, program)


def calls_of(home: AirflowHome) -> int:
    return len((home.folder / "calls").read_text().splitlines())


LOCKED_TWICE = 'test $(wc -l < "$(dirname "$0")/calls") -gt 2 || { echo "database is locked" >&2; exit 1; }; echo done'


def test_a_locked_database_is_asked_again(tmp_path: Path) -> None:
    home = airflow_that(tmp_path, f"PATH=/usr/bin:/bin; {LOCKED_TWICE}")
    assert home.command("backfill", "create") == "done\n"
    assert calls_of(home) == 3


@pytest.mark.parametrize(("words", "calls"), [("database is locked", LOCKED_TRIES), ("no such DAG", 1)])
def test_a_command_that_goes_on_failing_is_an_error(tmp_path: Path, words: str, calls: int) -> None:
    home = airflow_that(tmp_path, f'echo "{words}" >&2; exit 1')
    with pytest.raises(AirflowFailed, match=f"airflow backfill create: .*{words}"):
        home.command("backfill", "create")
    assert calls_of(home) == calls


def test_who_does_not_wait_for_airflow_to_end_leaves_none_of_it(tmp_path: Path) -> None:
    """As with Ctrl-C pressed twice: the second comes while a task is given time to end."""

    def press(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    home = airflow_that(tmp_path, f"trap '' TERM; echo $$ > {tmp_path}/$1.pid; while :; do /bin/sleep 0.1; done")
    home.start(["scheduler", "api-server"])
    pids = [tmp_path / f"{name}.pid" for name in ("scheduler", "api-server")]
    while not all(pid.exists() and pid.read_text().strip() for pid in pids):
        time.sleep(0.05)
    before = signal.signal(signal.SIGALRM, press)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            home.stop()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not [pid for pid in pids if psutil.pid_exists(int(pid.read_text()))]
