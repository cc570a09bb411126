"""What was told, and what is still to be: one card for each event and webhook.

    delivery/open        WEBHOOK-EVENT   still to be told; the whole message is in the card
    delivery/WEBHOOK     EVENT           told, or dead

Invariant: an event is taken on once for a webhook, however often its job is reported; a card of
`delivery/open` leaves it only behind one that says how it ended. The log of a webhook is bounded.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from heliograph.errors import CardChanged
from heliograph.jobs import Job, JobState
from heliograph.money import dollars
from heliograph.ports import Cabinet, Card
from heliograph.server.webhooks.registration import Webhook

OPEN = "delivery/open"
KEPT = 500  # deliveries that are told or dead, of one webhook
SLACK = 50  # more than that, before the oldest are removed
MOST_OPEN = 1000  # deliveries of one webhook that wait
ATTEMPTS_KEPT = 20
TYPES: Mapping[JobState, str] = {
    JobState.DONE: "job.done",
    JobState.FAILED: "job.failed",
    JobState.CANCELLED: "job.cancelled",
}


class State(Enum):
    """How far a delivery has come."""

    PENDING = "pending"
    DELIVERED = "delivered"  # the receiver answered 2xx
    DEAD = "dead"  # nobody tries any more, unless it is replayed


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One time that a receiver was told."""

    at: datetime  # UTC
    status: int | None  # of HTTP; None when there was no answer


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event on its way to one webhook."""

    event: str  # id; the same in every attempt and replay
    type: str  # one of `EVENTS`
    webhook: str  # id
    host: str  # of its address, as far as it is told apart from others
    user: str  # id
    job: str  # id
    body: str  # what is sent, to the letter
    created: datetime  # UTC; of the last replay, where there is one
    state: State = State.PENDING
    next: datetime  # UTC; of the next attempt
    tries: int = 0  # since `created`
    attempts: tuple[Attempt, ...] = ()  # the last ones, oldest first
    replays: int = 0
    version: int = 0  # of its card in `OPEN`

    @property
    def name(self) -> str:
        """Of its card in `OPEN`."""
        return f"{self.webhook}-{self.event}"


def event_of(job: Job, webhook: Webhook, now: datetime) -> Delivery:
    """The delivery that tells a webhook how a job has ended."""
    kind = TYPES[job.state]
    return Delivery(
        event="evt_" + hashlib.sha256(f"{job.id} {kind}".encode()).hexdigest()[:32],
        type=kind,
        webhook=webhook.id,
        host=urlsplit(webhook.url).netloc,
        user=job.user,
        job=job.id,
        body=json.dumps({"type": kind, "timestamp": _text(job.changed), "data": _told(job)}),
        created=now,
        next=now,
    )


def _told(job: Job) -> dict[str, Any]:
    """What a receiver learns; the prompt is not among it, and pictures need a key or a link."""
    told: dict[str, Any] = {
        "id": job.id,
        "state": job.state.value,
        "created": _text(job.created),
        "ended": _text(job.changed),
        "images": list(job.records),
        "cost_usd": dollars(job.cost).removeprefix("$"),
    }
    if job.error is not None:
        told["error"] = {name: job.error.get(name) for name in ("code", "what", "charged")}
    return told


class Log:
    """Deliveries of all webhooks."""

    def __init__(self, cabinet: Cabinet) -> None:
        self._cabinet = cabinet
        self._open: Counter[str] = Counter()  # by webhook, as far as it was looked at
        self._ended: Counter[str] = Counter()  # by webhook, since its log was cut

    async def add(self, delivery: Delivery) -> bool:
        """Take an event on, unless it was taken on before; False when it was."""
        if await self.ended(delivery.webhook, delivery.event) is not None:
            return False
        if self._open[delivery.webhook] >= MOST_OPEN:
            self._open[delivery.webhook] += 1  # its end takes that off again
            await self.end(replace(delivery, state=State.DEAD))
            return True
        return await self._reopen(delivery)

    async def replay(self, delivery: Delivery, now: datetime) -> bool:
        """Tell it once more, as if it were new; False when it is on its way already."""
        fresh = replace(
            delivery,
            state=State.PENDING,
            created=now,
            next=now,
            tries=0,
            replays=delivery.replays + 1,
            version=0,
        )
        return await self._reopen(fresh)

    async def _reopen(self, delivery: Delivery) -> bool:
        try:
            await self.change(delivery)
        except CardChanged:
            return False
        self._open[delivery.webhook] += 1
        return True

    async def change(self, delivery: Delivery) -> Delivery:
        """Write down a delivery that is still to be told.

        Raises:
            CardChanged: another process has it in its hands.
        """
        card = await self._cabinet.put(
            OPEN, delivery.name, _body(delivery), version=delivery.version
        )
        return replace(delivery, version=card.version)

    async def end(self, delivery: Delivery) -> None:
        """Write down how it ended."""
        kind = f"delivery/{delivery.webhook}"
        before = await self._cabinet.card(kind, delivery.event)
        version = before.version if before else 0
        with suppress(CardChanged):  # another process was quicker to write the same
            await self._cabinet.put(kind, delivery.event, _body(delivery), version=version)
        await self.forget(delivery)
        self._ended[delivery.webhook] += 1
        if self._ended[delivery.webhook] >= SLACK:
            await self._cut(delivery.webhook)

    async def forget(self, delivery: Delivery) -> None:
        """It is not to be told any more."""
        await self._cabinet.drop(OPEN, delivery.name)
        self._open[delivery.webhook] -= 1

    async def open(self) -> Sequence[Delivery]:
        """All that are still to be told, those whose turn is first first."""
        found = [_delivery(card) for card in await self._cabinet.cards(OPEN)]
        self._open = Counter(delivery.webhook for delivery in found)
        return sorted(found, key=lambda delivery: delivery.next)

    async def ended(self, webhook: str, event: str) -> Delivery | None:
        """One that is told or dead."""
        card = await self._cabinet.card(f"delivery/{webhook}", event[:100])
        return None if card is None else _delivery(card)

    async def of(self, webhook: str) -> Sequence[Delivery]:
        """All of a webhook that are kept, newest first."""
        cards = await self._cabinet.cards(f"delivery/{webhook}")
        found = {card.name: _delivery(card) for card in cards}
        found |= {d.event: d for d in await self.open() if d.webhook == webhook}
        return sorted(found.values(), key=lambda d: (d.created, d.event), reverse=True)

    async def clear(self, webhook: str) -> None:
        """Remove everything of a webhook."""
        for delivery in await self.of(webhook):
            await self._cabinet.drop(OPEN, delivery.name)
            await self._cabinet.drop(f"delivery/{webhook}", delivery.event)

    async def _cut(self, webhook: str) -> None:
        self._ended[webhook] = 0
        kind = f"delivery/{webhook}"
        cards = sorted(await self._cabinet.cards(kind), key=lambda c: (c.changed, c.name))
        for card in cards[: max(0, len(cards) - KEPT)]:
            await self._cabinet.drop(kind, card.name)


def _body(delivery: Delivery) -> dict[str, Any]:
    return {
        "event": delivery.event,
        "type": delivery.type,
        "webhook": delivery.webhook,
        "host": delivery.host,
        "user": delivery.user,
        "job": delivery.job,
        "body": delivery.body,
        "created": delivery.created.isoformat(),
        "state": delivery.state.value,
        "next": delivery.next.isoformat(),
        "tries": delivery.tries,
        "attempts": [
            {"at": a.at.isoformat(), "status": a.status} for a in delivery.attempts[-ATTEMPTS_KEPT:]
        ],
        "replays": delivery.replays,
    }


def _delivery(card: Card) -> Delivery:
    told = dict(card.body)
    attempts = tuple(Attempt(at=_time(a["at"]), status=a["status"]) for a in told["attempts"])
    return Delivery(
        **{
            **told,
            "created": _time(told["created"]),
            "next": _time(told["next"]),
            "state": State(told["state"]),
            "attempts": attempts,
            "version": card.version,
        }
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
