"""The ways out, one method or few each. Every port has at least two implementations, and each
implementation passes the same contract suite (`tests/contract/`).

Invariant: nothing above this floor opens a socket, a database or a worker by any other way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from heliograph.types import (
    NOTHING,
    Export,
    ExportSpec,
    LedgerLine,
    Pixels,
    Plan,
    Record,
    Reply,
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened on the way; logs, progress and metrics subscribe to these."""

    name: str  # "planned", "connected", "sent", "receiving", "received", "checked", "kept" …
    job: str  # record id of the job it belongs to
    at: float  # seconds since the job began, monotonic
    facts: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


Observer = Callable[[Event], None]


class Provider(Protocol):
    """An upstream that makes images."""

    @property
    def upstream(self) -> str:
        """Host and port the calls go to."""

    @property
    def simulated(self) -> bool:
        """True when the answers come from the emulator."""

    async def generate(self, plan: Plan, spool: Path, observer: Observer) -> Reply:
        """Make one call and spool what it answers into the folder `spool`.

        Raises:
            UpstreamError, CredentialRejected: no usable answer; says whether it was charged.
        """

    async def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What decoding an image found."""

    intact: bool
    defect: str | None  # the decoder's complaint when not intact
    pixels: Pixels | None
    pages: int = 1
    trailing: int = 0  # bytes behind the end of the picture


class Imager(Protocol):
    """Decodes and encodes pictures, away from the event loop and from our own memory."""

    async def inspect(self, path: Path) -> Inspection:
        """Decode the whole image at warning level."""

    async def finish(self, original: Path, spec: ExportSpec, folder: Path) -> Export:
        """Make one export into `folder`.

        Raises:
            FinishError: it cannot be made as asked (budget unreachable, broken source).
        """

    async def close(self) -> None: ...


class Blobs(Protocol):
    """Immutable bytes under content-addressed keys such as `sha256/ab/abcd….jpg`."""

    async def put(self, file: Path, key: str) -> None:
        """Store `file` durably under `key`; a key that exists already is left as it is.

        The file is handed over: it may become the stored one, so nobody writes to it again.

        Raises:
            StorageError: it is not stored.
        """

    async def put_bytes(self, data: bytes, key: str) -> None: ...

    async def read(self, key: str) -> bytes:
        """Raises RecordNotFound when there is no such key."""

    async def local(self, key: str, scratch: Path) -> Path:
        """A local file with these bytes (the stored one, or a copy made in `scratch`)."""

    async def keys(self, prefix: str) -> Sequence[str]:
        """All keys that start with `prefix`, sorted."""


@dataclass(frozen=True, kw_only=True)
class CostRow:
    """One row of a cost report."""

    group: str
    calls: int
    images: int
    micro: int
    simulated: bool


class Books(Protocol):
    """Records and the ledger in one store, so that both are written in one transaction."""

    async def keep(self, record: Record, lines: Sequence[LedgerLine]) -> None:
        """Write a record and its ledger lines, all or nothing. Same ids again: no change."""

    async def find(self, record_id: str) -> Record:
        """A record by its id or an unambiguous prefix of at least 4 characters.

        Raises:
            RecordNotFound: no record, or more than one, matches.
        """

    async def recent(self, *, limit: int, search: str | None = None) -> Sequence[Record]:
        """Newest first; `search` keeps records whose prompt contains it, ignoring case."""

    async def lines(self, record_id: str) -> Sequence[LedgerLine]: ...

    async def costs(
        self, by: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[CostRow]:
        """Settled cost grouped `by` "day", "month", "model", "size" or "tier" (UTC days).

        Simulated and real money never share a row.
        """

    async def queries_since(self, since: datetime, *, simulated: bool) -> int:
        """Search queries settled since then, for the monthly free allowance."""

    async def close(self) -> None: ...
