"""What every route of this face needs: the gateway, and who asks.

Invariant: an object of somebody else is not there: the same answer as for one that never was.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request

from heliograph.accounts import Scope
from heliograph.errors import RecordNotFound
from heliograph.server.caller import Caller
from heliograph.server.gateway import Gateway
from heliograph.server.headers import Manner, manner
from heliograph.server.pictures.links import signed_url
from heliograph.server.routes import requires
from heliograph.sessions import Sessions
from heliograph.types import Record
from heliograph.upstream import is_loopback


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The gateway, for one request."""

    gateway: Gateway
    caller: Caller
    base: str  # how clients reach the gateway
    manner: Manner

    def link(self, record_id: str, variant: str) -> str:
        """The address of one variant of a picture; it expires."""
        return signed_url(self.gateway, record_id, variant, base=self.base)

    def sees(self, owner: str | None) -> bool:
        """Whether something of this owner is there for the caller."""
        return self.caller.sees is None or owner == self.caller.sees

    async def record(self, record_id: str) -> Record:
        """A record that the caller may see, by its whole id, also one that lies in the trash.

        Raises:
            RecordNotFound: there is none, or it is somebody else's.
        """
        try:
            record = await self.gateway.store.books.find(record_id)
        except RecordNotFound:
            raise absent("image") from None
        if record.id != record_id or not self.sees(record.owner):
            raise absent("image")
        return record

    def sessions(self, *, own: bool = False) -> Sessions:
        """The sessions that the caller may see, or only its own."""
        client = self.gateway.client
        base_url = client.settings.base_url
        simulates = client.settings.simulate or (base_url is not None and is_loopback(base_url))
        owner = self.caller.user.id if own else self.caller.sees
        return Sessions(client.store, client.request, client.run, lambda: simulates, owner)


def _desk(request: Request) -> Desk:
    gateway: Gateway = request.app.state.gateway
    named = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
    return Desk(
        gateway=gateway,
        caller=request.state.caller,
        base=gateway.settings.server_url or named,
        manner=manner(request.headers),
    )


At = Annotated[Desk, Depends(_desk)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="The same key means the same request: one charge, however often it is sent. "
        "A UUID is a good one.",
        examples=["3f0f8c9e-1f0b-4a3c-9a55-2f6f3f1b7c11"],
    ),
]
Prefer = Annotated[
    str | None,
    Header(
        alias="Prefer",
        max_length=200,
        description="`wait=N` waits up to N seconds for the end of the job.",
        examples=["wait=60"],
    ),
]


def needs(scope: Scope) -> Any:
    """The dependency that lets in only who may do this; the table of routes is made of these."""
    return Depends(requires(scope))


def absent(what: str) -> RecordNotFound:
    """The one answer for what is not there and for what is somebody else's."""
    return RecordNotFound(f"There is no such {what}.", remedy="Lists show what there is.")
