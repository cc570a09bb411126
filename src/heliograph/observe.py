"""One event a step; logs, progress and metrics subscribe.

Invariant: an observer never sees a key or a prompt, and a failing observer cannot harm a paid
call.
"""

import logging

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
