"""What a process told before it died, and the inquest that follows.

Invariant: whoever holds the inquest had nothing to do with what is looked into.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph.chaos.evidence import Ended, Interrupted
from heliograph.chaos.labour import Inquest
from heliograph.chaos.nursery import ChildBroke
from heliograph.chaos.report import Told
from heliograph.chaos.script import Crew
from heliograph.chaos.turning import Begun


@dataclass
class Life:
    """What one process told until its end."""

    ready: float | None = None  # seconds since 1970
    ended: list[Ended] = field(default_factory=list)
    away: list[Ended] = field(default_factory=list)  # whose gateway went, or was going
    unready: float | None = None  # seconds from the signal to stop until a gateway said so
    left: tuple[Interrupted, ...] = ()
    begun: Begun | None = None  # of a session
    is_done: bool = False
    exit_code: int | None = None
    gone: float = 0.0  # seconds since 1970


async def inquest(crew: Crew, what: Inquest) -> tuple[Told, Mapping[str, str]]:
    """The last process: what it found, and how each key ended."""
    child = crew.start("labour:inquire", what)
    ends: dict[str, str] = {}
    told: Told | None = None
    try:
        while (message := await child.hear()) is not None:
            if message[0] == "ends":
                ends = dict(message[1])
            elif message[0] == "done":
                told = message[1]
    finally:
        await child.close()
    if told is None:
        raise ChildBroke("the inquest ended without a word")
    return told, ends
