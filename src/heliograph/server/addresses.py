"""Where a request comes from, what it calls us, and whether its address is written plainly.

Invariant: nothing a client can write is believed about addresses. `X-Forwarded-For` and
`X-Forwarded-Proto` count only as far as the proxies that the operator names have written them,
`Host` only if it is one of ours, and a path has one spelling, so that what guards a route and what
serves it see the same one (S12, S13).
"""

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.types import Scope

from heliograph.errors import ConfigurationError
from heliograph.server.faults import Fault
from heliograph.settings import Settings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
UNKNOWN = "unknown"  # the address of a client behind a Unix socket
MOST_HOPS = 20  # entries of X-Forwarded-For that are looked at
BLOCK = 64  # bits of an IPv6 address that one customer has
REMEMBERED = 4096  # texts of addresses that were read lately; clients come again and again
MOST_HOSTS = 256  # pairs of a host's name and our address that were found to be ours
HOST = re.compile(
    r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?)(?::(?P<port>\d{1,5}))?",
    re.ASCII,
)
# encoded: controls, dots, slashes, backslashes, semicolons; plain: the same, and empty or dot
# segments. Anything of these has a second, simpler spelling, or none that we serve.
ODD_PATH = re.compile(
    rb"//|\\|;|[\x00-\x20\x7f-\xff]|%(?![0-9a-fA-F]{2})|%(?:[01][0-9a-fA-F]|7[fF]|2[eEfF]|5[cC]|3[bB])"
    rb"|/\.{1,2}(?:/|$)"
)


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Who is who on the network."""

    hosts: frozenset[str]  # names that requests may use, beside this machine's own
    proxies: tuple[Network, ...] = ()
    url: str | None = None  # how clients reach the gateway
    local: frozenset[str] = field(default_factory=lambda: frozenset({"localhost"}))
    # good ones alone: what is refused is looked at each time, and fills no memory
    _good: set[tuple[str, str | None]] = field(default_factory=set, repr=False, compare=False)
    _plain: Callable[[str], str] = field(
        default_factory=lambda: lru_cache(maxsize=REMEMBERED)(_plain), repr=False, compare=False
    )

    def client(self, scope: Scope) -> str:
        """The client's address: the last one that no trusted proxy stands behind."""
        peer = scope.get("client")
        if peer and not self.proxies:
            return self._plain(peer[0])
        address = _address(peer[0]) if peer else None
        if address is None:
            return UNKNOWN
        for hop in self._hops(scope):
            if not self._is_proxy(address):
                break
            named = _address(hop)
            if named is None:
                break  # whoever wrote that is the last one that is known
            address = named
        return str(address)

    def scheme(self, scope: Scope) -> str:
        """Whether the client speaks "http" or "https", as far as is known."""
        peer = scope.get("client")
        address = _address(peer[0]) if peer else None
        if address is not None and self._is_proxy(address):
            # the last word is that of the proxy that we know
            told = ",".join(_values(scope, b"x-forwarded-proto")).rpartition(",")[2].strip().lower()
            if told in ("http", "https"):
                return told
        return str(scope.get("scheme", "http"))

    def base(self, scope: Scope) -> str:
        """The address for links, without a slash at its end.

        Raises:
            Fault: as `check_host`.
        """
        if self.url is not None:
            return self.url.rstrip("/")
        return f"{self.scheme(scope)}://{self.check_host(scope)}"

    def check_host(self, scope: Scope) -> str:
        """The one `Host` of a request, in lower case, with its port if it has one.

        Raises:
            Fault: there is none, more than one, or one that is not ours.
        """
        told = _values(scope, b"host")
        host = told[0].strip().lower() if len(told) == 1 else ""
        server = scope.get("server")
        pair = host, server[0] if server else None
        if pair in self._good:
            return host
        found = HOST.fullmatch(host)
        if found is None or int(found["port"] or 0) > 65535:
            raise Fault("The request names no valid host.", remedy="Send one `Host` header.")
        if not self._is_ours(found["name"], pair[1]):
            raise Fault(
                "This gateway does not answer to that host name.",
                remedy="Use its own address, or let the operator add the name to `server_hosts`.",
            )
        if len(self._good) >= MOST_HOSTS:
            self._good.clear()
        self._good.add(pair)
        return host

    def _is_ours(self, name: str, here: str | None) -> bool:
        if name in self.hosts or name in self.local:
            return True
        address = _address(name.strip("[]"))
        if address is None:
            return False
        # an address cannot be rebound as a name can: it is ours if the connection came to it
        arrived = _address(here) if here else None
        return address.is_loopback or address == arrived

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self.proxies)

    def _hops(self, scope: Scope) -> list[str]:
        """Nearest first."""
        told = ",".join(_values(scope, b"x-forwarded-for"))
        return [hop.strip() for hop in reversed(told.split(",")[-MOST_HOPS:])] if told else []


def open_addresses(settings: Settings) -> Addresses:
    """The addresses that an operator has set.

    Raises:
        ConfigurationError: one of them is none.
    """
    hosts = {name.strip().lower() for name in settings.server_hosts.split(",") if name.strip()}
    for name in hosts:
        if not HOST.fullmatch(name) or ":" in name.partition("]")[2] or name.count(":") == 1:
            raise _no_address("server_hosts", name, "a host name without a port")
    if settings.server_url is not None:
        hosts.add((urlsplit(settings.server_url).hostname or "").lower())
    proxies = []
    for text in (part.strip() for part in settings.server_proxies.split(",")):
        if not text:
            continue
        try:
            proxies.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise _no_address("server_proxies", text, "an address or a network") from error
    return Addresses(
        hosts=frozenset(hosts),
        proxies=tuple(proxies),
        url=settings.server_url,
        local=frozenset({"localhost", socket.gethostname().lower()}),
    )


def check_path(scope: Scope) -> None:
    """Whether a path is written plainly.

    Raises:
        Fault: it has empty or dot segments, or encodes what would make such, or is no UTF-8.
    """
    raw = scope.get("raw_path") or str(scope["path"]).encode()
    if not raw.startswith(b"/") or ODD_PATH.search(raw):
        raise Fault("The path is not written plainly.", remedy="Write it as in the documentation.")
    if b"%" not in raw:
        return  # ASCII, by what is refused above
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise Fault("The path is no UTF-8.") from None


def block_of(address: str) -> str:
    """What is counted as one client: an IPv4 address, or the /64 of an IPv6 one."""
    found = _address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, BLOCK), strict=False))
    return address


def is_loopback(address: str) -> bool:
    """Whether a client's address is of this machine."""
    found = _address(address)
    return found is not None and found.is_loopback


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _plain(text: str) -> str:
    """An address in its usual spelling."""
    address = _address(text)
    return UNKNOWN if address is None else str(address)


def _address(text: str) -> Address | None:
    """An address, with or without a port; IPv4 in IPv6 is IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _no_address(setting: str, text: str, wanted: str) -> ConfigurationError:
    return ConfigurationError(
        f"`{setting}` holds {text[:80]!r}, which is not {wanted}.",
        remedy="Correct it; several are separated by commas.",
    )
