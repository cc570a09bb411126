"""The only file that retries and sleeps: attempts, waits, places.

What may be tried where and when is `pool.py`'s to say (reliability.md section 3). Invariant: a
wait is never shorter than the upstream asked for, nothing is sent twice at once, and nothing is
repeated once its outcome is unknown or a policy, a credential or a quota said no.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from heliograph.errors import (
    Charged,
    CredentialRejected,
    DeadlineExceeded,
    HeliographError,
    OutcomeUnknown,
    QuotaExhausted,
    RateLimited,
    Refused,
    UpstreamClosed,
    UpstreamError,
)
from heliograph.ports import CallLog, Event, Observer
from heliograph.providers.gates import Cause, Moment
from heliograph.providers.http import Channel, Deadlines, Tell
from heliograph.providers.kinds import LONGEST_TOLD_WAIT
from heliograph.providers.pool import Closed, GiveUp, Pause, Place, Pool, Step, Trip, Try
from heliograph.providers.wire import WireReply, WireRequest
from heliograph.types import Reply

T = TypeVar("T")
LONGER = 1.5  # times the deadline after the upstream gave up by itself
MENDS = 2  # changed requests of one attempt: a file is gone, an earlier turn is gone
FREE_TRIES = 6  # of a question that costs nothing
FREE_WAIT = 8.0  # seconds at most between them
LONG_GATES = {Cause.DAY.value, Cause.FREE_TIER.value, Cause.SPEND.value, Cause.DEPLETED.value}


@dataclass(frozen=True, kw_only=True)
class Answered(Generic[T]):
    """What a call brought, and who brought it."""

    value: T
    place: Place
    attempts: int


async def _never(place: Place, error: HeliographError) -> bool:
    """Most requests are the same at every place, and wrong at all of them when wrong."""
    del place, error
    return False


@dataclass(frozen=True, kw_only=True)
class Errand(Generic[T]):
    """One call to make: what to send, how to read the answer, where both are written down."""

    # what to send at a place: asked for before the intent of each attempt is written down
    request: Callable[[Place, Tell], Awaitable[WireRequest]]
    read: Callable[[WireReply], T]  # raises HeliographError
    model: str
    ask: int  # micro-dollars it may cost
    spool: Path
    log: CallLog
    observer: Observer
    home: str | None = None  # a project to prefer: it has a part of the request already
    # whether the request named something that the place has no more, and is another one now
    mend: Callable[[Place, HeliographError], Awaitable[bool]] = _never


class Caller:
    """Makes calls through the keys of one upstream, with the repeats that are allowed."""

    def __init__(
        self,
        channels: Mapping[Place, Channel],
        deadlines: Deadlines,
        *,
        chance: random.Random | None = None,
    ) -> None:
        self._channels = dict(channels)
        self._deadlines = deadlines
        self._pool = Pool(tuple(channels))
        self._admitting = asyncio.Lock()
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret

    @property
    def upstream(self) -> str:
        """Host and port the calls go to."""
        return next(iter(self._channels.values())).upstream

    @property
    def places(self) -> tuple[Place, ...]:
        """Every key of every project, in the order of preference."""
        return tuple(self._channels)

    async def call(self, errand: Errand[T]) -> Answered[T]:
        """The answer of the first attempt that succeeds.

        Each attempt spools into its own folder below the errand's.

        Raises:
            HeliographError: the last attempt's error, when none is left or allowed.
            UpstreamClosed, QuotaExhausted, CredentialRejected: no key and project may be tried
                now; nothing was sent.
        """
        run = _Run(errand, self._deadlines)
        end = run.begun + self._deadlines.patience
        trip = self._pool.trip(errand.model, end, home=errand.home)
        step: Step = trip.begin(_moment())
        while not isinstance(step, GiveUp):
            if isinstance(step, Pause):
                run.tell("retrying", {**run.failure(), "wait": step.seconds})
                await asyncio.sleep(step.seconds)
                step = trip.resume(_moment())
            else:
                found = await self._try(step, trip, run)
                if isinstance(found, Answered):
                    return found
                step = found
        raise run.given_up(step, trip)

    async def _try(self, step: Try, trip: Trip, run: "_Run[T]") -> Answered[T] | Step:
        channel = self._channels[step.place]
        is_over = False
        try:
            value = await self._attempt(channel, step.place, run)
            is_over = True
            refusal = value.refusal if isinstance(value, Reply) else None
            if refusal is not None:
                trip.failed(refusal, _moment(), self._chance)
            else:
                trip.succeeded(time.monotonic(), slow=run.is_late)
            return Answered(value=value, place=step.place, attempts=run.attempt)
        except (UpstreamError, CredentialRejected, Refused) as error:
            _hide_key(error, channel)
            run.error = error
            following = trip.failed(error, _moment(), self._chance)
            # the next place is taken already, and must not stay so when this cannot be written
            is_over = not isinstance(following, Try)
            if error.charged is Charged.NO and not isinstance(following, GiveUp):
                await run.errand.log.failed(run.failure())
            is_over = True
            if isinstance(following, Try):
                facts = {"wait": 0.0, "project": following.place.project}
                run.tell("retrying", {**run.failure(), **facts})
            return following
        finally:
            if not is_over:
                trip.abandoned()  # cancelled, or our own side refused

    async def _attempt(self, channel: Channel, place: Place, run: "_Run[T]") -> T:
        errand = run.errand
        for mended in range(MENDS + 1):
            run.attempt += 1
            folder = errand.spool / f"attempt-{run.attempt}"
            folder.mkdir(parents=True)
            request = await errand.request(place, run.tell)
            await self._admit(place, run)
            if isinstance(run.error, DeadlineExceeded):
                longer = round(min(self._deadlines.first_byte * LONGER, self._deadlines.call))
                headers = {**request.headers, "x-server-timeout": str(longer)}
                request = replace(request, headers=headers)
            wire = await channel.exchange(request, folder, run.tell, errand.log)
            try:
                return errand.read(wire)
            except HeliographError as error:
                # only what is provably free is sent again, whatever was wrong with it
                is_free = error.charged is Charged.NO
                if mended == MENDS or not is_free or not await errand.mend(place, error):
                    raise
                _hide_key(error, channel)
                run.error = error
            await errand.log.failed(run.failure())
            run.tell("retrying", {**run.failure(), "wait": 0.0, "project": place.project})
        raise AssertionError("the last attempt returns or raises")

    async def _admit(self, place: Place, run: "_Run[T]") -> None:
        """Write the intent down once the provider's own spend limit has room for it."""
        log, ask = run.errand.log, run.errand.ask
        while True:
            # one at a time: two must not see the same room
            async with self._admitting:
                wait = await log.room(place.project, ask)
                if wait <= 0:
                    await log.intent(place.project, run.attempt)
                    return
            if wait > run.left():
                raise RateLimited(
                    f"Project {place.project} may not spend more in these ten minutes.",
                    why="The setting spend_per_10_minutes says so.",
                    remedy="Wait, raise the setting, or add a key of another project.",
                    retry_after=wait,
                    facts={"project": place.project, "quota": "own_spend_limit"},
                )
            run.tell("waiting", {"for": "spend limit", "wait": wait, "project": place.project})
            await asyncio.sleep(wait)

    async def fetch(
        self, request: WireRequest, read: Callable[[WireReply], T], folder: Path, place: Place
    ) -> T:
        """Ask for something that is free, again and again while that can help.

        Raises:
            HeliographError: it is not to be had; the last attempt's error.
        """
        channel = self._channels[place]
        for attempt in range(1, FREE_TRIES + 1):
            try:
                wire = await channel.exchange(request, folder, _say_nothing)
                return read(wire)
            except HeliographError as error:
                _hide_key(error, channel)
                lasts = not error.retryable and not isinstance(error, OutcomeUnknown)
                if attempt == FREE_TRIES or lasts:
                    raise
                told = min(error.retry_after or 0.0, LONGEST_TOLD_WAIT)
                jitter = self._chance.uniform(0.5, 1.0) * min(FREE_WAIT, 0.25 * 2**attempt)
                await asyncio.sleep(max(told, jitter))
        raise AssertionError("the last attempt raises")

    async def close(self) -> None:
        """Close the connections."""
        for channel in self._channels.values():
            await channel.close()


class _Run(Generic[T]):
    """One errand on its way."""

    def __init__(self, errand: Errand[T], deadlines: Deadlines) -> None:
        self.errand = errand
        self.begun = time.monotonic()
        self.attempt = 0
        self.error: HeliographError | None = None
        self.is_late = False
        self._patience = deadlines.patience

    def left(self) -> float:
        """Seconds of patience that are left."""
        return self._patience - (time.monotonic() - self.begun)

    def tell(self, name: str, facts: Mapping[str, Any]) -> None:
        self.is_late = self.is_late or name == "late"
        self.errand.observer(
            Event(
                name=name,
                job=self.errand.spool.name.partition("-")[0],
                at=time.monotonic() - self.begun,
                facts={**facts, "attempt": self.attempt},
            )
        )

    def failure(self) -> dict[str, Any]:
        """The last failure, for observers."""
        if self.error is None:
            return {}
        return {"error": self.error.code, "what": self.error.what}

    def given_up(self, step: GiveUp, trip: Trip) -> HeliographError:
        """The error to raise when nothing is left to try."""
        error = self.error
        if error is None:
            error = _closed(step.closed or Closed(obstacles=()))
        error.facts["attempts"] = self.attempt
        if trip.hops:
            error.facts["hops"] = trip.hops
        return error


def _closed(closed: Closed) -> HeliographError:
    causes = {obstacle.cause for obstacle in closed.obstacles}
    wait = None if math.isinf(closed.seconds) else closed.seconds
    facts = {"obstacles": [obstacle.facts() for obstacle in closed.obstacles]}
    why = "; ".join(f"{o.place.project}: {o.cause}" for o in closed.obstacles)
    if causes <= {"quarantine"}:
        return CredentialRejected(
            "No API key is left that the upstream accepts.",
            why=why,
            remedy="Renew the keys; `heliograph doctor` checks them.",
            retry_after=wait,
            facts=facts,
        )
    if causes & LONG_GATES:
        return QuotaExhausted(
            "The quota or the money of every project is used up; nothing was sent.",
            why=why,
            remedy="Daily quotas renew at midnight Pacific time; or add a key of another project.",
            retry_after=wait,
            facts=facts,
        )
    return UpstreamClosed(
        "The upstream failed so often that it gets a rest; nothing was sent.",
        why=why,
        remedy="Try again later; the next request after the rest is the trial.",
        retry_after=wait,
        facts=facts,
    )


def _hide_key(error: HeliographError, channel: Channel) -> None:
    """An upstream may echo the key in its message; ours never carry it further."""
    error.what = channel.without_key(error.what)
    error.why = error.why and channel.without_key(error.why)
    error.args = (error.what,)
    for name, value in error.facts.items():
        if isinstance(value, str):
            error.facts[name] = channel.without_key(value)


def _say_nothing(name: str, facts: Mapping[str, Any]) -> None:
    """A free question is nobody's event."""
    del name, facts


def _moment() -> Moment:
    return Moment(now=time.monotonic(), wall=datetime.now(UTC))
