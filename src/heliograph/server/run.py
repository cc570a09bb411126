"""Runs the gateway in this process: start, signals, drain, end.

    refuse what is unsafe → take the port → open → first admin → listen → drain → close

Invariant: it answers only when everything is in place, and on a public address only when somebody
has a key; after a stop signal it answers "not ready" at once, takes nothing that costs money, and
ends when the calls under way have ended, or at the limit, saying which have not.
"""

import asyncio
import base64
import errno
import ipaddress
import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from heliograph.accounts import SCOPES, ApiKey, Role, User, digest, key_id, new_id, new_key
from heliograph.errors import ConfigurationError, MissingKey
from heliograph.journal import OPEN
from heliograph.observe import fan_out
from heliograph.ports import Event, Observer
from heliograph.server.gateway import Gateway
from heliograph.server.hardening import serving_options
from heliograph.server.logs import RequestWatch, log_request, stop_logs, write_logs
from heliograph.server.metrics import Metrics
from heliograph.server.opening import open_gateway
from heliograph.server.redaction import Redactor
from heliograph.server.revocations import bring_together
from heliograph.server.secrets import secrets_folder
from heliograph.server.telemetry import Telemetry
from heliograph.settings import Settings, find_keys, load_settings

LOG = logging.getLogger("heliograph.server")
LAST_BYTES = 10.0  # seconds for answers that are being sent when everything else is done
BACKLOG = 4096
MOST_CALLS = 1000  # that are named at a stop
INTERRUPTED = 130  # exit code
ADMIN = "admin"  # name of the first user
PASSWORD_SETTINGS = ("database_url", "blobs_url", "server_redis", "base_url")

Build = Callable[[Gateway, Metrics], ASGIApp]  # `app.build`


@dataclass(frozen=True, kw_only=True)
class Order:
    """What `heliograph serve` was asked for; None means as the settings say."""

    host: str | None = None
    port: int | None = None
    home: Path | None = None
    simulate: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Started:
    """What there is to tell once the gateway listens."""

    url: str
    home: Path
    simulated: bool
    keyless: bool  # nothing was said about the emulator; it is used because there is no key
    admin_key: str | None = field(repr=False)  # text of the first key of all, this once
    others: tuple[int, ...]  # processes that use the same library


@dataclass(frozen=True, kw_only=True)
class Voice:
    """How the process that runs the gateway speaks to people."""

    started: Callable[[Started], None]
    say: Callable[[str], None]


def run(order: Order, voice: Voice, build: Build) -> int:
    """Serve until a signal comes.

    Returns:
        The exit code: 0 after a drain, 130 when somebody insisted.

    Raises:
        HeliographError: it cannot start like this; nothing listens.
    """
    if sys.platform == "win32":
        return asyncio.run(_serve(order, voice, build))
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(order, voice, build))


async def _serve(order: Order, voice: Voice, build: Build) -> int:
    settings = load_settings(home=order.home, server_host=order.host, server_port=order.port)
    redactor = Redactor(_known_secrets(settings))
    keyless = order.simulate is None and _has_no_key(settings)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        handler = write_logs(redactor)
        stack.callback(stop_logs, handler)
        port = take_port(settings.server_host, settings.server_port)
        stack.callback(port.close)
        observers: list[Observer] = [metrics.observe, _tell_recovered]
        if settings.server_telemetry:
            telemetry = Telemetry()
            stack.callback(telemetry.close)
            observers.append(telemetry.observe)
        gateway = await stack.enter_async_context(
            open_gateway(
                home=order.home,
                simulate=True if keyless else order.simulate,
                settings={"server_host": order.host, "server_port": order.port},
                observer=fan_out(*observers),
            )
        )
        redactor.add(*_spelled(gateway.secrets.texts()))
        await bring_together(gateway.accounts, [secrets_folder(settings)])
        admin_key = await _first_admin(gateway)
        metrics.look_up("jobs_waiting", lambda: gateway.admission.waiting)
        metrics.look_up("jobs_under_way", lambda: gateway.admission.under_way)
        ticking = asyncio.ensure_future(metrics.ticking())
        stack.callback(ticking.cancel)
        app = RequestWatch(build(gateway, metrics), sinks=[metrics.served, log_request])
        started = Started(
            url=settings.server_url or address_of(settings.server_host, port),
            home=settings.home,
            simulated=gateway.simulated,
            keyless=keyless,
            admin_key=admin_key,
            others=await gateway.client.other_processes(),
        )
        server = _Server(_config(app), gateway, begun=lambda: voice.started(started), say=voice.say)
        return await server.run_until_stopped(port)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="auto",
        log_config=None,
        backlog=BACKLOG,
        **serving_options(),
        # without it uvicorn waits for ever for clients that do not read
        timeout_graceful_shutdown=math.ceil(LAST_BYTES),
    )


class _Server(uvicorn.Server):
    """uvicorn, but a stop signal first drains, while probes are still answered."""

    def __init__(
        self,
        config: uvicorn.Config,
        gateway: Gateway,
        *,
        begun: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._begun = begun
        self._say = say
        self._draining: asyncio.Task[None] | None = None
        self._insists = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours are installed already; uvicorn's would close the port at once."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and tell that it does."""
        await super().startup(sockets)
        self._begun()

    async def run_until_stopped(self, port: socket.socket) -> int:
        """Serve on a bound socket, and return the exit code."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        if sys.platform != "win32":
            for number in signals:
                loop.add_signal_handler(number, self._stop, number)
        try:
            await self.serve(sockets=[port])
        finally:
            if sys.platform != "win32":
                for number in signals:
                    loop.remove_signal_handler(number)
            if self._draining is not None:
                self._draining.cancel()
            # what is still under way is written down as unknown; nobody waits a second time
            await self._gateway.close()
        return INTERRUPTED if self._insists else 0

    def _stop(self, number: int) -> None:
        if self._draining is None:
            LOG.info("stopping", extra={"signal": signal.Signals(number).name})
            self._gateway.is_draining = True
            self._draining = asyncio.ensure_future(self._drain(number))
        elif number == signal.SIGINT:
            self._insists = True
            self.force_exit = True
            self.should_exit = True

    async def _drain(self, number: int) -> None:
        seconds = self._gateway.settings.server_drain
        try:
            calls = await self._gateway.client.calls(stages=OPEN, limit=MOST_CALLS)
            if calls:
                names = [call.id for call in reversed(calls)]
                hint = "; Ctrl-C again stops at once" if number == signal.SIGINT else ""
                self._say(f"stopping after the calls under way: {', '.join(names)}{hint}")
                LOG.info("calls under way", extra={"calls": names})
            left = await self._gateway.drain(seconds)
            if left:
                calls = await self._gateway.client.calls(stages=OPEN, limit=MOST_CALLS)
                names = [call.id for call in reversed(calls)]
                self._say(
                    f"not finished after {seconds:g} s, and written down as unknown: "
                    f"{', '.join(names)} (heliograph calls list --doubtful)"
                )
                LOG.error("calls not finished", extra={"calls": names, "open": list(left)})
                # before the connections end: those who wait are told what became of their call
                await self._gateway.close()
        finally:
            self.should_exit = True


# ------------------------------------------------------------ before it listens


def take_port(host: str, port: int) -> socket.socket:
    """A socket that is bound and does not listen yet.

    Raises:
        ConfigurationError: another process has the port, or there is no such address here.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        taken = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _no_address(host, error) from error
    try:
        if os.name == "posix":
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        # two that are bound may wait side by side; who comes second learns it here alone
        taken.listen(BACKLOG)
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"The port {port} on {host} is taken.",
                why="Another process listens there, perhaps another gateway.",
                remedy="Choose another: heliograph serve --port 8701 (0 takes any).",
            ) from error
        if error.errno == errno.EACCES:
            raise ConfigurationError(
                f"The port {port} may not be used by this user.",
                remedy="Take one above 1023, and let a proxy listen on the other.",
            ) from error
        raise _no_address(host, error) from error
    taken.setblocking(False)
    return taken


def _no_address(host: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{host} is no address of this machine.",
        why=error.strerror,
        remedy="Use 127.0.0.1 for this machine alone, or 0.0.0.0 for all its addresses.",
    )


def address_of(host: str, port: socket.socket) -> str:
    """The address as people write it."""
    number = port.getsockname()[1]
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  compared, not bound
        host = "127.0.0.1" if host != "::" else "::1"
    return f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"


def is_public(host: str) -> bool:
    """Whether others than this machine can reach an address."""
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() != "localhost"


async def refuse_public(gateway: Gateway) -> None:
    """S14: on a public address there must be somebody to let in, so that nobody else can be.

    Raises:
        ConfigurationError: there is no user with a good key.
    """
    host = gateway.settings.server_host
    if not is_public(host):
        return
    now = datetime.now(UTC)
    users = {user.id for user in await gateway.accounts.users() if not user.disabled}
    if any(key.user in users and key.is_good(now) for key in await gateway.accounts.keys()):
        return
    raise ConfigurationError(
        f"The gateway does not listen on {host} while nobody has a key.",
        why="Other machines can reach that address.",
        remedy="First: heliograph users add NAME --role admin; heliograph keys create NAME. "
        "And put TLS in front.",
    )


async def _first_admin(gateway: Gateway) -> str | None:
    """The key of the first admin, when there is no user at all."""
    await refuse_public(gateway)
    if await gateway.accounts.users():
        return None
    now = datetime.now(UTC)
    user = User(id=new_id(), name=ADMIN, role=Role.ADMIN, created=now, changed=now)
    await gateway.accounts.add_user(user)
    text = new_key()
    key = ApiKey(
        id=key_id(text) or "",
        user=user.id,
        name="first",
        digest=digest(text, gateway.secrets.pepper),
        scopes=tuple(sorted(SCOPES[Role.ADMIN], key=lambda scope: scope.value)),
        created=now,
    )
    await gateway.accounts.add_key(key)
    return text


def _has_no_key(settings: Settings) -> bool:
    """Whether calls can only go to the emulator, though nobody asked for it."""
    if settings.simulate or settings.base_url:
        return False
    try:
        find_keys(settings)
    except MissingKey:
        return True
    return False


def _known_secrets(settings: Settings) -> Iterator[str]:
    """What must appear in no log: keys that pay, and passwords inside of addresses."""
    with suppress(ConfigurationError):  # there are none, or it is told where they are needed
        yield from (key.secret for key in find_keys(settings))
    for name in PASSWORD_SETTINGS:
        address = str(getattr(settings, name) or "")
        password = address.partition("://")[2].rpartition("@")[0].partition(":")[2]
        if password:
            yield password


def _spelled(texts: tuple[str, ...]) -> Iterator[str]:
    """Secrets of ours stand in files as digits and are used as bytes."""
    for text in texts:
        yield text
        yield base64.b64encode(bytes.fromhex(text)).decode()


def _tell_recovered(event: Event) -> None:
    if event.name in ("recovered", "not recovered", "shared"):
        facts: dict[str, Any] = {"event": event.name, "job": event.job or None}
        LOG.info(event.name, extra={**facts, "call": event.facts.get("call")})
