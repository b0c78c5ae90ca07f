"""What one check found: a state, what is so, and what to do about it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import ParamSpec

from schemas.errors import EXIT_MISCONFIGURED, EXIT_TRY_AGAIN, ShopLensError

P = ParamSpec("P")


class State(StrEnum):
    OK = "ok"
    NOT_CHECKED = "not checked"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's. `exit_code` is that of the error behind it, where something is wrong."""

    check: str
    state: State
    says: str
    remedy: str = ""
    exit_code: int = EXIT_MISCONFIGURED


def ok(check: str, says: str) -> Finding:
    return Finding(check, State.OK, says)


def warning(check: str, says: str, remedy: str = "") -> Finding:
    return Finding(check, State.WARNING, says, remedy)


def wrong(check: str, says: str, remedy: str = "") -> Finding:
    return Finding(check, State.WRONG, says, remedy)


def raised(check: str, error: ShopLensError) -> Finding:
    """An error's own line says what to do."""
    return Finding(check, State.WRONG, str(error), exit_code=error.exit_code)


def found_by(check: str, look: Callable[P, Finding], *args: P.args, **kwargs: P.kwargs) -> Finding:
    """What a check found; an expected error is a finding too."""
    try:
        return look(*args, **kwargs)
    except ShopLensError as error:
        return raised(check, error)


def exit_code_of(findings: Iterable[Finding]) -> int:
    """0 where nothing is wrong, 75 where all that is wrong is that something did not answer, else 78."""
    codes = {finding.exit_code for finding in findings if finding.state is State.WRONG}
    if not codes:
        return 0
    return EXIT_TRY_AGAIN if codes == {EXIT_TRY_AGAIN} else EXIT_MISCONFIGURED
