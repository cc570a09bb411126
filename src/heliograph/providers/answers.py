"""What one answer of an upstream amounts to: a reply, an error, or something in between.

Invariant: an error status is an error whatever follows it; a success that broke off is unknown,
unless its picture is whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from heliograph.errors import Charged, HeliographError, OutcomeUnknown, ProtocolError
from heliograph.providers.classify import classify
from heliograph.providers.salvage import is_last_part_open, salvaged
from heliograph.providers.wire import WireReply, documents
from heliograph.types import Reply

Decode = Callable[[WireReply], Reply]
GAVE_UP = {408, 499}  # statuses below 500 that say nothing about the work behind them


def understand(wire: WireReply, decode: Decode) -> Reply:
    """The reply behind an answer.

    Raises:
        HeliographError: it is an error, makes no sense, or broke off before a picture was whole.
    """
    if wire.status != 200:
        raise doubted(classify(wire.status, error_of(wire), wire.headers), wire)
    where = wire.incomplete or (wire.tapped.cut and f"it ended {wire.tapped.cut}")
    if where is None:
        try:
            reply = decode(wire)
        except ProtocolError:
            rest = _rest(wire, decode)
            if rest is None:
                raise
            return rest
        if not _is_open_stream(wire, reply):
            return reply
        where = "it ended without a finish reason"
    rest = _rest(wire, decode)
    if rest is not None:
        return rest
    raise OutcomeUnknown(
        "The answer did not arrive whole.",
        why=f"After {wire.timing.done or 0:.1f} s {where}.",
        remedy="It may have been charged; what arrived is kept in quarantine.",
        charged=Charged.UNKNOWN,
    )


def doubted(error: HeliographError, wire: WireReply) -> HeliographError:
    """The error of an answer that is no success, held against who says it.

    Google says that requests which fail with 400 or 500 are not charged. A relay, a proxy or a
    balancer on the way knows nothing of that: when it gives up, the upstream may be drawing. So
    its word counts only where it means that the request was refused.
    """
    refused = 300 <= wire.status < 500 and wire.status not in GAVE_UP
    told = wire.is_direct and wire.status >= 500
    if not wire.was_sent or refused or told or error_of(wire) is not None:
        return error
    return OutcomeUnknown(
        f"Something on the way answered with HTTP {wire.status} instead of the upstream.",
        why="The whole request had left, and the answer is not in Google's words.",
        remedy="It may have been charged; check the base URL and any proxy on the way.",
        charged=Charged.UNKNOWN,
        facts=error.facts,
    )


def _is_open_stream(wire: WireReply, reply: Reply) -> bool:
    """Whether a stream of events ended before it said why: its next event never came."""
    is_stream = "event-stream" in wire.headers.get("content-type", "")
    return is_stream and reply.finish_reason is None and reply.block_reason is None


def _rest(wire: WireReply, decode: Decode) -> Reply | None:
    """The reply of an answer that broke off after a whole picture."""
    mended = salvaged(wire)
    if mended is None:
        return None
    try:
        reply = decode(mended)
    except HeliographError:
        return None
    whole = [image for image in reply.images if image.defect is None and not image.thought]
    if not whole:
        return None
    # a whole picture before the one that was cut had its mark, if it was to have one
    unmarked = whole[-1] is reply.images[-1] and is_last_part_open(wire)
    return replace(reply, salvaged=True, unmarked=unmarked, refusal=None)


def error_of(wire: WireReply) -> Mapping[str, Any] | None:
    """The `error` object of a failed answer; None for HTML pages and other foreign bodies."""
    try:
        values = documents(wire.tapped)
    except HeliographError:
        return None
    error = values[0].get("error")
    return error if isinstance(error, Mapping) else None
