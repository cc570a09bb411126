"""The one way to send something to an address that a user gave.

Source: reliability.md section 7. Invariant: what is connected to is an address that was looked up,
judged and pinned here, never what a name says a moment later; nothing is followed, nothing from
the environment is used, and what went wrong is never told apart for the user.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from heliograph.errors import ConfigurationError

TIMEOUT = 15.0  # seconds for everything: name, connection, answer
MOST = 64 << 10  # bytes of an answer that are read
LONGEST = 2000  # characters of an address
PORT = 443

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# names are ASCII, have at least two labels, and never end like a number
_LABEL = r"(?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = rf"(?=[^/?:]{{1,253}}(?:[/?:]|\Z))(?:[a-z0-9]{_LABEL}\.)+[a-z]{_LABEL}"
_HOST = re.compile(_NAME, re.ASCII)
_REST = r"(?:[/?](?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
_SECURE = re.compile(rf"https://(?P<host>{_NAME})(?::443)?{_REST}", re.ASCII)
_LOOPBACK = re.compile(rf"http://localhost:(?P<port>[1-9][0-9]{{0,4}}){_REST}", re.ASCII)
_LISTED_LOOPBACK = re.compile(r"localhost:([1-9][0-9]{0,4})", re.ASCII)
# names that mean this machine, this network, or what a cloud tells its machines
_INSIDE = (
    *("localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp"),
    *("private", "arpa", "onion", "invalid", "metadata.goog", "metadata.azure.com"),
)
_DENIED = tuple(
    ipaddress.ip_network(net)
    for net in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # Azure's own services, reachable from its machines only
        # of IPv6 all that is no global unicast is refused; these parts of it are, too: Teredo and
        # its neighbours, documentation, 6to4
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
_UNICAST = ipaddress.ip_network("2000::/3")


class TargetRefused(Exception):
    """This address is not called: its form, its name or what the name stands for is not allowed."""


class NotDelivered(Exception):
    """There was no answer."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What the other side said."""

    status: int  # of HTTP
    retry_after: float | None = None  # seconds


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Which hosts may be called."""

    names: frozenset[str] = frozenset()
    any_public: bool = False
    loopback: frozenset[int] = frozenset()  # ports of this machine, by plain HTTP

    @classmethod
    def of(cls, text: str) -> "Allowed":
        """From a list with commas: names, `*` for any public one, `localhost:PORT`.

        Raises:
            ConfigurationError: an entry is none of these.
        """
        names, ports, any_public = set(), set(), False
        for entry in filter(None, (part.strip().lower() for part in text.split(","))):
            local = _LISTED_LOOPBACK.fullmatch(entry)
            if entry == "*":
                any_public = True
            elif local:
                ports.add(int(local[1]))
            elif _HOST.fullmatch(entry):
                names.add(entry)
            else:
                raise ConfigurationError(
                    f"{entry!r} is no host that can be allowed.",
                    remedy="Give names such as hooks.example.com, separated by commas.",
                )
        return cls(names=frozenset(names), any_public=any_public, loopback=frozenset(ports))

    @property
    def is_empty(self) -> bool:
        """Whether nothing may be called."""
        return not (self.names or self.any_public or self.loopback)


@dataclass(frozen=True, kw_only=True)
class Target:
    """An address of allowed form, and what its name stands for."""

    url: str
    host: str
    addresses: tuple[str, ...]


class Outbound:
    """Sends to allowed hosts.

    Args:
        allowed: which they are.
        resolve: what a name stands for; the system's own by default.
        context: whom TLS trusts; the system's authorities by default.
    """

    def __init__(
        self,
        allowed: Allowed,
        *,
        resolve: Resolve | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.allowed = allowed
        self._resolve = resolve or look_up
        self._context = context

    async def admit(self, url: str) -> Target:
        """Judge an address; nothing is connected to.

        Raises:
            TargetRefused: it may not be called, or its name stands for nothing.
        """
        local = _LOOPBACK.fullmatch(url)
        if len(url) <= LONGEST and local and int(local["port"]) in self.allowed.loopback:
            return Target(url=url, host="localhost", addresses=("127.0.0.1", "::1"))
        host = host_of(url)
        is_listed = host in self.allowed.names
        if not is_listed and not (self.allowed.any_public and not _is_inside(host)):
            raise TargetRefused(host)
        try:
            async with asyncio.timeout(TIMEOUT):
                addresses = tuple(await self._resolve(host, PORT))
        except (OSError, UnicodeError) as error:  # a TimeoutError is an OSError
            raise TargetRefused(host) from error
        if not addresses or not all(map(is_public, addresses)):
            raise TargetRefused(host)
        return Target(url=url, host=host, addresses=addresses)

    async def safe_post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Send once; what comes back is read, up to a limit, and thrown away.

        Raises:
            TargetRefused: it may not be called (any more).
            NotDelivered: no answer in time.
        """
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._post(await self.admit(url), body, headers)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotDelivered(type(error).__name__) from error

    async def _post(self, target: Target, body: bytes, headers: Mapping[str, str]) -> Answered:
        connector = aiohttp.TCPConnector(
            resolver=_Pinned(target), use_dns_cache=False, force_close=True, ssl=self._trust()
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                headers={"user-agent": "heliograph", "accept-encoding": "identity"},
            ) as session,
            session.post(
                URL(target.url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as answer,
        ):
            left = MOST
            while left > 0 and (piece := await answer.content.read(min(left, 16 << 10))):
                left -= len(piece)
            told = answer.headers.get("retry-after", "")
            after = float(told) if re.fullmatch(r"[0-9]{1,6}", told, re.ASCII) else None
            return Answered(status=answer.status, retry_after=after)

    def _trust(self) -> ssl.SSLContext | bool:
        return True if self._context is None else self._context


class _Pinned(AbstractResolver):
    """Knows one name, and only what was judged of it."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        if host != self._target.host:
            raise OSError("the client connects elsewhere than was judged")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._target.addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def host_of(url: str) -> str:
    """The host of an address of allowed form, by port 443 of HTTPS.

    Raises:
        TargetRefused: it has another form.
    """
    found = _SECURE.fullmatch(url) if len(url) <= LONGEST else None
    # the client that connects must read the address as it was read here
    if found is None or URL(url, encoded=True).host != found["host"]:
        raise TargetRefused("form")
    return found["host"]


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public Internet, and to nothing else."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and (found.scope_id or found not in _UNICAST):
        return False
    return found.is_global and not any(found in net for net in _DENIED)


def _is_inside(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in _INSIDE)


async def look_up(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, as the system knows them.

    A look-up can hang for half a minute without a network, and the event loop would wait for it at
    its end; a daemon thread is left behind instead.

    Raises:
        OSError: the name stands for nothing.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Sequence[str]] = loop.create_future()

    def tell(found: Sequence[str] | OSError) -> None:
        if done.done():
            return  # nobody waits any more
        if isinstance(found, OSError):
            done.set_exception(found)
        else:
            done.set_result(found)

    def work() -> None:
        found: Sequence[str] | OSError
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = [str(info[4][0]) for info in infos]
        except (OSError, UnicodeError) as error:
            found = error if isinstance(error, OSError) else OSError(str(error))
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=work, name="heliograph-outbound", daemon=True).start()
    return await done
