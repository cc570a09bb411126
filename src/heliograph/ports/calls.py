"""The ways to an upstream, and what is told on them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from heliograph.types import NOTHING, Plan, Reply


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened on the way; logs, progress and metrics subscribe to these."""

    name: str  # "planned", "connected", "sent", "receiving", "received", "checked", "kept" …
    job: str  # record id of the job it belongs to
    at: float  # seconds since the job began, monotonic
    facts: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


Observer = Callable[[Event], None]


class CallLog(Protocol):
    """Takes down how far a paid call has come, durably, before it goes further."""

    async def room(self, project: str, ask: int) -> float:
        """Seconds to wait before a project may spend `ask` micro-dollars more; 0 is now."""

    async def intent(self, project: str, attempt: int) -> None:
        """About to connect, for the first time or again after a free failure."""

    async def sent(self) -> None:
        """The last byte is about to leave; returns when that is written down for good."""

    async def failed(self, facts: Mapping[str, Any]) -> None:
        """The attempt failed and is provably not charged; `facts` say why."""

    async def submitted(self, remote: str) -> None:
        """The upstream gave the call an id of its own."""


class Provider(Protocol):
    """An upstream that makes images."""

    @property
    def upstream(self) -> str:
        """Host and port the calls go to."""

    @property
    def simulated(self) -> bool:
        """True when the answers come from the emulator."""

    @property
    def transport(self) -> str:
        """How calls are made: "generate_content" or "interactions"."""

    async def generate(self, plan: Plan, spool: Path, log: CallLog, observer: Observer) -> Reply:
        """Make one call and spool what it answers into the folder `spool`.

        Raises:
            UpstreamError, CredentialRejected: no usable answer; says whether it was charged.
        """

    async def resume(
        self,
        plan: Plan,
        spool: Path,
        remote: str,
        log: CallLog,
        observer: Observer,
        *,
        project: str,
    ) -> Reply:
        """The answer of a call that was submitted before, perhaps by another process; free.

        Args:
            remote: the upstream's own id of the call.
            observer: is told "waiting" each time that it was asked for and not there yet.
            project: label of the project it was submitted in; only that one can call it lost.

        Raises:
            HeliographError: there is no usable answer; says whether it was charged.
        """

    async def close(self) -> None: ...
