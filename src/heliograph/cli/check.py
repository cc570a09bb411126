"""What a command that checks something finds: a line each, with its remedy.

Invariant: whatever failed has an exit code.
"""

from dataclasses import dataclass
from enum import Enum

from heliograph.errors import HeliographError

OTHER, KEY, UPSTREAM = 1, 4, 8  # exit codes


class State(Enum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the report."""

    name: str
    state: State = State.OK
    finding: str
    remedy: str | None = None
    exit_code: int = 0  # of the doctor, when this failed


def failed(name: str, error: HeliographError, code: int) -> Check:
    """The check that an error is."""
    why = f" {error.why}" if error.why else ""
    return Check(
        name=name,
        state=State.FAIL,
        finding=f"{error.what}{why}",
        remedy=error.remedy,
        exit_code=code,
    )
