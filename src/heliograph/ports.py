"""The ways out, one method or few each. Every port has at least two implementations, and each
implementation passes the same contract suite (`tests/contract/`).

Invariant: nothing above this floor opens a socket, a database or a worker by any other way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from heliograph.journal import CallEntry, Claim, Stage
from heliograph.ledger import Balance
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
        self, plan: Plan, spool: Path, remote: str, log: CallLog, observer: Observer
    ) -> Reply:
        """The answer of a call that was submitted before, perhaps by another process; free.

        Args:
            remote: the upstream's own id of the call.

        Raises:
            HeliographError: there is no usable answer; says whether it was charged.
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


@dataclass(frozen=True, kw_only=True)
class AreaShape:
    """The part of a picture that an edit may change: exactly one of `region` and `mask`.

    A mask is a PNG in the picture's ratio. Without transparency white is changed, black is kept
    and grey is mixed. With transparency, as in OpenAI's edits, what is transparent is changed,
    whatever the colours; one that is black and white besides is refused as unclear.
    """

    region: tuple[int, int, int, int] | None = None  # x, y, width, height; px, picture upright
    mask: Path | None = None
    feather: int = 0  # px of soft edge, inside the area; less where the area is narrow
    protect: bool = False  # the rest will be put back, so `mark` refuses what `blend` would


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One place on a contact sheet."""

    picture: Path | None  # None leaves the place empty
    lines: tuple[str, ...] = ()  # shown below it, at most three
    badge: str | None = None  # a word or two on the picture's corner


class Imager(Protocol):
    """Decodes and encodes pictures, away from the event loop and from our own memory."""

    async def inspect(self, path: Path) -> Inspection:
        """Decode the whole image at warning level."""

    async def finish(self, original: Path, spec: ExportSpec, folder: Path) -> Export:
        """Make one export into `folder`.

        Raises:
            FinishError: it cannot be made as asked (budget unreachable, broken source).
        """

    async def mark(self, picture: Path, area: AreaShape, folder: Path) -> Path:
        """A copy of `picture` for a model's eyes, with the area to change plainly marked.

        A JPEG of at most 2,048 px a side in a new file: translucent magenta in the area, a solid
        magenta outline around it.

        Raises:
            InvalidRequest: the area does not go with the picture (field "region" or "mask"), or
                nothing can be put back from the picture (field "base").
            FinishError: it cannot be made (broken picture, full disk).
            StorageError: no worker can be started.
        """

    async def blend(self, parent: Path, change: Path, area: AreaShape, folder: Path) -> Path:
        """The edit that leaves the rest alone: `change` inside the area, `parent` outside.

        A lossless PNG of the parent's size in a new file. Every pixel outside the area is the
        parent's decoded one; the soft edge lies inside. The parent's transparency, depth and
        colour profile stay. The same inputs give the same bytes.

        Raises:
            InvalidRequest: the area does not go with the parent (field "region" or "mask").
            FinishError: it cannot be made (broken or animated picture, a parent in CMYK).
            StorageError: no worker can be started.
        """

    async def fit(
        self, picture: Path, *, max_bytes: int, max_side: int, max_area: int, folder: Path
    ) -> Path:
        """A copy of `picture` within the limits (bytes, px, px), or itself when it is within.

        A JPEG where nothing is transparent, else a PNG or WebP: upright, 8 bit, sRGB.

        Raises:
            InvalidRequest: it is no picture that is accepted (field "picture").
            FinishError: no copy is that small, or it cannot be written.
            StorageError: no worker can be started.
        """

    async def sheet(self, cells: Sequence[Cell], folder: Path, *, columns: int, title: str) -> Path:
        """A contact sheet as a PNG in a new file: small pictures with words below them.

        A picture that cannot be read leaves an empty cell that says so.

        Raises:
            InvalidRequest: no cells, or too many for one sheet (fields "cells", "columns").
            FinishError: it cannot be made (full disk).
            StorageError: no worker can be started.
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


@dataclass(frozen=True, kw_only=True)
class SessionRow:
    """One session in the list of sessions."""

    id: str
    turns: int  # records
    begun: datetime  # UTC, of the first record
    changed: datetime  # UTC, of the newest record
    micro: int  # sum of the costs of its records
    first: str  # prompt of the first record
    last: str  # id of the newest record that kept an image, or else of the newest


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

    async def session(self, session_id: str) -> Sequence[Record]:
        """All records of a session, oldest first; none when there is no such session."""

    async def sessions(self, *, limit: int) -> Sequence[SessionRow]:
        """The sessions, those with the newest record first."""

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


@dataclass(frozen=True, kw_only=True)
class Card:
    """A small named document."""

    kind: str
    name: str
    body: Mapping[str, Any]  # JSON values
    version: int  # 1 for a new one, and one more with each change
    changed: datetime  # UTC


class Cabinet(Protocol):
    """Cards, which people and the client change, in the same database as the `Books`.

    Each method that writes is one transaction, durable when it returns. Text may be any that
    Python holds. A card that was dropped and made again begins with version 1 again.
    """

    async def card(self, kind: str, name: str) -> Card | None: ...

    async def cards(self, kind: str) -> Sequence[Card]:
        """All of a kind, sorted by name."""

    async def put(self, kind: str, name: str, body: Mapping[str, Any], *, version: int) -> Card:
        """Write a card and return it as it is from now on.

        Args:
            version: the one that was read and is to be replaced; 0 when there was none.

        Raises:
            CardChanged: the stored version is another one; nothing was written.
            StorageError: the body has no exact JSON form, or kind (100 characters) or name (400)
                are too long.
        """

    async def drop(self, kind: str, name: str) -> None:
        """Remove a card; when there is none, nothing happens."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that does not add up in the books."""

    subject: str  # id of a call, a ledger line or a scope
    what: str  # one sentence


class Journal(Protocol):
    """Calls, reservations, budgets and idempotency keys, in the same database as the `Books`.

    Each method that writes is one transaction: all of it or nothing, durable when it returns.
    """

    async def open(
        self, call: CallEntry, line: LedgerLine, *, claim: Claim | None = None
    ) -> Claim | None:
        """Write a new call with its `reserve` line, if every budget has room for it.

        Returns:
            None, or the claim that the same idempotency key has already (not expired, not
            dropped): then nothing was written. An expired claim is replaced.

        Raises:
            BudgetExceeded: a scope of the line has not enough left; nothing was written.
            StorageError: the call or its line is there already, or the line is not its own.
        """

    async def change(
        self,
        before: CallEntry,
        after: CallEntry,
        *,
        lines: Sequence[LedgerLine] = (),
        record: Record | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Replace an entry by a later one, with all that belongs to the step.

        The lines change the balances of their scopes whether or not a budget is passed by that.
        A line that is there already, word for word, changes nothing. A claim is written as it
        is, or removed when it is `DROPPED`; a key that belongs to another job by now is left.

        Raises:
            CallTaken: stage or owner are not those of `before` any more; nothing was written.
            WrongMove: `MOVES` has no such step, or it is another call.
            StorageError: a line is not the call's own, or an id is kept with other content.
        """

    async def find_call(self, call_id: str) -> CallEntry:
        """A call by its id or an unambiguous prefix of at least 4 characters.

        Raises:
            RecordNotFound: no call, or more than one, matches.
        """

    async def calls(
        self,
        *,
        stages: Sequence[Stage] = (),
        library: str | None = None,
        job: str | None = None,
        limit: int,
    ) -> Sequence[CallEntry]:
        """Calls, those begun last first; no stages means any."""

    async def claim(self, key: str) -> Claim | None:
        """What an idempotency key stands for, unless it is expired."""

    async def twin(self, key: str, *, since: datetime, simulated: bool) -> str | None:
        """The job of the latest settled call with this canonical key that ended since then."""

    async def spent_since(self, since: datetime, *, project: str, simulated: bool) -> int:
        """Micro-dollars that calls of a project took since then: settled, reserved and held.

        A call counts when it is open, or has changed since then.
        """

    async def set_budget(self, name: str, limit: int | None) -> None:
        """Set or, with None, remove a budget: "total", "day", "month" or "tag/NAME".

        Raises:
            ValueError: it is no such name, or the limit is outside 0…1e12 micro-dollars.
        """

    async def budgets(self) -> Mapping[str, int]:
        """Limits in micro-dollars by name."""

    async def balances(self, scopes: Sequence[str]) -> Sequence[Balance]:
        """Balances of these scopes, real and simulated, those without any line left out."""

    async def audit(self) -> Sequence[Finding]:
        """Everything that does not add up: balances against lines, calls against lines.

        A call that is open must have one reserve line and no other; a released one reserve and
        release; a settled, refused or quarantined one also has at most one settle line; a
        doubtful one a hold that is not released. An integrity check of the database is part of
        it where the engine has one.
        """
