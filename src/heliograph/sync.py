"""The blocking face: the same client, driven from ordinary code, scripts and notebooks.

Invariant: it holds no logic of its own; a private event loop in a daemon thread runs
`AsyncHeliograph`, so it also works where a loop is running already.
"""

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, Unpack

from heliograph.casts import Casts, KeptCast
from heliograph.client import AsyncHeliograph
from heliograph.errors import ConfigurationError
from heliograph.journal import CallEntry, Stage
from heliograph.ledger import Balance
from heliograph.library import ExportOptions
from heliograph.options import Options, TurnOptions
from heliograph.ports import CostRow, Finding, Observer
from heliograph.recovery import Recovered
from heliograph.sessions import Listed, Node, Session, Sessions, Turn
from heliograph.sheets import Sheet
from heliograph.storage import FileCheck, RebuildReport
from heliograph.types import Export, Given, LedgerLine, Plan, Record, Request, Result
from heliograph.upstream import Access, Keys

T = TypeVar("T")


class Heliograph:
    """Makes, keeps and finds images; see `AsyncHeliograph` for arguments and errors.

    Use it in a `with` block, or call `close()` when done.
    """

    def __init__(
        self,
        *,
        api_key: Keys = None,
        simulate: bool | None = None,
        base_url: str | None = None,
        home: str | Path | None = None,
        observer: Observer | None = None,
        emulator_options: Sequence[str] = (),
        is_patient: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._client = AsyncHeliograph(
            api_key=api_key,
            simulate=simulate,
            base_url=base_url,
            home=home,
            observer=observer,
            emulator_options=emulator_options,
            is_patient=is_patient,
            settings=settings,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="heliograph", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(abandon=kind is not None and issubclass(kind, KeyboardInterrupt))

    def close(self, *, abandon: bool = False) -> None:
        """Close everything; calling it again does nothing.

        Args:
            abandon: do not wait for answers that may be paid for; each is written down as
                unknown.
        """
        if self._loop.is_closed():
            return
        self._wait(self._client.close(abandon=abandon))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def plan(self, prompt: str, **options: Unpack[Options]) -> Plan:
        """Check and price a request; free, sends nothing."""
        return self._wait(self._client.plan(prompt, **options))

    def generate(self, prompt: str, **options: Unpack[Options]) -> Result:
        """Make one image, checked, kept and settled."""
        return self._wait(self._client.generate(prompt, **options))

    def run(self, request: Request) -> Result:
        """Like `generate`, for a `Request` made elsewhere."""
        return self._wait(self._client.run(request))

    def edit(
        self,
        prompt: str,
        *,
        of: str | Path | bytes | None = None,
        session: str | None = None,
        drop: Sequence[str] = (),
        **options: Unpack[TurnOptions],
    ) -> Turn:
        """Change a picture by words, and keep the result as a new version of its session."""
        return self._wait(self._client.edit(prompt, of=of, session=session, drop=drop, **options))

    @cached_property
    def sessions(self) -> "BlockingSessions":
        """Pictures as trees of versions."""
        return BlockingSessions(self._client.sessions, self._wait)

    @cached_property
    def casts(self) -> "BlockingCasts":
        """Kept sets of references with a description."""
        return BlockingCasts(self._client.casts, self._wait)

    def access(self) -> Access:
        """Which upstream paid calls go to, and whose key is used."""
        return self._wait(self._client.access())

    def images(self, *, limit: int = 20, search: str | None = None) -> Sequence[Record]:
        """Records of past calls, newest first."""
        return self._wait(self._client.images(limit=limit, search=search))

    def image(self, record_id: str) -> Record:
        """One record by its id or an unambiguous beginning of it."""
        return self._wait(self._client.image(record_id))

    def original(self, record: Record) -> Path:
        """A local file with the untouched original of a record."""
        return self._wait(self._client.original(record))

    def export(self, record_id: str, **options: Unpack[ExportOptions]) -> tuple[Export, ...]:
        """Make finished files of a kept image again, at no cost."""
        return self._wait(self._client.export(record_id, **options))

    def sheet(
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
        """Write a contact sheet of kept pictures as NAME.html and NAME.png."""
        made = self._client.sheet(
            records, destination, title=title, columns=columns, html=html, png=png, force=force
        )
        return self._wait(made)

    def costs(
        self, by: str = "day", *, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[CostRow]:
        """Settled cost grouped by "day", "month", "model", "size" or "tier"."""
        return self._wait(self._client.costs(by, since=since, until=until))

    def lines(self, record_id: str) -> Sequence[LedgerLine]:
        """The ledger lines of one record."""
        return self._wait(self._client.lines(record_id))

    def verify(
        self, record_ids: Sequence[str] = (), *, deep: bool = False
    ) -> tuple[FileCheck, ...]:
        """Hash and walk every stored original and signature, of some records or of all."""
        return self._wait(self._client.verify(record_ids, deep=deep))

    def calls(self, *, stages: Sequence[Stage] = (), limit: int = 20) -> Sequence[CallEntry]:
        """Calls of the journal, those begun last first; no stages means any."""
        return self._wait(self._client.calls(stages=stages, limit=limit))

    def call(self, call_id: str) -> CallEntry:
        """One call by its id or an unambiguous beginning of it."""
        return self._wait(self._client.call(call_id))

    def resolve(self, call_id: str, micro: int | None) -> CallEntry:
        """Close a call of unknown outcome with what the provider's billing says."""
        return self._wait(self._client.resolve(call_id, micro))

    def recover(self) -> tuple[Recovered, ...]:
        """Finish what processes that are gone had left open; it also happens at every opening."""
        return self._wait(self._client.recover())

    def set_budget(self, name: str, limit: int | str | None) -> str:
        """Set or, with None, remove a budget; the name it is kept by."""
        return self._wait(self._client.set_budget(name, limit))

    def budgets(self) -> Mapping[str, int]:
        """Limits in micro-dollars by name."""
        return self._wait(self._client.budgets())

    def balances(self) -> Sequence[Balance]:
        """What is taken now of the total, the day, the month and every tag with a budget."""
        return self._wait(self._client.balances())

    def audit(self) -> Sequence[Finding]:
        """Everything that does not add up in the books; nothing, normally."""
        return self._wait(self._client.audit())

    def rebuild(self) -> RebuildReport:
        """Re-create database rows that are missing from the sidecars beside the originals."""
        return self._wait(self._client.rebuild())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed() or threading.current_thread() is self._thread:
            work.close()
            raise ConfigurationError(
                "This client is closed."
                if self._loop.is_closed()
                else "An observer called the client that it observes, which would wait for ever.",
                remedy="Make a new client, or use AsyncHeliograph inside observers.",
            )
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise


class Wait(Protocol):
    """Runs a coroutine on the loop of a client, and gives what it gives."""

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; raises what it raises."""


class BlockingSessions:
    """The sessions of one library; see `heliograph.sessions.Sessions` for arguments and errors."""

    def __init__(self, sessions: Sessions, wait: Wait) -> None:
        self._sessions = sessions
        self._wait = wait

    def request(
        self,
        prompt: str,
        *,
        of: str | Path | bytes | None = None,
        session: str | None = None,
        drop: Sequence[str] = (),
        **options: Unpack[TurnOptions],
    ) -> Request:
        """The request of a turn; nothing is sent."""
        return self._wait(
            self._sessions.request(prompt, of=of, session=session, drop=drop, options=options)
        )

    def run(self, request: Request) -> Turn:
        """One turn, for a request made by `request`."""
        return self._wait(self._sessions.run(request))

    def list(self, *, search: str | None = None, deleted: bool = False) -> Sequence[Listed]:
        """Sessions, those worked on last first."""
        return self._wait(self._sessions.list(search=search, deleted=deleted))

    def current(self) -> Session:
        """The session that was worked on last."""
        return self._wait(self._sessions.current())

    def find(self, label: str) -> Session:
        """A session by its id, an unambiguous beginning of it, or its name."""
        return self._wait(self._sessions.find(label))

    def picture(self, version: Node | Record) -> Path:
        """A local file with a version, or any kept picture, as its user sees it."""
        return self._wait(self._sessions.picture(version))

    def undo(self, label: str | None = None) -> Session:
        """Go back to the version before; the next turn changes that one."""
        return self._wait(self._sessions.undo(label))

    def redo(self, label: str | None = None) -> Session:
        """Go forward again to the version that undo had left."""
        return self._wait(self._sessions.redo(label))

    def branch(self, version: str, *, session: str | None = None) -> Session:
        """Go to any version; the next turn changes that one and begins a branch."""
        return self._wait(self._sessions.branch(version, session=session))

    def mark(
        self,
        label: str,
        version: str | None = None,
        *,
        name: str | None = None,
        starred: bool | None = None,
        deleted: bool | None = None,
    ) -> Session:
        """Name, star or put out of sight a session, or one version of it."""
        return self._wait(
            self._sessions.mark(label, version, name=name, starred=starred, deleted=deleted)
        )

    def export(self, label: str, folder: str | Path, *, force: bool = False) -> Path:
        """Write a session as a folder: its pictures, what they need, and `session.json`."""
        return self._wait(self._sessions.export(label, folder, force=force))

    def import_folder(self, folder: str | Path) -> Session:
        """Take over a session from a folder that `export` wrote; nothing is paid."""
        return self._wait(self._sessions.import_folder(folder))


class BlockingCasts:
    """The casts of one library; see `heliograph.casts.Casts` for arguments and errors."""

    def __init__(self, casts: Casts, wait: Wait) -> None:
        self._casts = casts
        self._wait = wait

    def add(
        self,
        name: str,
        references: Sequence[str | Path | bytes | Given],
        *,
        description: str = "",
        force: bool = False,
    ) -> KeptCast:
        """Keep a set of references under a name."""
        return self._wait(self._casts.add(name, references, description=description, force=force))

    def list(self) -> Sequence[KeptCast]:
        """All casts, by name."""
        return self._wait(self._casts.list())

    def find(self, name: str) -> KeptCast:
        """One cast."""
        return self._wait(self._casts.find(name))

    def remove(self, name: str) -> None:
        """Forget a cast; its images stay in the library."""
        self._wait(self._casts.remove(name))
