"""The gateway as a process of its own; its first line says its address and keys, as JSON.

The users anna and ben are members, vera is a viewer, root an admin.
"""

import asyncio
import json
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from heliograph import accounts
from heliograph.accounts import SCOPES, ApiKey, Role, User, new_id
from heliograph.server.app import build
from heliograph.server.gateway import Gateway
from heliograph.server.opening import open_gateway

ROLES = {"anna": Role.MEMBER, "ben": Role.MEMBER, "vera": Role.VIEWER, "root": Role.ADMIN}


async def made_key(gateway: Gateway, name: str, role: Role) -> str:
    """The text of a new user's key."""
    now, text = datetime.now(UTC), accounts.new_key()
    user = User(id=new_id(), name=name, role=role, created=now, changed=now)
    await gateway.accounts.add_user(user)
    key = ApiKey(
        id=accounts.key_id(text) or "",
        user=user.id,
        name=name,
        digest=accounts.digest(text, gateway.secrets.pepper),
        scopes=tuple(SCOPES[role]),
        created=now,
    )
    await gateway.accounts.add_key(key)
    return text


async def main(home: str, upstream: str, settings: str) -> None:
    async with open_gateway(
        home=Path(home), base_url=upstream, api_key=f"key-{new_id()}", settings=json.loads(settings)
    ) as gateway:
        keys = {name: await made_key(gateway, name, role) for name, role in ROLES.items()}
        server = uvicorn.Server(uvicorn.Config(build(gateway), log_level="error", lifespan="off"))
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))

            async def until_told() -> None:
                while not server.started:  # noqa: ASYNC110 - it tells by this alone
                    await asyncio.sleep(0.01)
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                print(json.dumps({"url": url, "keys": keys}), flush=True)
                await asyncio.to_thread(sys.stdin.read)
                server.should_exit = True

            await asyncio.gather(server.serve([listener]), until_told())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
