"""The background task that tells receivers how jobs have ended.

Invariant: an attempt is written down before it is made, so that a process that dies in it leaves a
delivery that is tried again a minute later, by whichever process is there; two processes never
make the same attempt.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

from heliograph.accounts import new_id
from heliograph.errors import CardChanged, HeliographError, RecordNotFound
from heliograph.jobs import Job
from heliograph.ports import Cabinet, Jobs
from heliograph.providers.outbound import Allowed, NotDelivered, Outbound, TargetRefused
from heliograph.server.webhooks.delivery import TYPES, Attempt, Delivery, Log, State, event_of
from heliograph.server.webhooks.registration import EVENTS, LEFT, Registrations, Webhook
from heliograph.server.webhooks.signing import secret_of, signed_headers

LOG = logging.getLogger("heliograph.server")
GIVEN_UP = timedelta(hours=24)  # after which an event is dead
CLAIM = timedelta(seconds=60)  # longer than an attempt may take
FIRST, GROWTH, LONGEST = 5.0, 3, 4 * 3600.0  # seconds between attempts, and how they grow
LOOK_AGAIN = 30.0  # seconds between looks at what other processes have taken on
AT_ONCE, AT_ONCE_OF_HOST = 16, 2
MISSED = timedelta(minutes=15)  # how long ago a job may have ended that nobody was told of
MISSED_JOBS = 500
GONE = 410


class WebhookRoots(Protocol):
    """What secrets are derived from."""

    @property
    def webhooks(self) -> bytes:
        """At least 24 random bytes, used for nothing else."""


class Shelves(Protocol):
    """Where webhooks and deliveries are kept."""

    @property
    def cabinet(self) -> Cabinet: ...


class WebhookSettings(Protocol):
    """What an operator says of webhooks."""

    @property
    def server_webhook_hosts(self) -> str: ...


class Engine(Protocol):
    """What of the gateway is needed here."""

    @property
    def store(self) -> Shelves: ...

    @property
    def jobs(self) -> Jobs: ...

    @property
    def settings(self) -> WebhookSettings: ...

    @property
    def secrets(self) -> WebhookRoots: ...


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A new webhook, with the secret that is shown this once."""

    webhook: Webhook
    secret: str


class Webhooks:
    """Registers webhooks and tells them; works while it is entered.

    Args:
        outbound: how receivers are reached; as the settings say by default.
        clock: the time, UTC.
        draw: a random number from 0 to 1, for the times between attempts.

    Raises:
        ConfigurationError: the hosts that the settings allow are none.
    """

    def __init__(
        self,
        gateway: Engine,
        *,
        outbound: Outbound | None = None,
        clock: Callable[[], datetime] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        allowed = Allowed.of(gateway.settings.server_webhook_hosts)
        self._gateway = gateway
        self._outbound = outbound or Outbound(allowed)
        self._clock = clock or _utc_now
        self._draw = draw
        cabinet = gateway.store.cabinet
        self._registrations = Registrations(cabinet, self._outbound, self._clock)
        self._log = Log(cabinet)
        self._wake = asyncio.Event()
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._hosts: Counter[str] = Counter()
        self._looked: datetime | None = None  # at jobs that have ended
        self._known: frozenset[str] = frozenset()  # those of that look
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks = [task for task in (self._task, *self._sending.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------ webhooks of a user

    async def register(self, user: str, url: str, events: Sequence[str] = EVENTS) -> Registered:
        """A new webhook; see `Registrations.add` for what it raises."""
        made = new_id()
        secret = secret_of(self._gateway.secrets.webhooks, made)
        webhook = await self._registrations.add(user, url, events, made)
        return Registered(webhook=webhook, secret=secret)

    async def list(self, user: str) -> Sequence[Webhook]:
        """All webhooks of a user, those made first first."""
        return await self._registrations.of(user)

    async def get(self, user: str, webhook_id: str) -> Webhook:
        """Raises RecordNotFound when the user has no such webhook."""
        return await self._registrations.get(user, webhook_id)

    async def remove(self, user: str, webhook_id: str) -> None:
        """Remove a webhook with its log; raises RecordNotFound when there is none."""
        await self._registrations.drop(user, webhook_id)
        await self._log.clear(webhook_id)

    async def enable(self, user: str, webhook_id: str) -> Webhook:
        """Tell a webhook again that was disabled; raises RecordNotFound when there is none."""
        return await self._registrations.enable(user, webhook_id)

    async def deliveries(self, user: str, webhook_id: str) -> Sequence[Delivery]:
        """What it was told, and is to be told, newest first."""
        return await self._log.of((await self.get(user, webhook_id)).id)

    async def replay(self, user: str, webhook_id: str, event: str) -> Delivery:
        """Tell an event again, under the same id.

        Raises:
            RecordNotFound: there is no such webhook or event.
        """
        webhook = await self.get(user, webhook_id)
        found = await self._log.ended(webhook.id, event)
        if found is not None:
            await self._log.replay(found, self._clock())
            self._wake.set()
        for delivery in await self._log.of(webhook.id):
            if delivery.event == event:
                return delivery
        raise RecordNotFound("There is no such delivery.")

    # ------------------------------------------------------------ telling

    async def deliver(self, job: Job) -> None:
        """Take on to tell how a job has ended; the same job again changes nothing.

        A job that names a webhook is told to that one, any other to all of its user that want
        its event and were there when it ended.

        Raises:
            StorageError: it could not be written down.
        """
        kind = TYPES.get(job.state)
        if kind is None:
            return
        for webhook in await self._registrations.of(job.user):
            is_meant = job.webhook in (None, webhook.id)
            wants = not webhook.disabled and kind in webhook.events
            if not (is_meant and wants and webhook.created <= job.changed):
                continue
            if await self._log.add(event_of(job, webhook, self._clock())):
                self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            await self._catch_up()
            pause = await self._begin_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _catch_up(self) -> None:
        """Jobs whose process died between their end and telling it, so that nobody was told."""
        now = self._clock()
        pause = timedelta(seconds=LOOK_AGAIN)
        if self._looked is not None and timedelta() <= now - self._looked < pause:
            return
        self._looked, known = now, set[str]()
        try:
            for job in await self._gateway.jobs.jobs(states=tuple(TYPES), limit=MISSED_JOBS):
                if job.changed >= now - MISSED:
                    if job.id not in self._known:
                        await self.deliver(job)
                    known.add(job.id)
        except HeliographError as error:
            LOG.warning("webhooks of the last minutes could not be looked up: %s", error)
        self._known = frozenset(known)

    async def _begin_due(self) -> float:
        """Start what is due, and say how many seconds there are until something is."""
        try:
            waiting = await self._log.open()
        except HeliographError as error:
            LOG.warning("webhooks cannot be read: %s", error)
            return LOOK_AGAIN
        now = self._clock()
        for delivery in waiting:
            if delivery.next > now:
                return min(LOOK_AGAIN, (delivery.next - now).total_seconds())
            if len(self._sending) >= AT_ONCE:
                return LOOK_AGAIN  # the end of any of them wakes this
            self._begin(delivery)
        return LOOK_AGAIN

    def _begin(self, delivery: Delivery) -> None:
        receiver = delivery.host
        if delivery.name in self._sending or self._hosts[receiver] >= AT_ONCE_OF_HOST:
            return
        task = asyncio.ensure_future(self._attempt(delivery))
        self._sending[delivery.name] = task
        self._hosts[receiver] += 1

        def over(task: "asyncio.Task[None]") -> None:
            del self._sending[delivery.name]
            self._hosts[receiver] -= 1
            self._wake.set()
            if not task.cancelled() and task.exception() is not None:
                LOG.error("a webhook could not be told", exc_info=task.exception())

        task.add_done_callback(over)

    async def _attempt(self, delivery: Delivery) -> None:
        now = self._clock()
        ended = await self._log.ended(delivery.webhook, delivery.event)
        if ended is not None and ended.replays == delivery.replays:
            await self._log.forget(delivery)  # it was told; only this card was left
            return
        try:
            delivery = await self._log.change(
                replace(delivery, tries=delivery.tries + 1, next=now + CLAIM)
            )
            webhook = await self._registrations.get(delivery.user, delivery.webhook)
        except CardChanged:
            return  # another process makes this attempt
        except RecordNotFound:
            await self._log.forget(delivery)
            return
        if webhook.disabled:
            await self._log.end(replace(delivery, state=State.DEAD))
            return
        status, after = await self._send(webhook, delivery, now)
        tried = Attempt(at=now, status=status)
        delivery = replace(delivery, attempts=(*delivery.attempts, tried))
        try:
            await self._settle(webhook, delivery, status, after)
        except CardChanged:
            return  # its owner or another attempt changed it meanwhile; it is looked at again

    async def _send(
        self, webhook: Webhook, delivery: Delivery, now: datetime
    ) -> tuple[int | None, float]:
        secret = secret_of(self._gateway.secrets.webhooks, webhook.id)
        body = delivery.body.encode()
        headers = signed_headers(secret, delivery.event, body, int(now.timestamp()))
        try:
            answer = await self._outbound.safe_post(webhook.url, body, headers)
        except (TargetRefused, NotDelivered) as error:
            LOG.debug("webhook %s was not reached: %r", webhook.id, error)
            return None, 0.0
        return answer.status, min(answer.retry_after or 0.0, LONGEST)

    async def _settle(
        self, webhook: Webhook, delivery: Delivery, status: int | None, after: float
    ) -> None:
        if status is not None and 200 <= status < 300:
            await self._log.end(replace(delivery, state=State.DELIVERED))
            await self._registrations.heard(webhook)
            return
        pause = timedelta(seconds=max(after, pause_after(delivery.tries, self._draw())))
        due = self._clock() + pause
        if status != GONE and due <= delivery.created + GIVEN_UP:
            await self._log.change(replace(delivery, next=due))
            return
        await self._log.end(replace(delivery, state=State.DEAD))
        await self._registrations.unheard(webhook, LEFT if status == GONE else None)


def pause_after(tries: int, draw: float) -> float:
    """Seconds until the next attempt: ever longer, and never in step with others.

    Args:
        tries: attempts so far, at least 1.
        draw: from 0 to 1.
    """
    usual = FIRST * float(GROWTH) ** min(tries - 1, 20)
    return min(LONGEST, usual) * (0.75 + draw / 2)


def _utc_now() -> datetime:
    return datetime.now(UTC)
