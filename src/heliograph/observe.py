"""One event a step; logs, progress and metrics subscribe.

Invariant: an observer never sees a key or a prompt, and a failing observer cannot harm a paid
call.
"""

import logging
from collections.abc import Mapping
from typing import Any

from heliograph.ports import Event, Observer

LOG = logging.getLogger("heliograph")


def log_event(event: Event) -> None:
    """Write an event to the `heliograph` logger at debug level."""
    if event.name != "receiving":  # hundreds a picture
        LOG.debug("%s %s at %.3f s %s", event.job, event.name, event.at, dict(event.facts))


def fan_out(*observers: Observer) -> Observer:
    """One observer that tells all of them."""

    def tell(event: Event) -> None:
        for observer in observers:
            try:
                observer(event)
            except Exception:  # an observer is foreign code beside a call that costs money
                LOG.exception("an observer failed on %r", event.name)

    return tell


class MemoryLog:
    """The `CallLog` port in memory: for a call that nobody keeps books of.

    Attributes:
        steps: names of what was taken down, oldest first.
        remote: the upstream's own id of the call, when it gave one.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.remote: str | None = None

    async def room(self, project: str, ask: int) -> float:  # noqa: ARG002
        return 0.0

    async def intent(self, project: str, attempt: int) -> None:  # noqa: ARG002
        self.steps.append("intent")

    async def sent(self) -> None:
        self.steps.append("sent")

    async def failed(self, facts: Mapping[str, Any]) -> None:  # noqa: ARG002
        self.steps.append("failed")

    async def submitted(self, remote: str) -> None:
        self.steps.append("submitted")
        self.remote = remote
