"""What a row is: data that says what goes wrong, what is asked, and what must be true afterwards.

Invariant: a row that cannot be tried yet says so (`needs`), and never passes.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from heliograph.chaos.evidence import Evidence
from heliograph.types import NOTHING

KEPT = "kept"  # how an ask ends that gets its image; others end with the code of their error


@dataclass(frozen=True, order=True)
class Span:
    """How many, at least and at most."""

    least: int
    most: int

    def __contains__(self, count: int) -> bool:
        return self.least <= count <= self.most

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least}–{self.most}"

    def __add__(self, other: "Span") -> "Span":
        return Span(self.least + other.least, self.most + other.most)


def exactly(count: int) -> Span:
    """That many."""
    return Span(count, count)


def up_to(count: int) -> Span:
    """None to that many."""
    return Span(0, count)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What the client is asked for."""

    fault: str = ""  # for the emulator, as in a prompt tag: "rate-minute:1*1"
    words: str = "A fox on a hill"
    times: int = 1  # as many different prompts
    over: float = 0.0  # seconds over which they are spread; 0: all at once
    options: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # of `generate`

    def prompts(self, trial: str) -> tuple[str, ...]:
        """One prompt for each time.

        Args:
            trial: a word of the trial's own: the emulator counts `*1` by the whole prompt.
        """
        tag = f" [[fault:{self.fault}]]" if self.fault else ""
        return tuple(f"{self.words}, {trial} {n}{tag}" for n in range(1, self.times + 1))


@dataclass(frozen=True, kw_only=True)
class Project:
    """One of the client's upstream projects, and what the emulator does to its calls."""

    rules: tuple[Mapping[str, Any], ...] = ()  # as in POST /_emulator/rules, the project left out
    habits: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # billing, latency, slow
    quota: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # per_minute, per_day …


Check = Callable[[Evidence], Iterable[str]]
Play = Callable[..., Awaitable[None]]  # of a `stage.Stage`


@dataclass(frozen=True, kw_only=True)
class Case:
    """One trial of a row: its own projects, its own library."""

    name: str
    asks: tuple[Ask, ...] = (Ask(),)
    projects: tuple[Project, ...] = (Project(),)
    settings: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    calls: Span = field(default_factory=lambda: exactly(1))  # the emulator counts
    billed: Span = field(default_factory=lambda: exactly(1))  # lines with a price
    ends: tuple[str, ...] = (KEPT,)  # allowed for every ask
    checks: tuple[Check, ...] = ()
    base_url: str | None = None  # instead of the emulator's; "tls:KIND" is one of its TLS ports
    play: Play | None = None  # what happens, where asking is not all of it
    faces: tuple[str, ...] = ()  # of `faces.FACES`: only through these; none: through all


class Kind(Enum):
    """In which way a row is tried."""

    FAULT = "fault"  # the upstream or the connection misbehaves
    CRASH = "crash"  # the process is killed
    LOAD = "load"  # many at once


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the tables in the reliability page."""

    id: str
    title: str
    expects: str  # in words
    promises: tuple[int, ...] = ()  # numbers on the page of promises that it proves
    kind: Kind = Kind.FAULT
    cases: tuple[Case, ...] = ()
    script: str | None = None  # "module:function" that tries it, where it has no cases
    facts: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # of that script
    seconds: float = 1.0  # about, so that the longest begins first
    needs: str | None = None  # what does not exist yet

    @property
    def is_served(self) -> bool:
        """Whether it can be tried."""
        return self.needs is None


def tally(cases: Sequence[Case], what: Callable[[Case], Span]) -> Span:
    """The sum over cases."""
    total = exactly(0)
    for case in cases:
        total += what(case)
    return total
