"""The methods of interactions, for one version of the API.

An interaction is a job, its id is the job's, and the route of the job says how it was asked for.
What is made with `store` (the default) belongs to a session, so that a later call goes on from it
with all that was said, its signatures included. `store: false` means: no id is given, nothing can
be asked for or gone on from, and the picture lies in its owner's trash as soon as it is answered;
its record and what it cost stay in the books, as of every call that is paid for.

The SDK repeats a create whose connection broke, with nothing that tells it from a new one. Where
the gateway saw a client leave before it was answered, the same body of the same user joins what
that client had begun; see `Left`. Invariant: nobody's interaction is there for anybody else.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from heliograph.errors import CardChanged, NoImage, PolicyBlocked, RecordNotFound, Refused
from heliograph.jobs import Job, JobState
from heliograph.planning.load import catalogue
from heliograph.server.caller import Caller, Done, Errand
from heliograph.server.gateway import Gateway
from heliograph.server.gemini.asking import Asked, as_request, layout
from heliograph.server.gemini.envelope import JSON, bad, dump
from heliograph.server.gemini.inbox import Inbox, Incoming, receive
from heliograph.server.gemini.interactions.envelope import PREFIX, not_served
from heliograph.server.gemini.interactions.left import Left
from heliograph.server.gemini.interactions.reading import Wish, read_wish
from heliograph.server.gemini.interactions.telling import Link, Told, status_of, told
from heliograph.server.gemini.models import live
from heliograph.server.gemini.rendering import render
from heliograph.server.gemini.uploads import Uploads
from heliograph.server.gemini.waiting import Errands
from heliograph.server.headers import manner, spend_headers, usd
from heliograph.server.pictures.links import signed_url
from heliograph.server.refusals import TooLate
from heliograph.types import Given, Record
from heliograph.types import Request as Wanted

ROUTE = "POST /interactions"
DELETED = "interaction deleted"  # kind of the card of a deleted job
URI, TURNS, UNSTORED, BACKGROUND = "uri", "turns", "unstored", "background"
_ID = re.compile(rf"{PREFIX}([0-9a-f]{{32}})", re.ASCII)
_FACTS = ("api_version", "include_input", "stream", "last_event_id")


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One create call, understood."""

    request: Request
    caller: Caller
    wish: Wish
    wanted: Wanted
    digest: str  # of the body as it was understood, for a client that left and asks again
    again: str | None  # what `Left.taken` gave for it: not None where it asks again

    @property
    def asked(self) -> tuple[str, str]:
        """What it is remembered by when its client leaves."""
        return self.caller.user.id, self.digest

    @property
    def route(self) -> str:
        """The route of its job, with the ways in which it was asked for."""
        wish = self.wish
        ways = {
            URI: wish.by_uri,
            TURNS: wish.tells_turns,
            UNSTORED: not wish.store,
            BACKGROUND: wish.background,
        }
        return " ".join([ROUTE, *(way for way, is_so in ways.items() if is_so)])


class Interactions:
    """Create, get, cancel and delete."""

    def __init__(
        self, gateway: Gateway, version: str, *, inbox: Inbox, uploads: Uploads, errands: Errands
    ) -> None:
        self._gateway = gateway
        self._version = version
        self._inbox = inbox
        self._uploads = uploads
        self._errands = errands
        self._left = Left()

    # ------------------------------------------------------------ create

    async def create(self, request: Request) -> Response:
        """POST interactions."""
        with ExitStack() as files:
            call = await self._read(request, files)
            if call.wish.background:
                return await self._submit(call, files)
            # the files belong to the errand from now on, which outlives this request
            task = self._errands.begin(self._perform(call), files.pop_all())
        async with self._watching(call):
            try:
                done = await asyncio.shield(task)
            except Refused as error:
                return await self._refused(call, error)
        headers = spend_headers(done, await self._gateway.purse.left(call.caller))
        record = done.results[0].record
        return await self._answer(call.request, done.job, record, headers)

    def _watching(self, call: _Call) -> AbstractAsyncContextManager[None]:
        """Whether the client leaves; one with an idempotency key is known again by that."""
        if manner(call.request.headers).key is not None:
            return nullcontext()
        return self._left.watching(call.request, call.asked, call.wanted.session)

    async def _perform(self, call: _Call) -> Done:
        with self._left.joining(call.asked, call.again):
            done = await self._gateway.perform(self._errand(call))
        if not call.wish.store:
            await self._put_away(done.job)
        return done

    async def _submit(self, call: _Call, files: ExitStack) -> Response:
        began = datetime.now(UTC)
        with self._left.joining(call.asked, call.again):
            job = await self._gateway.submit(self._errand(call))
        # its pictures are read until it is over
        self._errands.begin(self._gateway.wait(job.id), files.pop_all())
        headers = {"x-heliograph-job": job.id}
        if job.created < began:
            headers["idempotency-replayed"] = "true"
        return await self._answer(call.request, job, await self._record_of(job), headers)

    def _errand(self, call: _Call) -> Errand:
        asked = manner(call.request.headers)
        is_durable = call.wish.background
        return Errand(
            caller=call.caller,
            face="gemini",
            route=call.route,
            request=call.wanted,
            key=asked.key,
            retries=max(asked.retries, int(call.again is not None)),
            # nobody waits for it on the connection, so one that is under way is answered as it is
            wait=0.0 if is_durable and asked.wait is None else asked.wait,
            durable=is_durable,
        )

    async def _refused(self, call: _Call, error: Refused) -> Response:
        """A model that only talks has completed its interaction; a filter is an error here."""
        job_id = error.facts.get("job")
        job = await self._gateway.jobs.job(job_id) if isinstance(job_id, str) else None
        if isinstance(error, PolicyBlocked) or not isinstance(error, NoImage) or job is None:
            raise error
        record = await self._record_of(job)
        if record is None:
            raise error
        headers = {
            "x-heliograph-job": job.id,
            "x-heliograph-charged": error.charged.value,
            "x-heliograph-cost-usd": usd(0 if error.facts.get("replayed") else record.cost),
        }
        if error.facts.get("replayed"):
            headers["idempotency-replayed"] = "true"
        if not call.wish.store:
            await self._put_away(job)
        return await self._answer(call.request, job, record, headers)

    # ------------------------------------------------------------ reading

    async def _read(self, request: Request, files: ExitStack) -> _Call:
        self._inbox.sweep()
        await self._uploads.sweep()
        folder = files.enter_context(self._inbox.folder())
        settings = self._gateway.settings
        limit = min(settings.server_body_limit, catalogue().limits.inline_bytes)
        incoming = await receive(request, folder, limit)
        caller: Caller = request.state.caller
        wish = read_wish(incoming.document)
        previous = await self._previous(caller, wish.previous)
        wanted = await asyncio.to_thread(self._understood, request, incoming, wish)
        digest = await asyncio.to_thread(_digest, wish, wanted)
        key = manner(request.headers).key
        # a key says itself what it repeats, and a body without it is another request
        again = self._left.taken((caller.user.id, digest)) if key is None else None
        if wish.is_session:
            session = again or _session_of(caller, key)
            if previous is not None and previous.owner == caller.user.id:
                session = previous.session or session
            # the whole talk goes back, as the API has it
            follows = previous.id if previous else None
            wanted = replace(wanted, session=session, follows=follows, context="all")
        elif previous is not None:
            wanted = replace(wanted, follows=previous.id, context="all")
        return _Call(
            request=request,
            caller=caller,
            wish=wish,
            wanted=wanted,
            digest=digest,
            again=again,
        )

    def _understood(self, request: Request, incoming: Incoming, wish: Wish) -> Wanted:
        """The request; touches the disk."""
        asked = Asked(
            model=live(wish.model, self._version, "CreateInteraction"),
            incoming=incoming,
            fetch=lambda uri: self._uploads.fetch(request, incoming, uri),
            message=wish.message,
        )
        strict = self._gateway.settings.server_mismatch == "error"
        wanted = as_request(asked, stream=False, strict=strict)
        if wish.tells_turns:
            return replace(wanted, fresh=True)  # the whole body goes as it came
        return replace(
            wanted, verbatim=None, layout=layout(wish.message["contents"][-1]), fresh=True
        )

    async def _previous(self, caller: Caller, named: str | None) -> Record | None:
        """The record to go on from."""
        if named is None:
            return None
        job = await self._job(caller, named)
        record = await self._record_of(job)
        if TURNS in _ways(job):
            raise not_served(
                "previous_interaction_id", "That one told its turns itself: tell them again."
            )
        if record is None or record.result is None:
            status = status_of(job, record)
            raise bad(
                f"There is no picture to go on from: the interaction is {status}.",
                field="previous_interaction_id",
            )
        return record

    # ------------------------------------------------------------ get, cancel, delete

    async def get(self, request: Request) -> Response:
        """GET interactions/ID."""
        for name in request.query_params:
            if name not in _FACTS:
                raise not_served(name[:100], "Leave it out.")
        if request.query_params.get("stream", "false").lower() != "false":
            raise not_served("stream", "Ask again until the interaction has ended.")
        job = await self._job(request.state.caller, request.path_params["interaction"])
        with_input = request.query_params.get("include_input", "").lower() == "true"
        return await self._answer(request, job, await self._record_of(job), with_input=with_input)

    async def cancel(self, request: Request) -> Response:
        """POST interactions/ID/cancel; only what was not sent yet can be cancelled."""
        job = await self._job(request.state.caller, request.path_params["interaction"])
        if job.state is not JobState.CANCELLED:
            job = await self._gateway.cancel(job)
        return await self._answer(request, job, None)

    async def delete(self, request: Request) -> Response:
        """DELETE interactions/ID: the picture goes to the trash, and the id is unknown."""
        job = await self._job(request.state.caller, request.path_params["interaction"])
        if job.state.is_open:
            try:
                job = await self._gateway.cancel(job)
            except TooLate as error:
                error.remedy = "It is being made and will be paid for; delete it afterwards."
                raise
        await self._put_away(job)
        return Response(dump({}), media_type=JSON)

    # ------------------------------------------------------------ jobs and records

    async def _job(self, caller: Caller, name: str) -> Job:
        """The job of an interaction that the caller may see.

        Raises:
            RecordNotFound: there is none, it is somebody else's, or it was deleted.
        """
        found = _ID.fullmatch(name)
        if found is None:
            raise bad(f"Invalid interaction name: interactions/{name[:100]}")
        job = await self._gateway.jobs.job(found[1])
        is_seen = job is not None and (caller.sees is None or job.user == caller.sees)
        if job is None or not is_seen or job.face != "gemini" or not job.route.startswith(ROUTE):
            raise _absent()
        store = self._gateway.store
        if UNSTORED in _ways(job) or await store.cabinet.card(DELETED, job.id) is not None:
            raise _absent()
        if await store.books.trashed([job.id]):
            raise _absent()
        return job

    async def _record_of(self, job: Job) -> Record | None:
        """What its call brought, late or in time."""
        if job.state.is_open:
            return None
        try:
            return await self._gateway.store.books.find((*job.records, *job.pictures)[0])
        except RecordNotFound:
            return None

    async def _put_away(self, job: Job) -> None:
        """Out of sight; the picture of another job that answered it stays where it is."""
        now, store = datetime.now(UTC), self._gateway.store
        for picture in job.pictures:
            try:
                await store.books.trash(picture, now)
            except RecordNotFound:
                continue  # a picture that never came has no record
        try:
            await store.cabinet.put(DELETED, job.id, {"at": now.isoformat()}, version=0)
        except CardChanged:
            return  # it was put away before

    # ------------------------------------------------------------ answering

    async def _answer(
        self,
        request: Request,
        job: Job,
        record: Record | None,
        headers: Mapping[str, str] | None = None,
        *,
        with_input: bool = False,
    ) -> Response:
        ways = _ways(job)
        what = Told(
            job=job,
            record=record,
            link=self._link(request) if URI in ways else None,
            is_stored=UNSTORED not in ways,
            with_input=with_input,
        )
        body = await render(told(what), "single", self._gateway.store)
        sent = {"cache-control": "no-store", "content-length": str(body.length), **(headers or {})}
        return StreamingResponse(body.stream(), media_type=JSON, headers=sent)

    def _link(self, request: Request) -> Link:
        named = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
        base = self._gateway.settings.server_url or named

        def link(record_id: str, variant: str) -> str:
            return signed_url(self._gateway, record_id, variant, base=base)

        return link


def _ways(job: Job) -> Sequence[str]:
    """How a job was asked for."""
    return job.route.removeprefix(ROUTE).split()


def _session_of(caller: Caller, key: str | None) -> str:
    """The id of a new session; the same again for the same idempotency key."""
    if key is None:
        return secrets.token_hex(16)
    return hashlib.sha256(f"interaction\n{caller.user.id}\n{key}".encode()).hexdigest()[:32]


def _digest(wish: Wish, wanted: Wanted) -> str:
    """What two bodies have in common that ask for the same, files by their content."""
    digest = hashlib.sha256()
    ways = (wish.previous, wish.store, wish.by_uri, wish.background)
    digest.update(repr((ways, replace(wanted, references=(), verbatim=None))).encode())
    for piece in wanted.verbatim.pieces if wanted.verbatim else ():
        digest.update(repr(getattr(piece, "sha256", piece)).encode())
    for given in wanted.references:
        if isinstance(given, Given) and isinstance(given.source, Path):
            with given.source.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _absent() -> RecordNotFound:
    return RecordNotFound("Requested entity was not found.")
