"""The API of webhooks, below /api/v1.

Invariant: everybody sees, changes and replays their own webhooks only; the secret of one is in the
answer that makes it and in no other.
"""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from heliograph.accounts import Scope
from heliograph.server.caller import Caller
from heliograph.server.routes import requires
from heliograph.server.webhooks.delivery import Delivery
from heliograph.server.webhooks.registration import EVENTS, Webhook
from heliograph.server.webhooks.sender import Webhooks

MOST = 200  # deliveries in one answer
Id = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="Id of a webhook.")]
Reader = Annotated[Caller, Depends(requires(Scope.READ))]
Owner = Annotated[Caller, Depends(requires(Scope.MANAGE))]
EventId = Annotated[str, Path(pattern=r"^evt_[0-9a-f]{32}$", description="Id of an event.")]


class WebhookWanted(BaseModel):
    """A webhook that is to be made."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"url": "https://hooks.example.com/heliograph"}]},
    )

    url: str = Field(min_length=1, max_length=2000, description="Where events are sent: https.")
    events: list[str] = Field(
        default=list(EVENTS), min_length=1, max_length=len(EVENTS), description="Which ones."
    )


class WebhookShape(BaseModel):
    """A webhook."""

    id: str
    url: str
    events: list[str]
    created: str = Field(description="ISO 8601, UTC.")
    enabled: bool
    disabled_because: str | None = Field(description="Why it is not told any more.")


class NewWebhook(WebhookShape):
    """A webhook that was made just now."""

    secret: str = Field(description="For checking signatures; it is shown this once.")


class WebhookList(BaseModel):
    """Your webhooks."""

    items: list[WebhookShape]


class AttemptShape(BaseModel):
    """One time that a receiver was told."""

    at: str = Field(description="ISO 8601, UTC.")
    status: int | None = Field(description="HTTP status; null when there was no answer.")


class DeliveryShape(BaseModel):
    """One event on its way to a webhook."""

    id: str = Field(description="Of the event: the same in every attempt.")
    type: str
    job: str
    state: str = Field(description="pending, delivered or dead.")
    created: str
    next: str | None = Field(description="When it is tried again.")
    attempts: list[AttemptShape]


class DeliveryList(BaseModel):
    """What a webhook was told, newest first."""

    items: list[DeliveryShape]


class HasWebhooks(Protocol):
    """What of the gateway is needed here."""

    @property
    def webhooks(self) -> Webhooks: ...


def routes(gateway: HasWebhooks, *, route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """The routes, to be included in the application at /api/v1."""
    router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=route_class)

    @router.get("")
    async def list_webhooks(caller: Reader) -> WebhookList:
        """Your webhooks."""
        found = await gateway.webhooks.list(caller.user.id)
        return WebhookList(items=[_shape(webhook) for webhook in found])

    @router.post("", status_code=201)
    async def create_webhook(wanted: WebhookWanted, caller: Owner) -> NewWebhook:
        """Be told when your jobs end; the answer has the secret, this once."""
        made = await gateway.webhooks.register(caller.user.id, wanted.url, wanted.events)
        return NewWebhook(**_shape(made.webhook).model_dump(), secret=made.secret)

    @router.delete("/{webhook}", status_code=204)
    async def delete_webhook(webhook: Id, caller: Owner) -> Response:
        """Remove a webhook and its log."""
        await gateway.webhooks.remove(caller.user.id, webhook)
        return Response(status_code=204)

    @router.post("/{webhook}/enable")
    async def enable_webhook(webhook: Id, caller: Owner) -> WebhookShape:
        """Tell a webhook again that was disabled."""
        return _shape(await gateway.webhooks.enable(caller.user.id, webhook))

    @router.get("/{webhook}/deliveries")
    async def list_deliveries(
        webhook: Id, caller: Reader, limit: Annotated[int, Query(ge=1, le=MOST)] = 50
    ) -> DeliveryList:
        """What a webhook was told, newest first."""
        found = await gateway.webhooks.deliveries(caller.user.id, webhook)
        return DeliveryList(items=[_told(delivery) for delivery in found[:limit]])

    @router.post("/{webhook}/deliveries/{event}/replay", status_code=202)
    async def replay_delivery(webhook: Id, event: EventId, caller: Owner) -> DeliveryShape:
        """Tell an event again, under the same id."""
        return _told(await gateway.webhooks.replay(caller.user.id, webhook, event))

    return router


def _shape(webhook: Webhook) -> WebhookShape:
    return WebhookShape(
        id=webhook.id,
        url=webhook.url,
        events=list(webhook.events),
        created=webhook.created.isoformat(),
        enabled=webhook.disabled is None,
        disabled_because=webhook.disabled,
    )


def _told(delivery: Delivery) -> DeliveryShape:
    is_pending = delivery.state.value == "pending"
    return DeliveryShape(
        id=delivery.event,
        type=delivery.type,
        job=delivery.job,
        state=delivery.state.value,
        created=delivery.created.isoformat(),
        next=delivery.next.isoformat() if is_pending else None,
        attempts=[AttemptShape(at=a.at.isoformat(), status=a.status) for a in delivery.attempts],
    )
