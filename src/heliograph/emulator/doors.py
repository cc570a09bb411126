"""The ports: opened, closed for a while, opened again; invariant: a port never changes its number.

A closed port stays bound without listening, so that connections are refused by the kernel and no
other program can take the number meanwhile.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from socket import AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, SO_REUSEADDR, SOL_SOCKET, socket
from typing import Any

from aiohttp import web

from heliograph.emulator.envelope import misused
from heliograph.emulator.faults.contract import Certificate, Shut
from heliograph.emulator.settings import EmulatorSettings, StartError
from heliograph.emulator.tls import GOOD, KINDS, context

# Names of this machine for which the certificates hold.
_LOCAL = ("127.0.0.1", "::1", "localhost")
_BACKLOG = 128


@dataclass(kw_only=True)
class _Door:
    """One port, on each address of its host."""

    tls: ssl.SSLContext | None = None
    servers: list[asyncio.Server] = field(default_factory=list)
    held: list[socket] = field(default_factory=list)
    """The sockets that keep the number while the port is closed."""
    port: int = 0


class Doors:
    """Every port of one emulator."""

    def __init__(self, settings: EmulatorSettings) -> None:
        self._settings = settings
        self._connections: web.Server | None = None
        self._plain = _Door()
        self._tls: dict[str, _Door] = {}
        self._closed_until = 0.0
        self._closed: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._shown: Certificate | None = None
        self._shown_until = 0.0

    async def open(self, connections: web.Server) -> None:
        """Start to listen; StartError when a port is taken."""
        self._connections = connections
        settings, host, port = self._settings, self._settings.host, self._settings.port
        try:
            await self._listen(self._plain, host, port)
            if settings.tls:
                contexts = {kind: context(kind) for kind in KINDS}
                contexts[GOOD].sni_callback = self._choose(contexts)
                for kind, made in contexts.items():
                    self._tls[kind] = _Door(tls=made)
                    await self._listen(self._tls[kind], host, 0)
        except OSError as error:
            await self.close()
            raise StartError(f"cannot listen on {host}:{port}: {error}") from error

    @property
    def url(self) -> str:
        """Where plain HTTP is served."""
        host = self._settings.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self._plain.port}"

    @property
    def tls_urls(self) -> dict[str, str]:
        """Where HTTPS is served, by the kind of certificate."""
        host = "localhost" if self._settings.host in _LOCAL else self._settings.host
        return {kind: f"https://{host}:{door.port}" for kind, door in self._tls.items()}

    def strike(self, shut: Shut | None) -> None:
        """Close the ports, or show another certificate, for as long as a fault says."""
        if shut is None:
            return
        until = time.monotonic() + shut.seconds
        if shut.certificate is not None:
            if not self._tls:
                raise misused("Fault tls: this emulator has no TLS ports; start it with --tls.")
            self._shown, self._shown_until = shut.certificate, until
            return
        self._closed_until = max(self._closed_until, until)
        if self._closed is None and self._connections is not None:
            for door in self._doors():
                _close(door)
            # Idle connections end here, busy ones with their answer.
            self._connections.pre_shutdown()
            for connection in self._connections.connections:
                leaving = asyncio.create_task(connection.shutdown(None))
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)
            self._closed = asyncio.create_task(self._reopen())

    async def close(self) -> None:
        """Stop listening for good."""
        self._connections = None
        tasks = {*self._leaving, *([self._closed] if self._closed is not None else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for door in self._doors():
            for server in door.servers:
                server.close()
            for held in door.held:
                held.close()

    def _doors(self) -> list[_Door]:
        return [self._plain, *self._tls.values()]

    async def _listen(self, door: _Door, host: str, port: int) -> None:
        if self._connections is None:
            raise AssertionError("a door is opened before there is anybody to serve")
        server = await asyncio.get_running_loop().create_server(
            self._connections, host, port, ssl=door.tls, backlog=_BACKLOG
        )
        door.servers.append(server)
        door.port = int(server.sockets[0].getsockname()[1])

    async def _reopen(self) -> None:
        # More calls may be struck meanwhile, and keep the ports closed for longer.
        while (left := self._closed_until - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)
        connections = self._connections
        if connections is None:
            return
        for door in self._doors():
            while door.held:
                server = await asyncio.get_running_loop().create_server(
                    connections, sock=door.held[0], ssl=door.tls, backlog=_BACKLOG
                )
                door.servers.append(server)
                del door.held[0]
        self._closed = None

    def _choose(
        self, contexts: dict[str, ssl.SSLContext]
    ) -> Callable[[Any, str | None, ssl.SSLContext], None]:
        def choose(connection: Any, _name: str | None, _context: ssl.SSLContext) -> None:
            if self._shown is not None and time.monotonic() < self._shown_until:
                connection.context = contexts[self._shown]

        return choose


def _close(door: _Door) -> None:
    places = [
        (each.family, each.getsockname()) for server in door.servers for each in server.sockets
    ]
    for server in door.servers:
        server.close()
    door.servers.clear()
    for family, place in places:
        held = socket(family)
        held.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if family == AF_INET6:
            held.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
        held.bind(place)
        door.held.append(held)
