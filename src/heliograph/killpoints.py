"""Places in the code where a crash would matter, by name, so that a crash can be tried exactly
there (reliability.md section B). Outside such a trial a point costs one comparison.

Invariant: nothing in the environment, in a setting or in a request can arm a point; only a program
that imports this module can (`heliograph chaos` does, in processes of its own).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Act = Callable[[str], None]

# where `reach` is called; the chaos rows name them
POINTS = (
    "parsed",  # request parsed, nothing committed
    "reserved",  # reservation committed
    "intent",  # INTENT committed, not connected
    "before-sent",  # request written up to its last byte, SENT not committed
    "sent",  # SENT committed, last byte not released
    "last-byte",  # last byte released
    "created",  # the upstream named an id for the call, not written down
    "submitted",  # that id committed
    "headers",  # status line and headers of the answer are here
    "body",  # a piece of the body was spooled
    "spooled",  # last byte spooled, RECEIVED not committed
    "received",  # RECEIVED committed, answer not looked at
    "looked",  # images checked, nothing stored
    "blob-half",  # half of an image is written under a temporary name
    "blob-named",  # image has its name, its folder is not flushed
    "filed",  # files are durable, sidecar is not written
    "sidecar",  # sidecar is durable, STORED not committed
    "stored",  # STORED committed
    "settling",  # inside the transaction that settles
    "settled",  # settled, caller not answered
    "exporting",  # an export is in the making
)

_armed: list[Act] = []


def reach(point: str) -> None:
    """Say that execution has come to a point."""
    if _armed:
        _armed[-1](point)


@contextmanager
def armed(act: Act) -> Iterator[None]:
    """Call `act` with the name of every point that is reached meanwhile."""
    _armed.append(act)
    try:
        yield
    finally:
        _armed.remove(act)
