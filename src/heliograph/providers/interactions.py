"""The Interactions API: a call is submitted, and its answer asked for until it is there.

The id that the upstream gives is written down at once: from then on a crash, a cut line or an
impatient caller costs nothing, because the answer can be asked for again (gemini-api.md 2.10).
Invariant: one interaction is created for a call; asking is free, and nothing that an ask is
answered makes a submitted interaction a failure but its own word.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from heliograph.errors import (
    Charged,
    CredentialRejected,
    HeliographError,
    OutcomeUnknown,
    ProtocolError,
    RequestRejected,
    UpstreamError,
)
from heliograph.ports import CallLog, Event, Observer
from heliograph.providers.answers import doubted, understand
from heliograph.providers.calling import Answered, Caller, Errand
from heliograph.providers.files import Files
from heliograph.providers.freight import Freight
from heliograph.providers.http import Deadlines, Tell
from heliograph.providers.interaction import (
    Answer,
    Link,
    answer_of,
    begun_id,
    decode,
    id_in,
    nobody_knows,
    reply_of,
    still_running,
)
from heliograph.providers.interaction_errors import failure_of, says_unknown
from heliograph.providers.interaction_request import asking, encode, fetching, unsupported
from heliograph.providers.pool import Place
from heliograph.providers.spool import RAW, discard, numbered
from heliograph.providers.talk import given
from heliograph.providers.wire import WireReply, WireRequest
from heliograph.types import Plan, Reply, ReplyImage, Timing

__all__ = ["Interactions", "Polling", "decode", "encode", "unsupported"]

# Google's image models said this in 2026-08, with no code of its own: 400 `invalid_request`
NO_BACKGROUND = "does not support background interactions"


@dataclass(frozen=True, kw_only=True)
class Polling:
    """How often to ask, in seconds."""

    first: float = 0.5
    growth: float = 1.5
    longest: float = 4.0
    lag: float = 20.0  # how long its own project may not know an id before it is given up


class Interactions:
    """The Interactions API as a provider.

    Args:
        deadlines: the answer is waited for until `call` and `late` are over.
        background: let the upstream work on its own; a model that refuses that is asked again,
            at no cost, to answer on the same connection.
        delivery: "inline" or "uri": whether pictures come inside the answer or by address.
        files: the uploads of the upstream; without it every picture is sent inline.
        mode: which pictures are uploaded; one of `freight.MODES`.
    """

    transport = "interactions"

    def __init__(
        self,
        caller: Caller,
        *,
        simulated: bool,
        deadlines: Deadlines | None = None,
        polling: Polling | None = None,
        background: bool = True,
        delivery: str = "inline",
        chance: random.Random | None = None,
        files: Files | None = None,
        mode: str = "auto",
    ) -> None:
        self._caller = caller
        self._files = files
        self._mode = mode
        self._simulated = simulated
        self._deadlines = deadlines or Deadlines()
        self._polling = polling or Polling()
        self._background = background
        self._delivery = delivery
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self._foreground: set[str] = set()  # models that refused to work in the background

    @property
    def upstream(self) -> str:
        return self._caller.upstream

    @property
    def simulated(self) -> bool:
        return self._simulated

    async def generate(self, plan: Plan, spool: Path, log: CallLog, observer: Observer) -> Reply:
        answered = await self._create(plan, spool, log, observer)
        created, place = answered.value, answered.place
        if created.id is not None:
            await log.submitted(created.id)
        begun = time.monotonic() - (created.timing.done or 0.0)
        watch = _Watch(spool, observer, begun, self._deadlines)
        reply = created.reply
        if reply is None:
            answer = created.answer
            if answer is None and created.id is not None:
                watch.tell("submitted", {"interaction": created.id})
                answer = await self._ask(created.id, (place,), watch)
            if answer is None:
                raise AssertionError("a call without answer and id was let through")
            reply = await self._finish(answer, place, watch)
        timing = replace(created.timing, done=watch.now())
        return replace(reply, attempts=answered.attempts, timing=timing)

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
        del plan, log  # the answer is the same, whatever was asked
        if id_in({"id": remote}) is None:
            raise still_running(None, f"{remote!r:.80} is no id of an interaction.")
        await asyncio.to_thread(spool.mkdir, parents=True, exist_ok=True)
        watch = _Watch(spool, observer, time.monotonic(), self._deadlines)
        places = self._caller.places
        answer = await self._ask(remote, places, watch, home=project)
        reply = await self._finish(answer, watch.place or places[0], watch)
        return replace(reply, timing=Timing(done=watch.now()))

    async def close(self) -> None:
        await self._caller.close()

    async def _create(
        self, plan: Plan, spool: Path, log: CallLog, observer: Observer
    ) -> Answered["Created"]:
        freight = Freight(plan, self._files, self._mode)
        thread = Thread(plan, {place.project for place in self._caller.places})

        def errand(*, background: bool) -> Errand[Created]:
            async def request(place: Place, tell: Tell) -> WireRequest:
                follows = thread.follows(place)
                theirs = given(plan) if follows is None else plan.references

                def encoded(links: Mapping[str, str]) -> WireRequest:
                    return encode(
                        plan,
                        background=background,
                        delivery=self._delivery,
                        links=links,
                        follows=follows,
                    )

                return await freight.load(place, tell, theirs, encoded)

            async def mend(place: Place, error: HeliographError) -> bool:
                if background and _needs_foreground(error):
                    return False
                return await freight.mend(place, error) or thread.mend(place, error)

            return Errand(
                request=request,
                read=lambda wire: freight.read(wire, read_created),
                model=plan.model,
                ask=plan.estimate.high,
                spool=spool,
                log=log,
                observer=observer,
                home=thread.home,
                mend=mend,
            )

        in_background = self._background and plan.model not in self._foreground
        try:
            return await self._caller.call(errand(background=in_background))
        except RequestRejected as error:
            if not in_background or not _needs_foreground(error):
                raise
            self._foreground.add(plan.model)
            # free, and known to be before the next attempt is even begun
            await log.failed({"error": error.code, "what": error.what})
        # requests that were rejected cost nothing and left nothing that counts
        before = await asyncio.to_thread(_forget, spool)
        answered = await self._caller.call(errand(background=False))
        return replace(answered, attempts=answered.attempts + before)

    async def _ask(
        self, remote: str, places: Sequence[Place], watch: "_Watch", *, home: str | None = None
    ) -> Answer:
        """Ask for an interaction until it has ended.

        Args:
            places: where it may have been submitted.
            home: project that submitted it, and that alone can say that it is gone; without
                one it never counts as gone.

        Raises:
            OutcomeUnknown: it had not ended in time, or its project does not know it.
        """
        polling = self._polling
        pause = polling.first
        troubles: list[_Trouble] = []
        denied_since: float | None = None
        while (left := watch.left()) > 0:
            watch.warn_when_late()
            try:
                async with asyncio.timeout(left):
                    answer, troubles = await self._ask_places(remote, places, watch)
            except TimeoutError:
                break
            if answer is not None and answer.has_ended:
                return answer
            watch.tell("waiting", {"for": "interaction", "interaction": remote})
            if answer is None and _is_denied(troubles, home):
                denied_since = denied_since or watch.now()
                if watch.now() - denied_since >= polling.lag:
                    raise nobody_knows(remote, _last_words(troubles))
            else:
                denied_since = None
            jitter = self._chance.uniform(0.75, 1.25) * pause
            await asyncio.sleep(min(jitter, max(0.0, watch.left())))
            pause = min(pause * polling.growth, polling.longest)
        raise still_running(remote, _last_words(troubles))

    async def _ask_places(
        self, remote: str, places: Sequence[Place], watch: "_Watch"
    ) -> tuple[Answer | None, list["_Trouble"]]:
        """The answer of the first place that knows it, or else what each of them said."""
        troubles: list[_Trouble] = []
        for place in (watch.place,) if watch.place else places:
            folder = await watch.folder("attempt")
            try:
                answer = await self._caller.fetch(
                    asking(remote), lambda wire: read_asked(wire, remote), folder, place
                )
            except (UpstreamError, CredentialRejected) as error:
                troubles.append((place, error))
                await watch.drop(folder)
                continue
            watch.place = place
            if not answer.has_ended:
                await watch.drop(folder)
            return answer, []
        return None, troubles

    async def _finish(self, answer: Answer, place: Place, watch: "_Watch") -> Reply:
        """The reply of an ended interaction, with every picture on our disk."""
        reply, links = reply_of(answer)
        requests = [fetching(link, self.upstream) for link in links]
        images = list(reply.images)
        for link, request in zip(links, requests, strict=True):
            folder = await watch.folder("file")
            read = partial(_picture, link=link, folder=folder)
            try:
                images.append(await self._caller.fetch(request, read, folder, place))
            except (UpstreamError, CredentialRejected) as error:
                raise OutcomeUnknown(
                    "The picture is made, but it could not be fetched.",
                    why=f"{error.what} {error.why or ''}".strip(),
                    remedy="Ask for the interaction again; that is free.",
                    charged=Charged.YES,
                    facts={"interaction": answer.id, "may_be_asked_for": True},
                ) from error
        images.sort(key=lambda image: image.position)
        return replace(reply, images=tuple(images))


class Thread:
    """Whether a call goes on from an interaction that the upstream keeps, or tells its history.

    The id of the last turn stands for all before it, so nothing of it is sent again, but all of it
    is billed as input. So it is only for a plan whose history is the whole talk and is priced so;
    and only in the project where the talk is kept, until the upstream says no.
    """

    def __init__(self, plan: Plan, projects: Collection[str]) -> None:
        last = plan.history[-1] if plan.history else None
        is_kept = last is not None and last.signed and last.model == plan.model and _is_whole(plan)
        self._remote = last.remote if last is not None and is_kept else None
        # the project to ask first
        self.home = last.project if last is not None and self._remote else None
        if self.home not in projects:
            self.home = None
        self._was_sent = False

    def follows(self, place: Place) -> str | None:
        """The id to go on from at a place; None there where the history must be told."""
        follows = self._remote if self.home is not None and place.project == self.home else None
        self._was_sent = follows is not None
        return follows

    def mend(self, place: Place, error: HeliographError) -> bool:
        """Whether the id may be what was refused; the next request tells the history."""
        if not self._was_sent or place.project != self.home:
            return False
        status, code = error.facts.get("http_status"), error.facts.get("code")
        is_refused = isinstance(error, RequestRejected) and status in (400, 404)
        # of an interaction of somebody else; about a key it comes without a code
        if not is_refused and code != "permission_denied":
            return False
        self._remote = None
        return True


def _is_whole(plan: Plan) -> bool:
    """Whether the history was to be the whole talk, and no answer gave way."""
    return plan.request.context == "all" and all(turn.answer for turn in plan.history)


class _Watch:
    """One call on its way: its clock, its folders, and where its interaction is known."""

    def __init__(self, spool: Path, observer: Observer, begun: float, deadlines: Deadlines) -> None:
        self._spool = spool
        self._observer = observer
        self._begun = begun
        self._deadlines = deadlines
        self._is_late = False
        self.place: Place | None = None

    def now(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self._begun

    def left(self) -> float:
        """Seconds until nobody waits any more."""
        return self._deadlines.call + self._deadlines.late - self.now()

    def warn_when_late(self) -> None:
        if not self._is_late and self.now() > self._deadlines.call:
            self._is_late = True
            self.tell("late", {"listening_for_seconds": self._deadlines.late})

    def tell(self, name: str, facts: Mapping[str, Any]) -> None:
        job = self._spool.name.partition("-")[0]
        self._observer(Event(name=name, job=job, at=self.now(), facts=facts))

    async def folder(self, kind: str) -> Path:
        """A new folder of a kind; `attempt` is what `rereading` looks at, the newest first."""

        def make() -> Path:
            numbers = [number for number, _ in numbered(self._spool, kind)]
            folder = self._spool / f"{kind}-{max(numbers, default=0) + 1}"
            folder.mkdir(parents=True)
            return folder

        return await asyncio.to_thread(make)

    async def drop(self, folder: Path) -> None:
        """An answer that says nothing must not be the newest."""
        await asyncio.to_thread(discard, folder)


def _forget(spool: Path) -> int:
    attempts = numbered(spool, "attempt")
    for _, folder in attempts:
        discard(folder)
    return len(attempts)


# ---------------------------------------------------------------- what was answered


@dataclass(frozen=True, kw_only=True)
class Created:
    """The answer to submitting: an id to ask for, or already the whole answer."""

    id: str | None
    answer: Answer | None  # when it has ended
    reply: Reply | None  # when the answer broke off behind a whole picture
    timing: Timing


def read_created(wire: WireReply) -> Created:
    """What submitting was answered.

    Raises:
        HeliographError: it was refused, or neither an id nor an answer came.
    """
    if wire.status != 200:
        raise doubted(failure_of(wire), wire)
    if wire.incomplete or wire.tapped.cut:
        remote = begun_id(wire)
        reply = understand(wire, decode) if remote is None else None
        return Created(id=remote, answer=None, reply=reply, timing=wire.timing)
    answer = answer_of(wire)
    if answer.has_ended:
        return Created(id=answer.id, answer=answer, reply=None, timing=wire.timing)
    if answer.id is None:
        raise still_running(None, "The upstream gave it no id to ask for.")
    return Created(id=answer.id, answer=None, reply=None, timing=wire.timing)


def read_asked(wire: WireReply, remote: str) -> Answer:
    """The interaction that was asked for, as it is now.

    Raises:
        HeliographError: this ask told nothing of it.
    """
    if wire.status != 200:
        raise failure_of(wire)
    if wire.incomplete or wire.tapped.cut:
        raise still_running(remote, f"Its answer broke off: {wire.incomplete or wire.tapped.cut}.")
    answer = answer_of(wire)
    if answer.id not in (None, remote):
        raise ProtocolError(
            "The upstream answered with another interaction than the one asked for.",
            remedy="Check any proxy on the way.",
            charged=Charged.UNKNOWN,
        )
    return answer


def _needs_foreground(error: HeliographError) -> bool:
    return NO_BACKGROUND in (error.why or "")


_Trouble = tuple[Place, HeliographError]  # what a place said instead of an answer


def _is_denied(troubles: Sequence[_Trouble], home: str | None) -> bool:
    """Whether every key of the project that submitted an interaction says that it is not there."""
    own = [error for place, error in troubles if place.project == home]
    return bool(own) and all(map(says_unknown, own))


def _last_words(troubles: Sequence[_Trouble]) -> str | None:
    if not troubles:
        return None
    _, error = troubles[-1]
    return f"Asked for it, the upstream said: {error.why or error.what}"


def _picture(wire: WireReply, *, link: Link, folder: Path) -> ReplyImage:
    if wire.status != 200:
        raise failure_of(wire)
    path = folder / RAW
    if wire.incomplete or not path.is_file():
        raise OutcomeUnknown(
            "The picture did not arrive whole.", why=wire.incomplete, charged=Charged.YES
        )
    data = path.read_bytes()
    return ReplyImage(
        position=link.position,
        path=path,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        declared_type=link.declared_type,
        thought=link.thought,
    )
