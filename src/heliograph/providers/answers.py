"""What one answer of an upstream amounts to: a reply, an error, or something in between.

Invariant: an error status is an error whatever follows it; a success that broke off is unknown,
unless its picture is whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from heliograph.errors import Charged, HeliographError, OutcomeUnknown, ProtocolError
from heliograph.providers.classify import classify
from heliograph.providers.salvage import salvaged
from heliograph.providers.wire import WireReply, documents
from heliograph.types import Reply

Decode = Callable[[WireReply], Reply]


def understand(wire: WireReply, decode: Decode) -> Reply:
    """The reply behind an answer.

    Raises:
        HeliographError: it is an error, makes no sense, or broke off before a picture was whole.
    """
    if wire.status != 200:
        raise classify(wire.status, error_of(wire), wire.headers)
    if wire.incomplete is None and wire.tapped.cut is None:
        try:
            return decode(wire)
        except ProtocolError:
            rest = _rest(wire, decode)
            if rest is None:
                raise
            return rest
    rest = _rest(wire, decode)
    if rest is not None:
        return rest
    where = wire.incomplete or f"it ended {wire.tapped.cut}"
    raise OutcomeUnknown(
        "The answer did not arrive whole.",
        why=f"After {wire.timing.done or 0:.1f} s {where}.",
        remedy="It may have been charged; what arrived is kept in quarantine.",
        charged=Charged.UNKNOWN,
    )


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
    # a picture that was cut is not the result when a whole one came before it
    kept = tuple(i for i in reply.images if i.thought or i.defect is None)
    return replace(reply, images=kept, salvaged=True)


def error_of(wire: WireReply) -> Mapping[str, Any] | None:
    """The `error` object of a failed answer; None for HTML pages and other foreign bodies."""
    try:
        values = documents(wire.tapped)
    except HeliographError:
        return None
    error = values[0].get("error")
    return error if isinstance(error, Mapping) else None
