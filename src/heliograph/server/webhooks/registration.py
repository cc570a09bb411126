"""Who is to be told of what: one card for each webhook, of kind `webhook/USER`.

Invariant: nobody reaches another user's webhook; an address that may not be called is not taken;
the secret is in no card.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from heliograph.errors import CardChanged, InvalidRequest, Problem, RecordNotFound
from heliograph.ports import Cabinet, Card
from heliograph.providers.outbound import Outbound, TargetRefused
from heliograph.server.faults import Fault

EVENTS = ("job.done", "job.failed", "job.cancelled")
MOST = 20  # webhooks of one user
NOTES = 5  # times that a note is tried while others write theirs
DEAD_IN_A_ROW = 3  # events that were never heard, after which a webhook is not told any more
FAILED = "disabled_due_to_failed_deliveries"
LEFT = "disabled_because_gone"  # the receiver answered 410


class WebhooksOff(Fault):
    """The operator allows no hosts."""

    status = 403
    code = "webhooks_disabled"


class UrlNotAllowed(Fault):
    """This address is not called; the reason is the operator's to know."""

    code = "url_not_allowed"


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """One receiver of one user."""

    id: str  # 32 hexadecimal digits
    user: str  # id
    url: str
    events: tuple[str, ...]  # of `EVENTS`
    created: datetime  # UTC
    disabled: str | None = None  # why it is not told any more
    dead: int = 0  # events in a row that were never heard
    version: int = 0  # of its card


class Registrations:
    """The webhooks of all users.

    Args:
        clock: the time, UTC.
    """

    def __init__(self, cabinet: Cabinet, outbound: Outbound, clock: Callable[[], datetime]) -> None:
        self._cabinet = cabinet
        self._outbound = outbound
        self._clock = clock

    async def add(self, user: str, url: str, events: Sequence[str], webhook_id: str) -> Webhook:
        """Register a new one under an id that nothing else has.

        Raises:
            WebhooksOff: no hosts are allowed at all.
            UrlNotAllowed: this address is not called.
            InvalidRequest: an event is unknown, or there are too many webhooks.
        """
        if self._outbound.allowed.is_empty:
            raise WebhooksOff(
                "Webhooks are off.",
                remedy="The operator turns them on with `server_webhook_hosts`.",
            )
        _check_events(events)
        if len(await self.of(user)) >= MOST:
            raise _wrong("url", url[:200], f"would be one more than the {MOST} that are allowed")
        try:
            await self._outbound.admit(url)
        except TargetRefused:
            raise UrlNotAllowed(
                "This address is not allowed.",
                remedy="Give an https address on port 443 of a host that the operator allows.",
            ) from None
        made = Webhook(
            id=webhook_id,
            user=user,
            url=url,
            events=tuple(event for event in EVENTS if event in events),
            created=self._clock(),
        )
        return await self._put(made)

    async def of(self, user: str) -> Sequence[Webhook]:
        """All of a user, those made first first."""
        found = [_webhook(user, card) for card in await self._cabinet.cards(_kind(user))]
        return sorted(found, key=lambda webhook: (webhook.created, webhook.id))

    async def get(self, user: str, webhook_id: str) -> Webhook:
        """One of a user's.

        Raises:
            RecordNotFound: the user has no such webhook.
        """
        card = await self._cabinet.card(_kind(user), webhook_id[:100])
        if card is None:
            raise RecordNotFound("There is no such webhook.")
        return _webhook(user, card)

    async def drop(self, user: str, webhook_id: str) -> None:
        """Remove one; it is not told of anything any more."""
        await self._cabinet.drop(_kind(user), (await self.get(user, webhook_id)).id)

    async def enable(self, user: str, webhook_id: str) -> Webhook:
        """Tell it again, after it was disabled."""
        found = await self.get(user, webhook_id)
        return await self._put(replace(found, disabled=None, dead=0))

    async def heard(self, webhook: Webhook) -> None:
        """It took an event."""
        if webhook.dead:
            await self._note(webhook, lambda now: replace(now, dead=0))

    async def unheard(self, webhook: Webhook, why: str | None = None) -> None:
        """An event is dead; after a few in a row, or with a reason of its own, it is disabled."""

        def changed(now: Webhook) -> Webhook:
            dead = now.dead + 1
            disabled = why or (FAILED if dead >= DEAD_IN_A_ROW else now.disabled)
            return replace(now, dead=dead, disabled=disabled)

        await self._note(webhook, changed)

    async def _note(self, webhook: Webhook, change: Callable[[Webhook], Webhook]) -> None:
        """Change it as it is by now: several events may end at the same time."""
        for _ in range(NOTES):
            try:
                await self._put(change(webhook))
            except CardChanged:
                with suppress(RecordNotFound):
                    webhook = await self.get(webhook.user, webhook.id)
            else:
                return

    async def _put(self, webhook: Webhook) -> Webhook:
        body: Mapping[str, Any] = {
            "url": webhook.url,
            "events": list(webhook.events),
            "created": webhook.created.isoformat(),
            "disabled": webhook.disabled,
            "dead": webhook.dead,
        }
        kind = _kind(webhook.user)
        card = await self._cabinet.put(kind, webhook.id, body, version=webhook.version)
        return replace(webhook, version=card.version)


def _kind(user: str) -> str:
    return f"webhook/{user}"


def _webhook(user: str, card: Card) -> Webhook:
    return Webhook(
        id=card.name,
        user=user,
        url=card.body["url"],
        events=tuple(card.body["events"]),
        created=datetime.fromisoformat(card.body["created"]).astimezone(UTC),
        disabled=card.body["disabled"],
        dead=card.body["dead"],
        version=card.version,
    )


def _check_events(events: Sequence[str]) -> None:
    unknown = [event for event in events if event not in EVENTS]
    if unknown or not events:
        shown = unknown[0][:80] if unknown else ""
        raise _wrong("events", shown, "is no event that is told", EVENTS)


def _wrong(field: str, value: str, message: str, nearest: tuple[str, ...] = ()) -> InvalidRequest:
    return InvalidRequest(
        [Problem(field=field, value=value, message=f"{message}.", nearest=nearest)]
    )
