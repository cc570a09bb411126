"""Opens the gateway that a trial with a face goes through, and makes whom it lets in.

Invariant: the gateway's upstream is the emulator whatever the environment says, and its limits are
so wide that only what a row is about can refuse a request.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heliograph.accounts import SCOPES, ApiKey, Role, User, digest, key_id, new_id, new_key
from heliograph.chaos.working import Ground
from heliograph.ports import Accounts, Observer
from heliograph.server.gateway import Gateway
from heliograph.server.opening import open_gateway
from heliograph.server.revocations import bring_together
from heliograph.server.secrets import open_secrets
from heliograph.storage import open_storage

WIDE = {"server_user_per_minute": 1_000_000, "server_drain": 60.0}
SECRETS = "server"  # folder below a library


async def admit(home: Path) -> tuple[str, str]:
    """Let a member and an admin into a library's gateway; the texts of their keys."""
    pepper = open_secrets(home / SECRETS).pepper
    storage = open_storage(home)
    try:
        member = await _let_in(storage.accounts, "member", Role.MEMBER, pepper)
        admin = await _let_in(storage.accounts, "admin", Role.ADMIN, pepper)
    finally:
        await storage.close()
    return member, admin


async def _let_in(accounts: Accounts, name: str, role: Role, pepper: bytes) -> str:
    now, text = datetime.now(UTC), new_key()
    user = User(id=new_id(), name=name, role=role, created=now, changed=now)
    await accounts.add_user(user)
    key = ApiKey(
        id=key_id(text) or "",
        user=user.id,
        name="chaos",
        digest=digest(text, pepper),
        scopes=tuple(sorted(SCOPES[role], key=lambda scope: scope.value)),
        created=now,
    )
    await accounts.add_key(key)
    return text


@asynccontextmanager
async def open_gateway_at(
    ground: Ground, observer: Observer | None = None
) -> AsyncIterator[Gateway]:
    """A gateway on the library of a trial, not served yet."""
    settings: dict[str, Any] = {"workers": 1, **WIDE, **ground.settings}
    async with open_gateway(
        home=ground.home,
        simulate=False,
        base_url=ground.base_url or ground.desk.url,
        api_key=ground.keys,
        settings=settings,
        observer=observer,
    ) as gateway:
        await bring_together(gateway.accounts, [ground.home / SECRETS])
        yield gateway
