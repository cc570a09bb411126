"""Everything that is kept, without any upstream: images, costs, calls, budgets.

Invariant: nothing here sends a request that costs money. Opening the library finishes what a
process that is gone had left behind.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict, Unpack
from zoneinfo import ZoneInfo

from heliograph import pipeline
from heliograph.calls import Rules
from heliograph.errors import ConfigurationError, InvalidRequest, Problem, RecordNotFound
from heliograph.imaging import VipsImager, ending, read_header
from heliograph.journal import CallEntry, Stage
from heliograph.keeping import all_cleared, resolve, resolve_without_call
from heliograph.leases import Lease
from heliograph.ledger import (
    HOLD,
    HOLD_RELEASE,
    KEY,
    TAG,
    TOTAL,
    USER,
    WINDOWS,
    Balance,
    is_budget,
    scopes_of,
)
from heliograph.money import MAX_MICRO, dollars, parse_dollars
from heliograph.observe import fan_out, log_event
from heliograph.planning import plan as make_plan
from heliograph.planning.check import is_tag
from heliograph.planning.cover import refuse_enlarging
from heliograph.planning.uses import for_picture
from heliograph.ports import (
    Accounts,
    Blobs,
    Books,
    Cabinet,
    CostRow,
    Finding,
    Imager,
    Jobs,
    Journal,
    Observer,
    Provider,
)
from heliograph.recovery import Questions, Recovered, recover
from heliograph.repaint import picture_of
from heliograph.settings import Settings, load_settings
from heliograph.sheets import Layout, Sheet, make_sheet
from heliograph.storage import FileCheck, RebuildReport, open_storage, rebuild, verify
from heliograph.types import Export, Finish, LedgerLine, Record, Request

# a whole 4K picture decodes in 0.1 s of CPU; a machine that is merely busy must never make a paid
# picture look broken
INSPECT_TIMEOUT = 60.0  # seconds
ALL = 10**9  # more records than any library has


class ExportOptions(TypedDict, total=False):
    """What `export` takes besides the record; the fields of `Request` of the same name."""

    pixels: str
    use: str
    finish: Finish


@dataclass(frozen=True, kw_only=True)
class Store:
    """The open library; satisfies `calls.Shelf`."""

    imager: Imager
    blobs: Blobs
    books: Books
    journal: Journal
    cabinet: Cabinet
    accounts: Accounts
    jobs: Jobs
    lease: Lease
    rules: Rules
    home: Path


class Library:
    """Finds and finishes what is kept; the base of `AsyncHeliograph`.

    Args:
        observer: called with every `Event`.
        settings: settings by name; None means not given.

    Raises:
        ConfigurationError: a setting is wrong.
    """

    def __init__(self, *, observer: Observer | None, settings: Mapping[str, Any]) -> None:
        self.settings: Settings = load_settings(**settings)
        self._observer = fan_out(log_event, *([observer] if observer else []))
        self._store: Store | None = None
        self._building = asyncio.Lock()
        self._recovering = asyncio.Lock()
        self._questions = Questions()
        self._closed = False

    # ------------------------------------------------------------ images

    async def images(self, *, limit: int = 20, search: str | None = None) -> Sequence[Record]:
        """Records of past calls, newest first."""
        return await (await self._open_store()).books.recent(limit=limit, search=search)

    async def image(self, record_id: str) -> Record:
        """One record by its id or an unambiguous beginning of it.

        Raises:
            RecordNotFound: none or several match.
        """
        return await (await self._open_store()).books.find(record_id)

    async def original(self, record: Record) -> Path:
        """A local file with the untouched original of a record.

        Raises:
            RecordNotFound: the record has no image.
        """
        kept = record.result
        if kept is None:
            raise RecordNotFound(
                f"{record.id[:8]} has no image.",
                why=f"The call ended as {record.outcome.value}.",
                remedy="Choose another record: `heliograph images list`.",
            )
        store = await self._open_store()
        return await store.blobs.local(kept.key, store.home / "exports" / record.id)

    async def picture(self, record: Record) -> Path:
        """A local file with the picture of a record as its user sees it.

        That is the original, except where only a part was changed and the rest put back.

        Raises:
            RecordNotFound: the record has no image.
        """
        await self.original(record)
        return await picture_of(record, await self._open_store())

    async def export(self, record_id: str, **options: Unpack[ExportOptions]) -> tuple[Export, ...]:
        """Make finished files of a kept image again, at no cost."""
        use, pixels = options.get("use"), options.get("pixels")
        finish = options.get("finish", Finish())
        record = await self.image(record_id)
        seen = await self.picture(record)
        kept, is_print = await asyncio.to_thread(read_header, seen), False
        if use:
            use, is_print = for_picture(use, kept.pixels)
        # planned as if it were to be made, because that is where finishing is checked
        request = Request(prompt="export", pixels=pixels, use=use, finish=finish)
        plan = make_plan(request, default_model=self.settings.model)
        refuse_enlarging(kept.pixels, plan.exports, is_print=is_print)
        store = await self._open_store()
        return await pipeline.export(record, seen, plan.exports, store.imager, store.home)

    async def sheet(
        self,
        records: Sequence[Record],
        destination: str | Path,
        *,
        title: str = "Contact sheet",
        columns: int = 4,
        html: bool = True,
        png: bool = True,
        force: bool = False,
    ) -> Sheet:
        """Write a contact sheet as NAME.html and NAME.png; see `make_sheet` for what it raises."""
        layout = Layout(title=title, columns=columns, html=html, png=png, force=force)
        return await make_sheet(records, destination, layout, await self._open_store())

    # ------------------------------------------------------------ money

    async def costs(
        self, by: str = "day", *, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[CostRow]:
        """Settled cost grouped by "day", "month", "model", "size" or "tier"."""
        return await (await self._open_store()).books.costs(by, since=since, until=until)

    async def lines(self, record_id: str) -> Sequence[LedgerLine]:
        """The ledger lines of one record."""
        return await (await self._open_store()).books.lines(record_id)

    async def set_budget(self, name: str, limit: int | str | None) -> str:
        """Set what may be spent; money spent before counts.

        Args:
            name: "total", "day", "month", "tag/NAME", or "user/NAME" and "key/ID" of a gateway,
                also with "/day" or "/month".
            limit: micro-dollars, or dollars as text ("25"); None removes the budget.

        Returns:
            The name it is kept by, which has a user's id.

        Raises:
            InvalidRequest: there is no such budget, or the limit is no amount.
        """
        store = await self._open_store()
        if limit is not None or name not in await store.journal.budgets():
            name = await _by_id(name, store.accounts)
        await store.journal.set_budget(_budget_name(name), _budget_limit(limit))
        return name

    async def budgets(self) -> Mapping[str, int]:
        """Limits in micro-dollars by name."""
        return await (await self._open_store()).journal.budgets()

    async def balances(self) -> Sequence[Balance]:
        """What is taken now of the total, the day, the month and whatever else has a budget."""
        store = await self._open_store()
        named = [name.split("/") for name in await store.journal.budgets()]
        tags = ["/".join(rest) for kind, *rest in named if kind == TAG]
        accounts = {f"{kind}/{rest[0]}" for kind, *rest in named if kind in (USER, KEY)}
        scopes = scopes_of(datetime.now(UTC), store.rules.zone, tags, tuple(accounts))
        return await store.journal.balances(scopes)

    async def audit(self) -> Sequence[Finding]:
        """Everything that does not add up in the books; nothing, normally."""
        return await (await self._open_store()).journal.audit()

    # ------------------------------------------------------------ calls

    async def calls(self, *, stages: Sequence[Stage] = (), limit: int = 20) -> Sequence[CallEntry]:
        """Calls of the journal, those begun last first; no stages means any."""
        return await (await self._open_store()).journal.calls(stages=stages, limit=limit)

    async def call(self, call_id: str) -> CallEntry:
        """One call by its id or an unambiguous beginning of it.

        Raises:
            RecordNotFound: none or several match.
        """
        return await (await self._open_store()).journal.find_call(call_id)

    async def resolve(self, call_id: str, micro: int | None) -> CallEntry:
        """Close a call of unknown outcome with what the provider's billing says.

        Args:
            micro: micro-dollars that were billed; None when nothing was.

        Raises:
            RecordNotFound: none or several match.
            StorageError: the call is not one of unknown outcome.
            MoneyRangeError: the amount is outside 0…1e12.
        """
        store = await self._open_store()
        return await resolve(await store.journal.find_call(call_id), micro, store)

    async def resolve_hold(self, record_id: str, micro: int | None) -> None:
        """Close what is held of a record whose calls are not in the journal, as after a rebuild.

        Args:
            micro: micro-dollars that were billed for all its calls of unknown outcome together;
                None when nothing was.

        Raises:
            RecordNotFound: none or several match, or nothing is held for it.
        """
        store = await self._open_store()
        record = await store.books.find(record_id)
        lines = {line.entry_id: line for line in await store.books.lines(record.id)}
        holds = [
            line
            for line in lines.values()
            if line.kind == HOLD and f"{line.call_id}-{HOLD_RELEASE}" not in lines
        ]
        if not holds:
            raise RecordNotFound(
                f"Nothing is held for {record.id[:8]}.",
                remedy="`heliograph budget show` tells what is held at all.",
            )
        # the amount is written with the last one: whoever is stopped half-way can say it again
        for hold in holds[:-1]:
            await resolve_without_call(hold, None, store)
        await resolve_without_call(holds[-1], micro, store)

    async def recover(self) -> tuple[Recovered, ...]:
        """Finish what processes that are gone had left open; it also happens at every opening."""
        return await self._recover(await self._open_store(), None)

    async def _recover(
        self, store: Store, provider: Provider | None, *, jobs: Collection[str] | None = ()
    ) -> tuple[Recovered, ...]:
        """Finish open calls, and wait for submitted ones: of these jobs as long as it takes."""
        # two tasks of one client would both find a call that one of them has just taken over
        async with self._recovering:
            done = await recover(
                store,
                self._observer,
                questions=self._questions,
                provider=provider,
                in_the_air=self._is_in_the_air,
            )
        return (*done, *await self._questions.answers(jobs))

    def _is_in_the_air(self, job: str) -> bool:
        """Whether this client is making a job; a library alone makes none."""
        del job
        return False

    async def is_alive(self, call: CallEntry) -> bool:
        """Whether a living process is making this call."""
        store = await self._open_store()
        return call.owner in await asyncio.to_thread(store.lease.living)

    async def other_processes(self) -> tuple[int, ...]:
        """Numbers of the other processes that use this library now."""
        return await asyncio.to_thread((await self._open_store()).lease.others)

    # ------------------------------------------------------------ files

    async def verify(
        self, record_ids: Sequence[str] = (), *, deep: bool = False
    ) -> tuple[FileCheck, ...]:
        """Hash and walk every stored original and signature, of some records or of all.

        Args:
            record_ids: ids or unambiguous beginnings; none means all records.
            deep: also decode each picture.

        Raises:
            RecordNotFound: none or several records match an id.
        """
        store = await self._open_store()
        records = [await store.books.find(record_id) for record_id in record_ids]
        if not record_ids:
            records = list(await store.books.recent(limit=ALL))

        async def defect(path: Path) -> str | None:
            walked = await asyncio.to_thread(ending, path)
            if not walked.complete or not deep:
                return walked.defect
            return (await store.imager.inspect(path)).defect

        return await verify(records, store.blobs, defect)

    async def rebuild(self) -> RebuildReport:
        """Re-create database rows that are missing from the sidecars beside the originals."""
        store = await self._open_store()
        return await rebuild(store.blobs, store.books)

    # ------------------------------------------------------------ opening

    async def store(self) -> Store:
        """The open library, for whoever builds on it."""
        return await self._open_store()

    async def _open_store(self) -> Store:
        async with self._building:
            return await self._store_unlocked()

    async def _store_unlocked(self) -> Store:
        if self._closed:
            raise ConfigurationError(
                "This client is closed.", remedy="Make a new one; a client is not opened twice."
            )
        if self._store is None:
            settings = self.settings
            storage = await asyncio.to_thread(
                open_storage,
                settings.home,
                database_url=settings.database_url,
                blobs_url=settings.blobs_url,
            )
            self._store = Store(
                imager=VipsImager(workers=settings.workers, inspect_timeout=INSPECT_TIMEOUT),
                blobs=storage.blobs,
                books=storage.books,
                journal=storage.journal,
                cabinet=storage.cabinet,
                accounts=storage.accounts,
                jobs=storage.jobs,
                lease=await asyncio.to_thread(Lease, settings.home),
                rules=_rules(settings),
                home=settings.home,
            )
            await self._recover(self._store, None)
        return self._store

    async def _close_store(self) -> None:
        store, self._store = self._store, None
        await all_cleared()
        if store is not None:
            await store.imager.close()
            await store.books.close()
            store.lease.close()


def _rules(settings: Settings) -> Rules:
    limit = settings.spend_per_10_minutes
    return Rules(
        zone=ZoneInfo(settings.budget_zone),
        key_life=timedelta(seconds=settings.idempotency_ttl),
        retry_unknown=settings.retry_unknown,
        spend_limit=parse_dollars(limit) if limit is not None else None,
        twins=settings.cache,
        twin_life=timedelta(seconds=settings.cache_ttl),
    )


def _budget_name(name: str) -> str:
    kind, _, tag = name.partition("/")
    if is_tag(tag) if kind == TAG else is_budget(name):
        return name
    problem = Problem(
        field="budget",
        value=name,
        message="is no budget.",
        nearest=(TOTAL, *WINDOWS, f"{TAG}/NAME"),
    )
    raise InvalidRequest([problem])


async def _by_id(name: str, accounts: Accounts) -> str:
    """A budget's name with the id of its user, whom people call by name; calls count by ids.

    Raises:
        InvalidRequest: it is a budget of nobody, which would never hold.
    """
    kind, _, rest = name.partition("/")
    window = next((f"/{w}" for w in WINDOWS if rest.endswith(f"/{w}")), "")
    account = rest.removesuffix(window)
    if kind == USER:
        user = await accounts.user(account) or await accounts.user_named(account)
        if user is not None:
            return f"{USER}/{user.id}{window}"
        message = "is no name or id of a user."
    elif kind == KEY and await accounts.key(account) is None:
        message = "is no id of a key."
    else:
        return name
    raise InvalidRequest([Problem(field="budget", value=name, message=message)])


def _budget_limit(limit: int | str | None) -> int | None:
    if limit is None:
        return None
    try:
        micro = parse_dollars(limit) if isinstance(limit, str) else limit
    except ValueError as error:
        problem = Problem(field="limit", value=str(limit), message=f"{error}.")
        raise InvalidRequest([problem]) from error
    if isinstance(micro, bool) or not 0 <= micro <= MAX_MICRO:
        message = f"must be from $0 to {dollars(MAX_MICRO)}."
        raise InvalidRequest([Problem(field="limit", value=str(limit), message=message)])
    return micro
