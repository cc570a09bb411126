"""The asynchronous face, and the one place that builds and closes every part.

Invariant: building is late and happens once; planning and estimates need no key, no network and
no database. A call that may be paid for goes on when nobody waits for it any more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, Unpack

from heliograph import pipeline
from heliograph.cache import Flight, Flights, canonical_key, fingerprint, ride
from heliograph.calls import Rules
from heliograph.casts import Casts
from heliograph.errors import (
    CallTaken,
    Charged,
    InvalidRequest,
    KeyReused,
    OutcomeUnknown,
    Problem,
    StorageError,
)
from heliograph.imaging import DirectImager
from heliograph.journal import Claim, ClaimState
from heliograph.leases import Lease
from heliograph.library import Library, Store
from heliograph.material import needs_library
from heliograph.money import parse_dollars
from heliograph.options import Options, TurnOptions
from heliograph.pipeline import Obtained, Order
from heliograph.planning import DEFAULT_MODEL
from heliograph.ports import (
    Accounts,
    Blobs,
    Books,
    Cabinet,
    Event,
    Imager,
    Jobs,
    Journal,
    Observer,
    Provider,
)
from heliograph.providers.emulated import Emulator
from heliograph.providers.gemini import HOST, Gemini, encode
from heliograph.providers.http import Channel, Listing, unanswered
from heliograph.providers.wire import WireRequest
from heliograph.recovery import Recovered
from heliograph.sessions import Sessions, Turn
from heliograph.types import Given, Plan, Record, Request, Result
from heliograph.upstream import Access, Keys, Upstream, dial, is_loopback

CHECK_TIMEOUT = 3.0  # seconds for each step of a free question
JOIN_WAIT = 1.0  # seconds between looks at a call that another process is making


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """Everything a paid call needs; satisfies `calls.Tools`."""

    provider: Provider
    channel: Channel
    resumer: Provider  # asks for submitted calls, whatever makes new ones
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
    access: Access
    emulator: Emulator | None


class AsyncHeliograph(Library):
    """Makes, keeps and finds images.

    Args:
        api_key: overrides every configured key; a mapping gives several, by project label.
        simulate: True uses the local emulator; None follows the settings.
        base_url: another upstream that speaks the Gemini API, without the API version.
        home: folder of the library; None follows the settings.
        observer: called with every `Event` on the way of a call.
        emulator_options: command line options for an emulator that is started here.
        is_patient: wait for an answer that is late instead of raising `OutcomeUnknown` at the
            deadline; either way it is listened for and kept.
        settings: further settings by name, over those that are configured.

    Raises:
        ConfigurationError: a setting is wrong.
        MissingKey: on the first paid call, when no key is found and nothing is simulated.
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
        named = {"simulate": simulate, "base_url": base_url, "home": Path(home) if home else None}
        super().__init__(observer=observer, settings={**(settings or {}), **named})
        self._api_key = api_key
        self._emulator_options = tuple(emulator_options)
        self._is_patient = is_patient
        self._parts: _Parts | None = None
        self._flights: Flights[Obtained | Claim] = Flights()
        self._running: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        insists = (asyncio.CancelledError, KeyboardInterrupt)
        await self.close(abandon=kind is not None and issubclass(kind, insists))

    async def close(self, *, abandon: bool = False) -> None:
        """Wait for calls under way, then close everything that was opened or started here.

        Args:
            abandon: do not wait for answers that may be paid for; each is written down.
        """
        self._closed = True
        if abandon:
            await self._flights.abandon()
        await self._flights.wait()
        others = self._running - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)
        await self._questions.close()
        async with self._building:
            parts, self._parts = self._parts, None
            if parts is not None:
                await parts.provider.close()
                if parts.emulator is not None:
                    await parts.emulator.close()
            await self._close_store()

    # ------------------------------------------------------------ making

    def request(self, prompt: str, **options: Unpack[Options]) -> Request:
        """The `Request` that `generate` would run."""
        fields: dict[str, Any] = dict(options)
        references: Any = options.get("references", ())
        if isinstance(references, str | Path | bytes | Given):
            references = (references,)
        fields["references"] = tuple(Path(r) if isinstance(r, str) else r for r in references)
        for name in ("base", "mask"):
            if isinstance(fields.get(name), str):
                fields[name] = Path(fields[name])
        for name in ("tags", "fallback", "casts"):
            words: Any = fields.get(name, ())
            fields[name] = (words,) if isinstance(words, str) else tuple(words)
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
        shelf = await self._shelf_for(request)
        simulated = self._simulates
        return await pipeline.prepare(request, self.settings.model, shelf, simulated=simulated)

    async def admit(self, request: Request) -> Plan:
        """Like `plan_request`, refusing also what `run` would refuse before sending."""
        return (await self.order(request)).plan

    def wire(self, plan: Plan) -> WireRequest:
        """The exact HTTP request of a plan, without its key."""
        if self.settings.transport == Gemini.transport:
            return encode(plan)
        from heliograph.providers import interactions

        return interactions.encode(plan)

    async def generate(self, prompt: str, **options: Unpack[Options]) -> Result:
        """Make one image, checked, kept and settled.

        Raises:
            InvalidRequest, CostLimitExceeded: nothing was sent.
            UpstreamError, CredentialRejected: no usable answer; says whether it was charged.
            OutcomeUnknown: nobody knows; an answer that is late is kept, `record_id` finds it.
            Refused: a whole answer without an image.
            SizeMismatch: with `strict`, other pixels than asked; the image is kept.
        """
        return await self.run(self.request(prompt, **options))

    async def run(self, request: Request, *, job: str | None = None) -> Result:
        """Like `generate`, for a `Request` made elsewhere.

        Args:
            job: 32 hexadecimal digits that become the id of its record, when it needs a call;
                what a dead process made for it is finished first, and counts.
        """
        # one that cannot be sent must not start an emulator or ask for a key
        return await self.fulfil(await self.order(request), job=job)

    async def fulfil(self, order: Order, *, job: str | None = None, resumes: bool = True) -> Result:
        """Like `run`, for an order that `order` gave.

        Args:
            resumes: False for a new job: nobody can have made a call for it.
        """
        order = replace(order, job=job, resumes=resumes and job is not None)
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
        try:
            tools = await self._open()
            if order.resumes:
                await self.recover([order.job or ""])
            order = await pipeline.keep_inputs(order, tools)
            obtained = await self._obtain(order, tools)
            result = await pipeline.deliver(obtained, tools, self._observer)
        finally:
            if task is not None:
                self._running.discard(task)
        return replace(result, preview=lambda: _preview(result.path))

    async def deliver(self, record: Record, plan: Plan, source: str = "replay") -> Result:
        """What `run` gave when the record was made, again: no call, no charge; see `Result.source`.

        Raises:
            SizeMismatch: with `strict`, other pixels than asked.
        """
        obtained = Obtained(record=record, plan=plan, source=source)
        return await pipeline.deliver(obtained, await self._open(), self._observer)

    @property
    def _simulates(self) -> bool:
        """Whether pictures will be simulated, as far as that is known before a connection."""
        if self._parts is not None:
            return self._parts.access.simulated
        base_url = self.settings.base_url
        return self.settings.simulate or (base_url is not None and is_loopback(base_url))

    async def _shelf_for(self, request: Request) -> Store | None:
        return await self._open_store() if needs_library(request) else None

    async def order(self, request: Request) -> Order:
        """The request checked, priced and ready for `fulfil`; free, and nothing is written.

        Raises:
            InvalidRequest, CostLimitExceeded: it cannot be sent as it is.
        """
        shelf = await self._shelf_for(request)
        simulated = self._simulates
        order = await pipeline.admit(request, self.settings.model, shelf, simulated=simulated)
        if self.settings.transport != Gemini.transport:
            from heliograph.providers.interactions import unsupported

            problems = [problem for plan in order.plans for problem in unsupported(plan)]
            if problems:
                raise InvalidRequest(problems)
        return order

    async def _obtain(self, order: Order, tools: _Parts) -> Obtained:
        plan = order.plan
        if plan.request.idempotency_key is not None:
            return await self._obtain_by_key(order, tools, plan.request.idempotency_key)
        twin = await pipeline.find_twin(plan, tools)
        if twin is not None:
            return twin
        name = " ".join(map(canonical_key, order.plans))  # other fallbacks, another flight
        shared = pipeline.may_share(plan, tools)
        flight = self._flights.find(name) if shared else None
        if flight is not None:
            return replace(await self._ride(flight), plan=plan, source="joined")
        names = (name,) if shared else ()
        flight = self._flights.start(lambda f: self._make(order, tools, f), names=names)
        return await self._ride(flight)

    async def _obtain_by_key(self, order: Order, tools: _Parts, key: str) -> Obtained:
        """One job for one key, whoever asks and how often."""
        plan, name = order.plan, f"key {key}"
        mark = fingerprint(plan, simulated=tools.provider.simulated)
        end = time.monotonic() + self.settings.patience
        wait = JOIN_WAIT / 10
        while time.monotonic() < end:
            flight = self._flights.find(name)
            joined = flight is not None
            if flight is None:
                flight = self._flights.start(
                    lambda f: self._make(order, tools, f), names=(name,), fingerprint=mark
                )
            elif flight.fingerprint != mark:
                raise _reused(key)
            found = await self._wait_for(flight)
            if isinstance(found, Obtained):
                return replace(found, plan=plan, source="joined") if joined else found
            if found.fingerprint != mark:
                raise _reused(key)
            if found.state is ClaimState.FINAL:
                return await pipeline.replay(found, plan, tools)
            # another process is making it, or has left it half-made
            await self._recover(await self._open_store(), tools.resumer)
            await asyncio.sleep(wait)
            wait = min(JOIN_WAIT, wait * 2)
        raise CallTaken(
            "Another process is still making the picture of this idempotency key.",
            remedy="Ask again with the same key; it is charged once.",
            retry_after=JOIN_WAIT,
        )

    async def _make(
        self, order: Order, tools: _Parts, flight: Flight[Obtained | Claim]
    ) -> Obtained | Claim:
        return await pipeline.obtain(order, tools, self._observer, flight)

    async def _ride(self, flight: Flight[Obtained | Claim]) -> Obtained:
        found = await self._wait_for(flight)
        if not isinstance(found, Obtained):
            raise AssertionError("only a request with an idempotency key meets a claim")  # noqa: TRY004
        return found

    async def _wait_for(self, flight: Flight[Obtained | Claim]) -> Obtained | Claim:
        found = await ride(flight, is_patient=self._is_patient)
        if found is not None:
            return found
        raise OutcomeUnknown(
            "The answer is late.",
            why="Nothing came within the deadline; the connection is kept open for a while.",
            remedy="If it still comes it is kept: look for the record with `heliograph images "
            "show`, and ask with the same idempotency key instead of paying again.",
            charged=Charged.UNKNOWN,
            record_id=flight.job,
            facts={"late": True},
        )

    def _is_in_the_air(self, job: str) -> bool:
        return self._flights.has(job)

    async def abandon(self) -> None:
        """Stop waiting for answers; what has not arrived by then is written down as unknown."""
        await self._flights.abandon()

    async def landed(self, job: str) -> None:
        """Until nothing of a job is in the air here."""
        await self._flights.landed(job)

    async def recover(self, jobs: Collection[str] | None = None) -> tuple[Recovered, ...]:
        """Finish what was left open; waits for answers to what these jobs, or all, submitted."""
        resumer = self._parts.resumer if self._parts else None
        return await self._recover(await self._open_store(), resumer, jobs=jobs)

    async def access(self) -> Access:
        """Which upstream paid calls go to; starts the emulator when that is it."""
        return (await self._open()).access

    async def check_models(self) -> tuple[Access, Listing]:
        """Ask the upstream for its models: free, and it proves address, key and clock.

        Raises:
            MissingKey, CredentialRejected: there is no key, or it is not accepted.
            UpstreamError: no usable answer within a few seconds.
        """
        async with self._question() as upstream:
            return upstream.access, await upstream.channel.models(CHECK_TIMEOUT)

    async def count_tokens(self, text: str, model: str | None = None) -> int:
        """Input tokens of a text, as the upstream counts them: free.

        Raises:
            MissingKey, CredentialRejected: there is no key, or it is not accepted.
            UpstreamError: no usable answer within a few seconds.
        """
        wanted = model or self.settings.model or DEFAULT_MODEL
        if self._parts is not None:
            return await self._parts.channel.count_tokens(wanted, text)
        async with self._question() as upstream:
            return await upstream.channel.count_tokens(wanted, text)

    @asynccontextmanager
    async def _question(self) -> AsyncIterator[Upstream]:
        """A way to the upstream for one free question."""
        own = self.settings.simulate and not self.settings.base_url
        with TemporaryDirectory(prefix="heliograph-") as scratch:
            try:
                # an emulator of our own may take its time to start
                async with asyncio.timeout(None if own else CHECK_TIMEOUT):
                    upstream = await self._dial(Path(scratch) / "ledger.jsonl")
            except TimeoutError as error:
                raise unanswered(self.settings.base_url or HOST, CHECK_TIMEOUT) from error
            try:
                yield upstream
            finally:
                await upstream.close()

    @cached_property
    def sessions(self) -> Sessions:
        """Edit by conversation: pictures as trees of versions."""
        return Sessions(self._open_store, self.request, self.run, lambda: self._simulates)

    @cached_property
    def casts(self) -> Casts:
        """Kept sets of references with a description."""
        return Casts(self._open_store)

    async def edit(
        self,
        prompt: str,
        *,
        of: str | Path | bytes | None = None,
        session: str | None = None,
        drop: Sequence[str] = (),
        **options: Unpack[TurnOptions],
    ) -> Turn:
        """Change a picture by words, and keep the result as a new version of its session.

        Whatever `options` do not say stays as it is in that version: see `Sessions.request` for
        the arguments.

        Raises:
            HeliographError: as `generate`, and when there is no such picture or session.
        """
        return await self.sessions.edit(prompt, of=of, session=session, drop=drop, options=options)

    # ------------------------------------------------------------ building

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

    async def _connect(self, store: Store) -> _Parts:
        upstream = await self._dial(store.home / "emulator" / "ledger.jsonl")
        others = await asyncio.to_thread(store.lease.others)
        if others:
            facts = {"processes": list(others)}
            self._observer(Event(name="shared", job="", at=0.0, facts=facts))
        # calls that were submitted and never fetched: their upstream has the answers
        transport, tools = self.settings.transport, (store.cabinet, self.settings.files)
        resumer = upstream.provider("interactions", *tools)
        await self._recover(store, resumer)
        return _Parts(
            provider=upstream.provider(transport, *tools),
            resumer=resumer,
            channel=upstream.channel,
            access=upstream.access,
            emulator=upstream.emulator,
            **vars(store),
        )

    async def _dial(self, ledger: Path) -> Upstream:
        return await dial(self.settings, self._api_key, ledger, self._emulator_options)


def _reused(key: str) -> KeyReused:
    message = "belongs to another request already; a key stands for one picture"
    problem = Problem(field="idempotency_key", value=key, message=message)
    return KeyReused([problem], remedy="Give the new request a key of its own; nothing was sent.")


def _preview(original: Path) -> bytes | None:
    """A PNG of at most 1024 px for notebooks, made in this process."""
    try:
        return DirectImager().preview_png(original)
    except StorageError:
        return None
