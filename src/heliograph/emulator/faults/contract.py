"""What a fault is; invariant: faults are data and pure functions, others carry them out."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from heliograph.emulator.encoding import TextEdit
from heliograph.emulator.envelope import ApiError, misused
from heliograph.emulator.reply import Picture, Tree
from heliograph.emulator.scene import Scene


@dataclass(frozen=True, kw_only=True)
class Canned:
    """A fixed HTTP answer in place of the model's."""

    body: bytes
    status: int = 200
    reason: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Certificate = Literal["expired", "wrong_name", "self_signed"]


@dataclass(frozen=True, kw_only=True)
class Shut:
    """What happens to the ports for a while: closed, or a certificate that nobody should trust."""

    seconds: float
    certificate: Certificate | None = None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How an answer reaches the peer; the default is: whole and at once."""

    reset: Literal["", "before", "after_request"] = ""
    shut: Shut | None = None
    canned: Canned | None = None
    think: float = 0.0
    """Seconds added to the model's own time, so that deadlines apply."""
    delay_headers: float = 0.0
    """Seconds between the finished answer and its first byte."""
    stop_at: int | Literal["image_end", "image_middle", "half"] | None = None
    """Where the body stops, in bytes or by place."""
    ending: Literal["close", "reset", "clean", "stall", "endless"] = "close"
    """What happens where it stops."""
    endless_bytes: int = 0
    """How many bytes of base64 an endless body goes on for, should nobody stop it."""
    informational: int = 0
    """Status of a 1xx reply before the real one; 0 is none."""
    bytes_per_second: int = 0
    claim_extra: int = 0
    """How many more bytes Content-Length promises than come."""
    stream_error: ApiError | None = None
    """Sent in place of the rest of a stream after its first event."""
    prefix: bytes = b""

    @property
    def answers(self) -> bool:
        """Whether the model gets to make an answer at all."""
        return not self.reset and self.canned is None and self.stream_error is None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One occurrence of a fault."""

    name: str
    arg: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The args of a rule, when they are an object."""
    model: str = ""

    def split(self) -> tuple[str, "Case"]:
        """The argument up to its first colon, and the case of what follows it."""
        first, _, rest = self.arg.partition(":")
        return first, dataclasses.replace(self, arg=rest)

    def number(self, default: float) -> float:
        """The argument as a number of zero or more."""
        if not self.arg:
            return default
        try:
            value = float(self.arg)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise self.bad_argument("a number of zero or more")
        return value

    def whole(self, default: int) -> int:
        """The argument as a whole number of zero or more."""
        return int(self.number(default))

    def choice(self, default: str, *choices: str) -> str:
        """The argument as one of the choices."""
        if self.arg and self.arg not in choices:
            raise self.bad_argument(f"one of {', '.join(choices)}")
        return self.arg or default

    def bad_argument(self, wanted: str) -> ApiError:
        """The answer to a fault that was written wrongly."""
        return misused(f"Fault {self.name}: argument {self.arg[:64]!a} is not {wanted}.")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A named misbehaviour: some of the hooks below, each of one stage of an answer."""

    name: str
    explain: str
    error: Callable[[Case], ApiError] | None = None
    scene: Callable[[Scene, Case], Scene] | None = None
    picture: Callable[[Picture, Case], Picture] | None = None
    base64: Callable[[bytes, Case], bytes] | None = None
    tree: Callable[[Tree, Case], Tree] | None = None
    text: Callable[[Case], TextEdit] | None = None
    delivery: Callable[[Case], Delivery] | None = None
    early: bool = False
    """Whether it acts before the body is read, when a rule or the header names it."""
    names_project: bool = False
    """Whether its argument begins with the one project that it strikes."""


def table(*faults: Fault) -> dict[str, Fault]:
    """Faults by name; a name used twice is a programming error."""
    found = {fault.name: fault for fault in faults}
    if len(found) != len(faults):
        raise ValueError("two faults share a name")
    return found
