"""The emulator's ledger as the harness reads it: over HTTP, never through the client's code.

Invariant: nothing here is guessed; a line that cannot be read is an error, not a line less.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# A job's number rides on the model's time: seconds with three digits, then six of the number. The
# emulator's ledger names the fault of every call, so each line tells whose it is.
_LABEL = re.compile(r"slow:\d+\.\d{3}(\d{6})")


@dataclass(frozen=True, kw_only=True)
class Emitted:
    """One image of an answer, as it was made."""

    sha256: str
    width: int  # px
    height: int  # px
    role: str  # "final" | "draft" | "thought" …


@dataclass(frozen=True, kw_only=True)
class BillLine:
    """One call as the emulator saw it."""

    call: str
    project: str
    arrived: float  # seconds since 1970
    read: float | None  # when the whole request was there
    last_byte: float | None
    closed: bool  # nothing will change any more
    billed: bool
    micro: int
    status: int | None
    fault: str  # what struck it; "" for nothing
    job: int | None  # the number that its request carried
    remote: str | None  # the id of an interaction
    images: tuple[Emitted, ...]

    @property
    def is_spoilt(self) -> bool:
        """Whether its picture was replaced after it was made."""
        return self.fault.startswith("image:")

    @property
    def response(self) -> str:
        """The `responseId` of its answer."""
        return hashlib.sha256(self.call.encode()).hexdigest()[:22]


def label(number: int, seconds: float) -> str:
    """The fault tag of a job: the model takes `seconds`, and its line will name the job.

    Args:
        number: 0 to 999,999.
    """
    return f"slow:{seconds:.3f}{number:06d}"


def job_of(text: str) -> int | None:
    """The number that a prompt or a fault carries."""
    found = _LABEL.search(text)
    return int(found[1]) if found else None


def read_bill(lines: Iterable[Mapping[str, Any]], projects: Iterable[str]) -> tuple[BillLine, ...]:
    """The lines of some projects, those that arrived first first.

    Raises:
        KeyError: a line lacks what every line has.
    """
    wanted = set(projects)
    read = [_line(line) for line in lines if line["project"] in wanted]
    return tuple(sorted(read, key=lambda line: (line.arrived, line.call)))


def _line(line: Mapping[str, Any]) -> BillLine:
    return BillLine(
        call=line["call"],
        project=line["project"],
        arrived=line["arrived"],
        read=line["request_read"],
        last_byte=line["last_byte"],
        closed=line["state"] == "closed",
        billed=line["billed"],
        micro=line["billed_micro"],
        status=line["http_status"],
        fault=line["fault"],
        job=job_of(line["fault"]),
        remote=line.get("interaction"),
        images=tuple(
            Emitted(
                sha256=image["sha256"],
                width=image["width"],
                height=image["height"],
                role=image["role"],
            )
            for image in line["images"]
        ),
    )
