"""Every test runs without the network, without the developer's keys and outside their library.

Invariant: this process reaches loopback addresses and Unix sockets, nothing else. An audit hook
holds that, so no test can patch its way out, and code that swallows `OSError` cannot hide an
attempt. Programs that tests start are our own and speak to loopback by construction; libraries
that open sockets in native code (obstore, libpq) are only ever given local addresses.
"""

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.engines"]

PRIVATE_TO_THE_DEVELOPER = ("HELIOGRAPH_", "GEMINI_", "GOOGLE_", "OPENAI_", "AWS_", "AZURE_")
NAMES_OF_THIS_MACHINE = {None, "", "localhost"}
LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
SENDS = {"socket.connect", "socket.sendto", "socket.sendmsg"}

# The same examples on every machine; `make soak` takes fresh ones, seed by seed.
settings.register_profile("check", deadline=None, derandomize=True, database=None)
settings.register_profile(
    "soak",
    deadline=None,
    max_examples=2000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("check")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What has a limit of its own takes longest: begun first, nobody waits for it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


class NetworkIsOff(Exception):
    """A test tried to leave this machine; deliberately no OSError."""


def _is_local(host: str | None) -> bool:
    if host in NAMES_OF_THIS_MACHINE:
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _stay_local(event: str, arguments: tuple[Any, ...]) -> None:
    if event in LOOKUPS:
        host = arguments[0]
    elif event in SENDS:
        sock, address = arguments
        if sock.family not in {socket.AF_INET, socket.AF_INET6} or address is None:
            return
        host = address[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if _is_local(host):
        return
    if event in LOOKUPS and str(host).endswith(".invalid"):
        # what every resolver must answer (RFC 6761), without asking one
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    raise NetworkIsOff(f"{event} to {host!r}: tests stay on loopback")


sys.addaudithook(_stay_local)

for _name in [n for n in os.environ if n.startswith(PRIVATE_TO_THE_DEVELOPER)]:
    del os.environ[_name]


@pytest.fixture(autouse=True, scope="session")
def _own_library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The default library folder of this run, so that no test can touch a real one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data-home")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config-home")))
        yield
