"""What is written down about pictures: records, ledger, calls, small documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from heliograph.journal import CallEntry, Claim, Stage
from heliograph.ledger import Balance
from heliograph.types import LedgerLine, Record


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


@dataclass(frozen=True, kw_only=True)
class Search:
    """Which records are wanted; everything that is set must hold."""

    owner: str | None = None  # id of a user; None means anybody's, those of no user included
    words: str | None = None  # every word stands in the prompt, ignoring case
    models: tuple[str, ...] = ()  # one of these
    sizes: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()  # all of these, whole and exactly
    session: str | None = None
    since: datetime | None = None  # created then or later
    until: datetime | None = None  # created before
    simulated: bool | None = None
    trashed: bool = False  # what lies in the trash, instead of all that does not
    before: tuple[datetime, str] | None = None  # older than this (created, id): the next page


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

    async def search(self, search: Search, *, limit: int) -> Sequence[Record]:
        """What is wanted, newest first.

        Raises:
            InvalidRequest: more words or tags than a search can hold (fields "words", "tags").
            ValueError: the limit is negative, or a time has no zone.
        """

    async def facets(self, search: Search) -> Mapping[str, Mapping[str, int]]:
        """How many of what is wanted there are by "model", "size", "verdict" and "outcome".

        Each facet counts as if nothing were chosen in it; `before` does not count. What has no
        size or no verdict counts in the other facets alone. Values are sorted.

        Raises:
            InvalidRequest, ValueError: as in `search`.
        """

    async def trash(self, record_id: str, at: datetime) -> None:
        """Put a record into the trash, or leave it there; its images stay where they are.

        Raises:
            RecordNotFound: there is no record with this whole id.
        """

    async def untrash(self, record_id: str) -> None:
        """Take a record out of the trash; when it is not in it, nothing happens."""

    async def trashed(self, record_ids: Sequence[str]) -> frozenset[str]:
        """Which of these lie in the trash."""

    async def session(self, session_id: str) -> Sequence[Record]:
        """All records of a session, oldest first; none when there is no such session."""

    async def sessions(self, *, limit: int, owner: str | None = None) -> Sequence[SessionRow]:
        """The sessions, those with the newest record first.

        Args:
            owner: id of a user whose records count, and no others; None means everybody's.
        """

    async def lines(self, record_id: str) -> Sequence[LedgerLine]: ...

    async def costs(
        self,
        by: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        owner: str | None = None,
    ) -> Sequence[CostRow]:
        """Settled cost grouped `by` "day", "month", "model", "size", "tier" or "owner" (UTC days).

        Args:
            owner: id of a user whose records count; None means everybody's. What belongs to no
                user is in the group "".

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
