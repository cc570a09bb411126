"""A gateway in a process of its own, which may kill itself at a named point.

Invariant: it stops as `heliograph serve` does, at the same signals, with the same drain.
"""

from dataclasses import dataclass

from heliograph.chaos.housing import open_gateway_at
from heliograph.chaos.labour import Kill, killer
from heliograph.chaos.nursery import Tell
from heliograph.chaos.working import Ground
from heliograph.killpoints import armed
from heliograph.server.hosting import serve_here


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a process that is a gateway is to do."""

    ground: Ground
    kill: Kill | None = None


async def stand(service: Service, tell: Tell) -> None:
    """Be a gateway until a signal comes; says "ready" with the address, "done" with the code."""

    def say(line: str) -> None:
        tell("said", line)

    def begun(url: str) -> None:
        tell("ready", url)

    async with open_gateway_at(service.ground) as gateway:
        with armed(killer(service.kill)):
            code = await serve_here(gateway, begun, say)
    tell("done", code)
