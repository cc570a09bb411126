"""A gateway inside of a program that does something else as well, on a free port of this machine.

`run.py` is the gateway as a program of its own. Here the gateway was opened by somebody else, who
knows its upstream and its settings: for `heliograph chaos`, and for programs that embed one.
Invariant: what is served, and how it stops, is what `heliograph serve` does, line by line.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from heliograph.server.app import build
from heliograph.server.gateway import Gateway
from heliograph.server.run import _config, _Server, address_of, take_port

HERE = "127.0.0.1"


async def serve_here(
    gateway: Gateway, begun: Callable[[str], None], say: Callable[[str], None]
) -> int:
    """Serve until SIGTERM or Ctrl-C, and drain.

    Args:
        begun: told the address, once it answers.
        say: told which calls are still under way when it stops.

    Returns:
        The exit code: 0 after a drain, 130 when somebody insisted.
    """
    with take_port(HERE, 0) as port:
        url = address_of(HERE, port)
        server = _Server(_config(build(gateway)), gateway, begun=lambda: begun(url), say=say)
        return await server.run_until_stopped(port)


@asynccontextmanager
async def served(gateway: Gateway) -> AsyncIterator[str]:
    """The address of a gateway, which is served until this is left; signals are left alone."""
    ready = asyncio.Event()
    with take_port(HERE, 0) as port:
        server = _Server(_config(build(gateway)), gateway, begun=ready.set, say=_nobody)
        serving = asyncio.ensure_future(server.serve(sockets=[port]))
        try:
            await ready.wait()
            yield address_of(HERE, port)
        finally:
            server.should_exit = True
            await serving


def _nobody(_line: str) -> None:
    """There is nobody to speak to."""
