"""What `heliograph doctor --server` looks at besides.

Invariant: nothing is made or changed; secrets are read where they are there, and never shown.
"""

import asyncio
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from heliograph.accounts import Role
from heliograph.cli.check import OTHER, Check, State, failed
from heliograph.cli.screen import size_text
from heliograph.cli.session import open_library
from heliograph.errors import ConfigurationError, StorageError
from heliograph.server.health import LEAST_FREE
from heliograph.server.metrics import wal_bytes
from heliograph.server.run import is_public, take_port
from heliograph.server.secrets import holds_none, open_secrets, secrets_folder
from heliograph.settings import Settings

LARGE_LOG = 64 << 20  # bytes of a write-ahead log (reliability.md section 5)


async def examine_server(settings: Settings, home: Path | None) -> list[Check]:
    """All checks of the gateway, in order."""
    users, keys = await _users(home)
    secrets = await asyncio.to_thread(check_secrets, secrets_folder(settings), keys=keys)
    return [
        secrets,
        users,
        check_address(settings, has_key=bool(keys)),
        await asyncio.to_thread(check_port, settings.server_host, settings.server_port),
        *await asyncio.to_thread(lambda: [check_room(settings.home), check_log(settings.home)]),
        *check_choices(settings),
    ]


def check_secrets(folder: Path, *, keys: int) -> Check:
    """The gateway's own secrets; those that are not there are made at the first start.

    Args:
        keys: so many are good if the secrets are those that they were made with.
    """
    if holds_none(folder) and keys:
        return Check(
            name="secrets",
            state=State.WARN,
            finding=f"none in {folder}; keys that were made with them, and get 401: {keys}",
            remedy="Put your copy of the secrets there before the gateway starts; it makes new "
            "ones, with which keys must be made anew.",
        )
    if holds_none(folder):
        return Check(name="secrets", finding=f"none in {folder} yet; the first start makes them")
    try:
        open_secrets(folder)
    except ConfigurationError as error:
        return failed("secrets", error, OTHER)
    return Check(name="secrets", finding=f"{folder} holds them, for its owner alone")


async def _users(home: Path | None) -> tuple[Check, int]:
    """Who may log in, and with how many keys."""
    try:
        async with open_library(home) as client:
            accounts = (await client.store()).accounts
            users, keys = await accounts.users(), await accounts.keys()
    except (StorageError, ConfigurationError) as error:
        return failed("users", error, OTHER), 0
    now = datetime.now(UTC)
    let_in = {user.id for user in users if not user.disabled}
    good = [key for key in keys if key.user in let_in and key.is_good(now)]
    if not users:
        return Check(name="users", finding="none; the first start makes an admin"), 0
    finding = f"{len(let_in)} of {len(users)} may log in, with {len(good)} keys"
    admins = {user.id for user in users if user.role is Role.ADMIN}
    if not any(key.user in admins for key in good):
        remedy = "Make a key: heliograph keys create NAME"
        return (
            Check(
                name="users",
                state=State.WARN,
                finding=f"{finding}; no admin has a key",
                remedy=remedy,
            ),
            len(good),
        )
    return Check(name="users", finding=finding), len(good)


def check_address(settings: Settings, *, has_key: bool) -> Check:
    """Who can reach the gateway, and whether that is safe."""
    host, url = settings.server_host, settings.server_url
    if not is_public(host):
        return Check(name="address", finding=f"{host}, for this machine" + _seen(url))
    if not has_key:
        return Check(
            name="address",
            state=State.FAIL,
            finding=f"{host} can be reached by others, and nobody has a key: it does not start",
            remedy="heliograph users add NAME --role admin; heliograph keys create NAME",
            exit_code=OTHER,
        )
    if url is None or not url.startswith("https://"):
        return Check(
            name="address",
            state=State.WARN,
            finding=f"{host} can be reached by others" + _seen(url),
            remedy="Put TLS in front, and set server_url to its https:// address; keys travel in "
            "every request.",
        )
    return Check(name="address", finding=f"{host}" + _seen(url))


def _seen(url: str | None) -> str:
    return f", seen as {url}" if url else ""


def check_port(host: str, port: int) -> Check:
    """Whether the port is free; the gateway itself may have it."""
    try:
        take_port(host, port).close()
    except ConfigurationError as error:
        return Check(name="port", state=State.WARN, finding=error.what, remedy=error.remedy)
    return Check(name="port", finding=f"{port} is free" if port else "any that is free")


def check_room(home: Path) -> Check:
    """Free bytes against the disk guard."""
    place = next(p for p in (home.absolute(), *home.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(place).free
    finding = f"{free / 10**9:.1f} GB are free; below {LEAST_FREE / 10**9:g} GB no call is made"
    if free < 2 * LEAST_FREE:
        return Check(
            name="room",
            state=State.FAIL if free < LEAST_FREE else State.WARN,
            finding=finding,
            remedy="Make room, or move the library to a larger disk.",
            exit_code=OTHER,
        )
    return Check(name="room", finding=finding)


def check_log(home: Path) -> Check:
    """Size of the database's write-ahead log."""
    size = wal_bytes(home)
    if size > LARGE_LOG:
        return Check(
            name="log",
            state=State.WARN,
            finding=f"the database's write-ahead log has {size_text(size)}",
            remedy="Some process reads without end; start the gateway again.",
        )
    return Check(name="log", finding=f"the database's write-ahead log has {size_text(size)}")


def check_choices(settings: Settings) -> Iterator[Check]:
    """Settings that are allowed, and worth a second look."""
    drain, begin = settings.server_drain, settings.answer_timeout
    for is_so, finding, remedy in (
        (
            settings.server_query_keys,
            "keys are accepted in addresses (server_query_keys)",
            "Proxies write addresses into their logs; use headers where you can.",
        ),
        (
            settings.server_metrics == "open",
            "anybody may read the metrics (server_metrics)",
            "Set it to local or key.",
        ),
        (
            settings.server_webhook_hosts.strip() == "*",
            "webhooks may go to any public host (server_webhook_hosts)",
            "Name the hosts.",
        ),
        (
            drain < begin,
            f"after SIGTERM calls have {drain:g} s to end, and {begin:g} s to begin to answer",
            "Raise server_drain, or calls will be cut off and stay in doubt.",
        ),
    ):
        if is_so:
            yield Check(name="choice", state=State.WARN, finding=finding, remedy=remedy)
