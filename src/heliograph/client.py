"""The asynchronous face, and the one place that builds and closes every part.

Invariant: building is late and happens once; planning and estimates need no key, no network and
no database.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from heliograph import pipeline
from heliograph.errors import (
    ConfigurationError,
    InvalidRequest,
    Problem,
    RecordNotFound,
    StorageError,
)
from heliograph.imaging import DirectImager, VipsImager, ending
from heliograph.money import parse_dollars
from heliograph.observe import fan_out, log_event
from heliograph.planning.cover import refuse_enlarging
from heliograph.planning.uses import for_picture
from heliograph.ports import Blobs, Books, CostRow, Imager, Observer, Provider
from heliograph.providers.calling import Caller
from heliograph.providers.emulated import Emulator
from heliograph.providers.gemini import HOST, Gemini, encode
from heliograph.providers.http import Listing, unanswered
from heliograph.providers.wire import WireRequest
from heliograph.settings import Settings, load_settings
from heliograph.storage import FileCheck, RebuildReport, open_storage, rebuild, verify
from heliograph.types import (
    Export,
    Finish,
    LedgerLine,
    Plan,
    Record,
    Request,
    Result,
)
from heliograph.upstream import Access, Upstream, dial

# a whole 4K picture decodes in 0.1 s of CPU; a machine that is merely busy must never make a paid
# picture look broken
INSPECT_TIMEOUT = 60.0  # seconds
CHECK_TIMEOUT = 3.0  # seconds for each step of a free question
ALL = 10**9  # more records than any library has


class Options(TypedDict, total=False):
    """What `generate` and `plan` take besides the prompt; the fields of `Request`."""

    model: str
    size: str
    aspect: str
    pixels: str
    use: str
    references: Sequence[str | Path | bytes]
    system: str
    temperature: float
    top_p: float
    seed: int
    safety: dict[str, str]
    thinking: str
    include_thoughts: bool
    tier: str
    ground: str
    stream: bool
    strict: bool
    max_cost: str  # dollars: "0.30"
    finish: Finish


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """Everything a paid call needs; satisfies `pipeline.Tools`."""

    provider: Provider
    imager: Imager
    blobs: Blobs
    books: Books
    home: Path
    access: Access
    emulator: Emulator | None


@dataclass(frozen=True, kw_only=True)
class _Store:
    """The library on disk, without any upstream."""

    imager: Imager
    blobs: Blobs
    books: Books
    home: Path


class AsyncHeliograph:
    """Makes, keeps and finds images.

    Args:
        api_key: overrides every configured key.
        simulate: True uses the local emulator; None follows the settings.
        base_url: another upstream that speaks the Gemini API, without the API version.
        home: folder of the library; None follows the settings.
        observer: called with every `Event` on the way of a call.
        emulator_options: command line options for an emulator that is started here.

    Raises:
        ConfigurationError: a setting is wrong.
        MissingKey: on the first paid call, when no key is found and nothing is simulated.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        simulate: bool | None = None,
        base_url: str | None = None,
        home: str | Path | None = None,
        observer: Observer | None = None,
        emulator_options: Sequence[str] = (),
    ) -> None:
        self.settings: Settings = load_settings(
            simulate=simulate, base_url=base_url, home=Path(home) if home else None
        )
        self._api_key = api_key
        self._observer = fan_out(log_event, *([observer] if observer else []))
        self._emulator_options = tuple(emulator_options)
        self._store: _Store | None = None
        self._parts: _Parts | None = None
        self._building = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for calls under way, then close everything that was opened or started here."""
        self._closed = True
        # a call that has left is paid for, and one that was cancelled still writes that down
        others = self._running - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)
        async with self._building:
            parts, store = self._parts, self._store
            self._parts = self._store = None
            if parts is not None:
                await parts.provider.close()
                if parts.emulator is not None:
                    await parts.emulator.close()
            if store is not None:
                await store.imager.close()
                await store.books.close()

    # ------------------------------------------------------------ making

    def request(self, prompt: str, **options: Unpack[Options]) -> Request:
        """The `Request` that `generate` would run."""
        fields: dict[str, Any] = dict(options)
        references: Any = options.get("references", ())
        if isinstance(references, str | Path | bytes):
            references = (references,)
        fields["references"] = tuple(Path(r) if isinstance(r, str) else r for r in references)
        limit = options.get("max_cost")
        try:
            fields["max_cost"] = parse_dollars(str(limit)) if limit is not None else None
        except ValueError as error:
            problem = Problem(field="max_cost", value=str(limit), message=str(error))
            raise InvalidRequest([problem]) from error
        return replace(Request(prompt=prompt), **fields)

    async def plan(self, prompt: str, **options: Unpack[Options]) -> Plan:
        """Check and price a request; free, sends nothing.

        Raises:
            InvalidRequest: lists every problem with its nearest valid values.
        """
        return await self.plan_request(self.request(prompt, **options))

    async def plan_request(self, request: Request) -> Plan:
        """Like `plan`, for a `Request` made elsewhere."""
        return await pipeline.prepare(request, self.settings.model)

    async def admit(self, request: Request) -> Plan:
        """Like `plan_request`, refusing also what `run` would refuse before sending."""
        return await pipeline.admit(request, self.settings.model)

    def wire(self, plan: Plan) -> WireRequest:
        """The exact HTTP request of a plan, without its key."""
        return encode(plan)

    async def generate(self, prompt: str, **options: Unpack[Options]) -> Result:
        """Make one image, checked, kept and settled.

        Raises:
            InvalidRequest, CostLimitExceeded: nothing was sent.
            UpstreamError, CredentialRejected: no usable answer; says whether it was charged.
            Refused: a whole answer without an image.
            SizeMismatch: with `strict`, other pixels than asked; the image is kept.
        """
        return await self.run(self.request(prompt, **options))

    async def run(self, request: Request) -> Result:
        """Like `generate`, for a `Request` made elsewhere."""
        # a request that cannot be sent must not start an emulator or ask for a key
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
        try:
            plan = await self.admit(request)
            result = await pipeline.make(plan, await self._open(), self._observer)
        finally:
            if task is not None:
                self._running.discard(task)
        return replace(result, preview=lambda: _preview(result.path))

    async def access(self) -> Access:
        """Which upstream paid calls go to; starts the emulator when that is it."""
        return (await self._open()).access

    # ------------------------------------------------------------ the library

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

    async def export(self, record_id: str, **options: Unpack[Options]) -> tuple[Export, ...]:
        """Make finished files of a kept image again, at no cost.

        Takes `pixels`, `use` and `finish` of the options.
        """
        record = await self.image(record_id)
        original = await self.original(record)
        use, kept, is_print = options.get("use"), record.result, False
        if use and kept:
            options["use"], is_print = for_picture(use, kept.pixels)
        # planned as if it were to be made, because that is where finishing is checked
        plan = await self.plan("export", **options)
        if kept:
            refuse_enlarging(kept.pixels, plan.exports, is_print=is_print)
        store = await self._open_store()
        return await pipeline.export(record, original, plan.exports, store.imager, store.home)

    async def costs(
        self, by: str = "day", *, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[CostRow]:
        """Settled cost grouped by "day", "month", "model", "size" or "tier"."""
        return await (await self._open_store()).books.costs(by, since=since, until=until)

    async def lines(self, record_id: str) -> Sequence[LedgerLine]:
        """The ledger lines of one record."""
        return await (await self._open_store()).books.lines(record_id)

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

    async def check_models(self) -> tuple[Access, Listing]:
        """Ask the upstream for its models: free, and it proves address, key and clock.

        Raises:
            MissingKey, CredentialRejected: there is no key, or it is not accepted.
            UpstreamError: no usable answer within a few seconds.
        """
        own = self.settings.simulate and not self.settings.base_url
        with TemporaryDirectory(prefix="heliograph-") as scratch:
            try:
                # an emulator of our own may take its time to start
                async with asyncio.timeout(None if own else CHECK_TIMEOUT):
                    upstream = await self._dial(Path(scratch) / "ledger.jsonl")
            except TimeoutError as error:
                raise unanswered(self.settings.base_url or HOST, CHECK_TIMEOUT) from error
            try:
                return upstream.access, await upstream.channel.models(CHECK_TIMEOUT)
            finally:
                await upstream.channel.close()
                if upstream.emulator is not None:
                    await upstream.emulator.close()

    async def rebuild(self) -> RebuildReport:
        """Re-create database rows that are missing from the sidecars beside the originals."""
        store = await self._open_store()
        return await rebuild(store.blobs, store.books)

    # ------------------------------------------------------------ building

    async def _open_store(self) -> _Store:
        async with self._building:
            return await self._store_unlocked()

    async def _store_unlocked(self) -> _Store:
        if self._closed:
            raise ConfigurationError(
                "This client is closed.", remedy="Make a new one; a client is not opened twice."
            )
        if self._store is None:
            home = self.settings.home
            storage = await asyncio.to_thread(
                open_storage,
                home,
                database_url=self.settings.database_url,
                blobs_url=self.settings.blobs_url,
            )
            self._store = _Store(
                imager=VipsImager(workers=self.settings.workers, inspect_timeout=INSPECT_TIMEOUT),
                blobs=storage.blobs,
                books=storage.books,
                home=home,
            )
        return self._store

    async def _open(self) -> _Parts:
        async with self._building:
            store = await self._store_unlocked()
            emulator = self._parts.emulator if self._parts else None
            if self._parts is not None and emulator is not None and emulator.has_left:
                await self._parts.provider.close()
                self._parts = None
            if self._parts is None:
                self._parts = await self._connect(store)
            return self._parts

    async def _connect(self, store: _Store) -> _Parts:
        upstream = await self._dial(store.home / "emulator" / "ledger.jsonl")
        access = upstream.access
        return _Parts(
            provider=Gemini(
                Caller(upstream.channel, upstream.deadlines), simulated=access.simulated
            ),
            imager=store.imager,
            blobs=store.blobs,
            books=store.books,
            home=store.home,
            access=access,
            emulator=upstream.emulator,
        )

    async def _dial(self, ledger: Path) -> Upstream:
        return await dial(self.settings, self._api_key, ledger, self._emulator_options)


def _preview(original: Path) -> bytes | None:
    """A PNG of at most 1024 px for notebooks, made in this process."""
    try:
        return DirectImager().preview_png(original)
    except StorageError:
        return None
