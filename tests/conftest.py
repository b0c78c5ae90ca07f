"""What all tests share: in CI a skipped test is a failed run, so that a missing server cannot hide."""

import atexit
import gc
import os

import pytest
from hypothesis import settings

# What imports make is there to stay, and looking through it again and again takes a quarter of the time they need.
gc.disable()
atexit.register(gc.unfreeze)

# Before any library starts its threads: those of FAISS wait by spinning, which two busy cores cannot afford.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test asserts a time, and on a busy machine any example may take long.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

pytest_plugins = ("tests.servers",)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and fails_on_skip():
        terminalreporter.write_line(f"{len(skipped)} tests were skipped, and SHOPLENS_FAIL_ON_SKIP is set", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    if fails_on_skip() and reporter.stats.get("skipped") and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def fails_on_skip() -> bool:
    return os.environ.get("SHOPLENS_FAIL_ON_SKIP") == "1"
